"""Reconstructed volumes of nuclear medicine (SPECT): one file, its slices told by vectors (PS3.3 C.8.4.8 to C.8.4.15).

The Detector Information Sequence places the first slice. The others follow at SpacingBetweenSlices along the normal, row x
column, or against it where the spacing is negative (C.8.4.15); the Slice Vector says which slice a frame is. Gated ones hold
a volume for each time slot. Planar images, projections of a tomography and dynamic studies have no slices.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydicom.dataset import Dataset

from medcls.errors import ScanRefused
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.dicom.frame import Frame
from medcls.scans.dicom.frames.geometry import directions
from medcls.scans.dicom.parse import text as t

_KINDS = frozenset(["RECON TOMO", "RECON GATED TOMO"])
_VOLUMES = {
    "energy window": "EnergyWindowVector",
    "heartbeat": "RRIntervalVector",
    "time slot": "TimeSlotVector",
    "time slice": "TimeSliceVector",
    "part": "PhaseVector",
}
"""Which of several volumes a frame belongs to."""

_OTHERS = {
    "STATIC": "planar views",
    "WHOLE BODY": "planar views of the whole body",
    "TOMO": "projections of a tomography that is not reconstructed",
    "GATED": "planar phases of the heart",
    "GATED TOMO": "projections of a gated tomography that is not reconstructed",
}
"""What frames of nuclear medicine are that are no slices (C.8.4.9.1.1)."""

NUCLEAR_TAGS = ("DetectorInformationSequence", "SliceVector", *_VOLUMES.values())
"""Every attribute that this module needs beside those of any image."""


def is_reconstruction(attributes: t.Attributes) -> bool:
    """Whether a file holds slices of nuclear medicine."""
    return t.text(attributes, "Modality").upper() == "NM" and bool(
        _KINDS.intersection(t.words(attributes, "ImageType"))
    )


def frames_in_words(attributes: t.Attributes) -> str:
    """What frames of nuclear medicine are, behind a comma; empty for others."""
    kinds = t.words(attributes, "ImageType")[2:3] if t.text(attributes, "Modality").upper() == "NM" else ()
    return next((f", {_OTHERS[kind]} ({kind})" for kind in kinds if kind in _OTHERS), "")


def reconstruction_frames(dataset: Dataset, whole: Frame) -> list[Frame]:
    """The slices of a reconstruction.

    Args:
        dataset: The file's header, with :data:`NUCLEAR_TAGS`.
        whole: The file taken as one image.

    Raises:
        ScanRefused: ``no-geometry`` when the first slice, the order or the distance of the slices is not known, ``damaged``
            when a vector does not count the frames.
    """
    count, place = whole.header.count, _place(dataset)
    if count == 1:
        return [whole if place is None else replace(whole, position=place[0], orientation=place[1])]
    if place is None:
        raise _unknown("where the first slice of this reconstruction is")
    if whole.spacing is None:
        raise _unknown("how large the pixels of this reconstruction are")
    position, orientation = place
    slices = _vector(dataset, "SliceVector", count) or (range(1, count + 1) if _all_slices(dataset, count) else None)
    if slices is None:
        raise _unknown("which slice each frame of this reconstruction is")
    spacing = t.number(dataset, "SpacingBetweenSlices")
    if not spacing and len(set(slices)) > 1:
        raise _unknown("how far apart the slices of this reconstruction are")
    step = directions(orientation)[2] * (spacing or 0.0)
    volumes = {name: _vector(dataset, keyword, count) for name, keyword in _VOLUMES.items()}
    return [
        replace(
            whole,
            index=index,
            position=tuple((np.asarray(position) + (number - 1) * step).tolist()),
            orientation=orientation,
            splits={**whole.splits, **{name: str(found[index]) for name, found in volumes.items() if found}},
            number=number,
        )
        for index, number in enumerate(slices)
    ]


def _place(dataset: Dataset) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Position of the first slice, and orientation: of the detector, or where other images have them."""
    for item in (*t.items(dataset, "DetectorInformationSequence"), dataset):
        position = t.numbers(item, "ImagePositionPatient", 3)
        orientation = t.numbers(item, "ImageOrientationPatient", 6)
        if position and orientation:
            return position, orientation
    return None


def _all_slices(dataset: Dataset, count: int) -> bool:
    """Whether frames without a Slice Vector are the slices, one after the other."""
    volumes = [_vector(dataset, keyword, count) for keyword in _VOLUMES.values()]
    return t.whole(dataset, "NumberOfSlices", count) == count and all(len(set(found or ())) < 2 for found in volumes)


def _vector(dataset: Dataset, keyword: str, count: int) -> list[int] | None:
    """The values of a vector, one for each frame; ``None`` without one."""
    found = t.numbers(dataset, keyword)
    if found is None:
        return None
    if len(found) != count:
        raise refusal(RefusalCode.DAMAGED, f"{keyword} has {len(found)} values for {count} frames")
    return [int(value) for value in found]


def _unknown(what: str) -> ScanRefused:
    remedy = "Export the reconstruction with its geometry, or as single slices with positions"
    return refusal(RefusalCode.NO_GEOMETRY, f"the header does not say {what}", remedy=remedy)
