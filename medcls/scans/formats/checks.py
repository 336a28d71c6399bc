"""What every reader of research volumes asks of shape, affine and values, whatever the file format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcls.scans.core.notes import Note
from medcls.scans.core.refusals import RefusalCode, refusal


def spatial_shape(stored: tuple[int, ...], path: Path) -> tuple[int, ...]:
    """Drop trailing axes of length one; what is left is an image ``(x, y)`` or a volume ``(x, y, z)``.

    Raises:
        ScanRefused: ``four-dimensional`` or ``not-an-image``.
    """
    shape = stored
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 3:
        times = "x".join(str(size) for size in stored)
        raise refusal(RefusalCode.FOUR_DIMENSIONAL, f"{times} voxels: more than one volume", where=path)
    if len(shape) < 2:
        raise refusal(RefusalCode.NOT_AN_IMAGE, "one axis alone: a list of values, and no image", where=path)
    return shape


def check_affine(affine: NDArray[np.float64], path: Path) -> None:
    """Refuse an affine that is not finite or nearly singular.

    Raises:
        ScanRefused: ``bad-geometry``.
    """
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not np.isfinite(lengths).all() or (lengths <= 0).any():
        raise refusal(RefusalCode.BAD_GEOMETRY, "the affine is not finite, or an axis has no length", where=path)
    if abs(float(np.linalg.det(affine[:3, :3] / lengths))) < 1e-4:
        raise refusal(RefusalCode.BAD_GEOMETRY, "the affine is singular", where=path)


def plain_values(data: NDArray[Any], path: Path, notes: list[str]) -> NDArray[np.generic]:
    """Values of a type that every later step takes: native, at most 32 bits, finite.

    Raises:
        ScanRefused: ``not-finite`` when no voxel is.
    """
    if data.dtype.kind == "f":
        return finite_values(data, path, notes)
    if data.dtype.itemsize == 8:
        fits = np.iinfo(np.int32).min <= data.min() and data.max() <= np.iinfo(np.int32).max
        return data.astype(np.int32 if fits else np.float32)
    return data.astype(data.dtype.newbyteorder("="), copy=False)


def finite_values(data: NDArray[Any], path: Path, notes: list[str]) -> NDArray[np.float32]:
    """Voxels without a finite value become the lowest finite one (positive infinity the highest), and are noted.

    Raises:
        ScanRefused: ``not-finite`` when no voxel has a finite value.
    """
    values = data.astype(np.float32)
    good = np.isfinite(values)
    count = int(values.size - good.sum())
    if count == values.size:
        raise refusal(RefusalCode.NOT_FINITE, "no voxel has a finite value", where=path)
    if count:
        low, high = values[good].min(), values[good].max()
        values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
        what = f"{count} voxels without a finite value were set to the nearest end of the range ({low:g})"
        notes.append(Note.REPLACED_VALUES.says(what))
    return values
