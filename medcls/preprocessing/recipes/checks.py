"""Intake: whether a Scan is what the recipe is for, and what the steps must know about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medcls.config.settings import Kind, Pet
from medcls.preprocessing.images.refusals import no_uptake, not_finite, wrong_colour, wrong_dimensions, wrong_modality
from medcls.preprocessing.images.white import white_of
from medcls.preprocessing.recipes.regions import GREY_KINDS
from medcls.preprocessing.steps.common.step import Context, make_image
from medcls.scans.core.notes import Note
from medcls.scans.core.scan import STORED_UNIT, Scan
from medcls.scans.dicom.values.suv import factor

if TYPE_CHECKING:
    from monai.data import MetaTensor

# Brightness of red, green and blue (ITU-R BT.601), which is what Pillow and most viewers take. They add up to 1, so grey that
# was saved as colour comes back as it was.
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_BELOW_ANY_OFFSET = -100.0
_WHITE_SUV = 20.0  # above what most tissue and tumours take up; brighter is urine
# DICOM PS3.3 C.7.3.1.1.1
_KIND_OF: Mapping[str, Kind] = {
    "CT": "ct",
    "MR": "mr",
    **dict.fromkeys(("CR", "DX", "RG", "RF", "MG", "XA", "PX", "IO"), "xray"),
    **dict.fromkeys(("ES", "XC"), "endoscopy"),
    **dict.fromkeys(("PT", "NM", "US", "IVUS", "OCT", "OPT", "OP", "SM"), "other"),
}
_UNSAID = (STORED_UNIT, "US")  # US: unspecified (PS3.3 C.11.1.1.2)


@dataclass(frozen=True, eq=False)
class Intake:
    """What a recipe starts from.

    Attributes:
        array: ``(C, x, y, z)`` in the scan's own type, every value finite; ``z`` is 1 for a picture. It may be the scan's.
        affine: ``(4, 4)``; its third column is never zero.
        world: ``(4, 4)`` from there to the scan's own affine: the identity, but in recipes of version 2, which take every
            picture without a place to have pixels of 1 by 1.
        context: What the steps need to know.
        notes: What was decided, in words.
    """

    array: NDArray[np.generic]
    affine: NDArray[np.float64]
    world: NDArray[np.float64]
    context: Context
    notes: tuple[str, ...]


def take_in(
    scan: Scan, kind: Kind, dimensions: int, channels: int, size: tuple[int, ...], version: int, pet: Pet | None = None
) -> Intake:
    """Check that a scan is what the recipe is for, and what must be known about it.

    Args:
        scan: The scan.
        kind: The recipe's kind.
        dimensions: 2 or 3.
        channels: Final number of channels.
        size: Final size, ``(rows, columns)`` or ``(x, y, z)``.
        version: The recipe's.
        pet: What DICOM PET becomes; ``None``: it stays as it is.

    Raises:
        ScanRefused: A picture for a 3-D recipe, a modality that is another kind's, colour where grey values are measured,
            PET that cannot be turned into SUV, or no finite voxel.
    """
    if _contradicts(scan.modality, kind):
        raise wrong_modality(scan.modality, kind)
    if dimensions == 3 and scan.layers.shape[3] == 1:
        raise wrong_dimensions(
            "the scan is a single picture, and the recipe is 3-D", "Set preprocessing.dimensions to 2"
        )
    array, notes = _with_colour(scan, kind, channels)
    array = _finite(array)
    if is_pet(scan):
        array, notes = (array, (*notes, *_not_uptake(scan))) if pet is None else (_uptake(scan, array, pet), notes)
    hounsfield = kind == "ct" and _in_hounsfield(scan, array)
    if kind == "ct" and not hounsfield:
        notes = (*notes, "not in Hounsfield units: grey values were scaled as they are, no window was set")
    white, doubt = white_of(scan, version)
    if doubt and kind not in ("xray", "mr"):  # theirs are scaled by their own values in any case
        notes = (*notes, doubt)
    context = Context(
        flat=dimensions == 2,
        geometry=scan.has_geometry,
        sized=scan.has_geometry or (version >= 3 and scan.sized),
        hounsfield=hounsfield,
        full_scale=_WHITE_SUV if pet and is_pet(scan) else white,
        size=(size[0], size[1], size[2]) if dimensions == 3 else (size[1], size[0], 1),
        channels=channels,
    )
    affine, world = _with_normal(scan.affine), np.eye(4)
    if version < 3 and not scan.has_geometry and scan.kind in ("dicom", "raster"):
        affine, world = world, affine
    return Intake(array[..., None] if array.ndim == 3 else array, affine, world, context, notes)


def _contradicts(modality: str, kind: Kind) -> bool:
    """Whether a scan's modality is known to be of another kind than the recipe's.

    Modalities that say nothing (``OT`` of NIfTI files and pictures, ``SC``) contradict nothing, and a recipe for ``other``
    takes everything.
    """
    own = _KIND_OF.get(modality)
    return kind != "other" and own is not None and own != kind


def image_of(array: NDArray[np.generic], affine: NDArray[np.float64]) -> MetaTensor:
    """The image that steps work on, float32, of ``(C, x, y, z)`` of any type and layout."""
    import torch

    # Always a copy: a step may work in place, and the scan stays as it was read.
    return make_image(torch.from_numpy(np.array(array, dtype=np.float32, order="C")), affine)


def _with_colour(scan: Scan, kind: Kind, channels: int) -> tuple[NDArray[np.generic], tuple[str, ...]]:
    """The scan's channels, or its brightness where the recipe is grey."""
    if scan.channels == 1:
        return scan.array, ()
    if scan.channels != 3:
        raise wrong_colour(f"the scan has {scan.channels} channels", "Give a grey or an RGB scan")
    if kind not in GREY_KINDS and channels == 3:
        return scan.array, ()
    if kind in GREY_KINDS and scan.kind != "raster":
        raise wrong_colour(
            f"the scan is in colour, and a recipe for {kind} needs measured grey values",
            "Export the original series, not a coloured screen copy",
        )
    grey = np.tensordot(_LUMINANCE, scan.array.astype(np.float32), axes=1)[None]
    return grey, ("colour was turned to brightness",)


