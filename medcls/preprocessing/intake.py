"""Intake: from a Scan to the image that the steps work on, and what must be known about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medcls.config.settings import Kind
from medcls.preprocessing.regions import GREY_KINDS
from medcls.preprocessing.steps.step import Context, make_image
from medcls.preprocessing.unfit import not_finite, wrong_colour, wrong_dimensions
from medcls.scans.scan import Scan

if TYPE_CHECKING:
    from monai.data import MetaTensor

# Brightness of red, green and blue (ITU-R BT.601), which is what Pillow and most viewers take. They add up to 1, so grey that
# was saved as colour comes back as it was.
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_BELOW_ANY_OFFSET = -100.0


@dataclass(frozen=True)
class Intake:
    """What a recipe starts from.

    Attributes:
        image: ``(C, x, y, z)`` float32 with its affine; ``z`` is 1 for a picture.
        context: What the steps need to know.
        notes: What was decided, in words.
    """

    image: MetaTensor
    context: Context
    notes: tuple[str, ...]


def take_in(scan: Scan, kind: Kind, dimensions: int, channels: int, size: tuple[int, ...]) -> Intake:
    """Check that a scan is what the recipe is for, and make an image of it.

    Args:
        scan: The scan.
        kind: The recipe's kind.
        dimensions: 2 or 3.
        channels: Final number of channels.
        size: Final size, ``(rows, columns)`` or ``(x, y, z)``.

    Raises:
        ScanRefused: A picture for a 3-D recipe, colour where grey values are measured, or no finite voxel.
    """
    if dimensions == 3 and (scan.dimensions == 2 or scan.shape[2] == 1):
        raise wrong_dimensions(
            "the scan is a single picture, and the recipe is 3-D", "Set preprocessing.dimensions to 2"
        )
    array, notes = _with_colour(scan, kind, channels)
    array = _finite(array)
    hounsfield = kind == "ct" and _in_hounsfield(scan, array)
    if kind == "ct" and not hounsfield:
        notes = (*notes, "not in Hounsfield units: grey values were scaled as they are, no window was set")
    if array.ndim == 3:
        array = array[..., None]
    import torch

    context = Context(
        flat=dimensions == 2,
        geometry=scan.has_geometry,
        hounsfield=hounsfield,
        full_scale=255.0 if _eight_bit_picture(scan) else None,
        size=(size[0], size[1], size[2]) if dimensions == 3 else (size[1], size[0], 1),
        channels=channels,
    )
    image = make_image(torch.from_numpy(np.ascontiguousarray(array)), _with_normal(scan.affine))
    return Intake(image, context, notes)


def _with_colour(scan: Scan, kind: Kind, channels: int) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """The scan's channels, or its brightness where the recipe is grey."""
    if scan.channels == 1:
        return scan.array.astype(np.float32), ()
    if scan.channels != 3:
        raise wrong_colour(f"the scan has {scan.channels} channels", "Give a grey or an RGB scan")
    if kind not in GREY_KINDS and channels == 3:
        return scan.array.astype(np.float32), ()
    if kind in GREY_KINDS and scan.kind != "raster":
        raise wrong_colour(
            f"the scan is in colour, and a recipe for {kind} needs measured grey values",
            "Export the original series, not a coloured screen copy",
        )
    grey = np.tensordot(_LUMINANCE, scan.array.astype(np.float32), axes=1)[None]
    return grey, ("colour was turned to brightness",)


def _finite(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Voxels without a value get the lowest one: scanners and tools mark 'outside' so."""
    finite = np.isfinite(array)
    if finite.all():
        return array
    if not finite.any():
        raise not_finite()
    return np.where(finite, array, array[finite].min())


def _in_hounsfield(scan: Scan, array: NDArray[np.float32]) -> bool:
    """Whether grey values are Hounsfield units.

    A DICOM CT image says so. Research formats have no place to say it; their values are taken for Hounsfield units when some
    lie well below zero, as air does and as no stored grey value can.
    """
    if scan.kind == "dicom":
        return scan.modality == "CT"
    volume = scan.kind in ("nifti", "nrrd", "metaimage") and scan.modality in ("CT", "OT")
    return volume and float(array.min()) < _BELOW_ANY_OFFSET


def _eight_bit_picture(scan: Scan) -> bool:
    return scan.array.dtype == np.uint8 and (scan.kind == "raster" or scan.photometric == "rgb")


def _with_normal(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """An affine whose third column is never zero, as a single picture's may be."""
    complete = np.array(affine, dtype=np.float64)
    if not complete[:3, 2].any():
        normal = np.cross(complete[:3, 0], complete[:3, 1])
        complete[:3, 2] = normal / np.linalg.norm(normal)
    return complete
