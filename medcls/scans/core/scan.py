"""Scan: one image object read from disk.

Axis convention, here and everywhere in medcls: **channel first, then the spatial axes in the order the affine has them**,
``(C, x, y)`` or ``(C, x, y, z)``, where ``x`` runs along an image's columns, ``y`` down its rows and ``z`` through its
slices. The affine takes voxel indices ``(x, y, z)`` to millimetres in RAS+ (right, anterior, superior), as nibabel and
MONAI have it. A picture as shown on a screen is therefore ``array[channel].T``. A sequence is ``(C, x, y, t)``: pictures
that follow each other in time, which is no axis of space; its affine is that of each picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medcls.scans.core.sequence import some_frames, spread

STORED_UNIT = "stored"
"""The ``units`` fact of values that the header gives no unit: they are as stored."""

PIXEL_SIZE, UNREAD = "pixel_size", "unreadable"
"""The fact that says what is known of the size of a pixel where nothing says where it is, and where it cannot be read."""


def is_sized(attributes: Mapping[str, str]) -> bool:
    """Whether the sizes of pixels are in millimetres though nothing says where they are."""
    return attributes.get(PIXEL_SIZE, UNREAD) != UNREAD


@dataclass(frozen=True, eq=False)
class Scan:
    """One image object: pixels in source units, and where they are.

    Attributes:
        array: ``(C, x, y)``, ``(C, x, y, z)`` or ``(C, x, y, t)``. Units of the source: HU for CT, stored values after the
            modality rescale for other DICOM, scaled values for NIfTI, 0..255 or 0..65535 for raster images.
        affine: ``(4, 4)`` float64, voxel index to RAS+ millimetres. Where the source has no geometry
            (``has_geometry`` false) it has the size of pixels alone: in millimetres where :attr:`sized`, else height against
            width, with the pixel as the unit.
        modality: DICOM modality code (``CT``, ``MR``, ``DX``, ``ES``, …); ``OT`` where the source does not say.
        kind: ``dicom``, or the name of a format (:mod:`medcls.scans.formats`), as ``nifti`` or ``raster``.
        times: ``(t,)`` seconds from the first frame of a sequence, ascending; empty for anything else.
        has_geometry: Whether the affine is known to be in millimetres, with the sides of the patient.
        photometric: ``grey`` or ``rgb``.
        attributes: Header attributes that name nobody: ``sex``, ``age`` (years), ``manufacturer``, ``model``,
            ``field_strength``, ``kernel``, ``slice_thickness``, ``year``, ``body_part``, ``view``, …
        identity: Identifiers, kept apart so that nothing prints them by accident: ``patient_id``, ``issuer``,
            ``accession``, ``study_uid``, ``series_uid``, ``institution`` (its name), ``patient_name`` (to mask it in
            paths), ``sop_uids`` (joined by spaces) …
        notes: What was done to the pixels or geometry, and what is doubtful: a code of :class:`medcls.scans.core.notes.Note`,
            and words.
        paths: The files it was read from, in slice order.
    """

    array: NDArray[np.generic]
    affine: NDArray[np.float64]
    modality: str = "OT"
    kind: str = "raster"
    has_geometry: bool = True
    photometric: str = "grey"
    attributes: Mapping[str, str] = field(default_factory=dict)
    identity: Mapping[str, str] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    paths: Sequence[Path] = field(default=(), repr=False)
    times: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.array.ndim not in (3, 4):
            raise ValueError(f"a scan is (C, x, y) or (C, x, y, z); got shape {self.array.shape}")
        if self.affine.shape != (4, 4):
            raise ValueError(f"an affine is 4 by 4; got shape {self.affine.shape}")
        if self.times and self.array.shape[3:] != (len(self.times),):
            raise ValueError(f"a sequence is (C, x, y, t) with {len(self.times)} times; got shape {self.array.shape}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape ``(x, y)``, ``(x, y, z)`` or ``(x, y, t)``, without the channel."""
        return self.array.shape[1:]

    @property
    def dimensions(self) -> int:
        """2 for an image or a sequence of images, 3 for a volume."""
        return 2 if self.times else self.array.ndim - 1

    @property
    def layers(self) -> NDArray[np.generic]:
        """``(C, x, y, n)``: slices, frames, or the one picture."""
        return self.array if self.array.ndim == 4 else self.array[..., np.newaxis]

    @property
    def channels(self) -> int:
        """Number of channels: 1 for grey, 3 for colour."""
        return int(self.array.shape[0])

    @property
    def sized(self) -> bool:
        """Whether voxel sizes are in millimetres."""
        return self.has_geometry or is_sized(self.attributes)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Distance between neighbouring voxels along each spatial axis, in millimetres (pixels without geometry)."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return tuple(float(length) for length in lengths[: self.dimensions])

    def thinned(self, most: int) -> Scan:
        """A sequence with at most ``most`` frames, evenly spread in time (:func:`medcls.scans.core.sequence.spread`)."""
        if len(self.times) <= most:
            return self
        chosen = spread(self.times, most)
        note = some_frames(len(chosen), len(self.times))
        return replace(
            self,
            array=self.array[..., list(chosen)],
            times=tuple(self.times[number] for number in chosen),
            notes=(note, *self.notes),
        )