def _finite(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Voxels without a value get the lowest one: scanners and tools mark 'outside' so."""
    if array.dtype.kind in "biu":
        return array
    values = array.astype(np.float32, copy=False)
    finite = np.isfinite(values)
    if finite.all():
        return values
    if not finite.any():
        raise not_finite()
    return np.where(finite, values, values[finite].min())


def is_pet(scan: Scan) -> bool:
    """Whether values are those of DICOM PET."""
    return scan.kind == "dicom" and scan.modality == "PT"


def _uptake(scan: Scan, array: NDArray[np.generic], pet: Pet) -> NDArray[np.generic]:
    """Standardised uptake values, float32, of PET values in the unit of the file."""
    said = scan.attributes.get(pet.replace("-", "_"), "the header says nothing of dose and weight")
    times = factor(said)
    if times is None:
        raise no_uptake(said)
    return array.astype(np.float32) * np.float32(times)


def _not_uptake(scan: Scan) -> tuple[str, ...]:
    units = scan.attributes.get("units", "no known unit")
    return () if units == "GML" else (Note.PET_UNITS.says(f"PET values are as the file has them, in {units}, not SUV"),)


def unit_is_unsaid(scan: Scan) -> bool:
    """Whether only the values of a CT can tell their unit."""
    return scan.kind == "dicom" and scan.modality == "CT" and scan.attributes.get("units") in _UNSAID


def _in_hounsfield(scan: Scan, array: NDArray[np.generic]) -> bool:
    """Whether grey values are Hounsfield units.

    A DICOM CT image says so. Where the unit is not said, as in research formats, values are taken for Hounsfield units when
    some are well below zero, as air does and as no stored grey value can.
    """
    if scan.kind == "dicom" and not unit_is_unsaid(scan):
        return scan.modality == "CT" and scan.attributes.get("units", "HU") == "HU"
    volume = scan.kind not in ("raster", "video") and scan.modality in ("CT", "OT")
    return volume and float(array.min()) < _BELOW_ANY_OFFSET


def _with_normal(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """An affine whose third column is never zero, as a single picture's may be."""
    complete = np.array(affine, dtype=np.float64)
    if not complete[:3, 2].any():
        normal = np.cross(complete[:3, 0], complete[:3, 1])
        complete[:3, 2] = normal / np.linalg.norm(normal)
    return complete
