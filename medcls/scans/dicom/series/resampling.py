"""Irregular stacks of slices onto right-angled, even grids: shifts, interpolation between slices, and holes.

Arrays are ``(n, C, rows, columns)`` throughout, slices ascending along the normal. A value type is kept: interpolated
integers are rounded, so that a scan has the same type whether it had to be resampled or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medcls.scans.core.limits import check_size
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.voxel_memory import empty
from medcls.scans.dicom.frames.geometry import MAX_MISSING_RUN

Pixels = NDArray[np.generic]
Floats = NDArray[Any]

WHOLE = 1e-4
"""A shift this near to whole pixels (or a slice this near to a grid place, in steps) is taken as it is, unblurred."""


@dataclass(frozen=True)
class StraightGrid:
    """The right-angled grid that holds a sheared stack.

    Attributes:
        affine: ``(4, 4)``; rows and columns run as before, and the slice axis is the normal, as long as the slices are
            apart along it.
        corners: ``(n, 2)`` column and row of the grid at which each slice begins.
        rest: ``(n, 2)`` where that pixel is in the slice, columns and rows, -0.5 to 0.5.
        more: Columns and rows that the grid has more than a slice.
    """

    affine: NDArray[np.float64]
    corners: NDArray[np.intp]
    rest: NDArray[np.float64]
    more: tuple[int, int]


def straight_grid(affine: NDArray[np.float64], slices: int) -> StraightGrid:
    """Where the slices of a sheared stack go.

    Slice ``k`` is ``k * (u, v)`` pixels beside slice 0, where the slice axis of the affine is ``height * normal`` plus
    ``u`` column steps plus ``v`` row steps. The grid takes the nearest whole pixels, and is as large as all of them.

    Args:
        affine: ``(4, 4)`` voxel ``(column, row, slice)`` to world millimetres.
        slices: How many.
    """
    along, down, step, origin = (affine[:3, axis] for axis in range(4))
    normal = np.cross(along, down)
    normal /= np.linalg.norm(normal)
    height = float(step @ normal)
    per_slice = np.linalg.lstsq(np.stack([along, down], axis=1), step - height * normal, rcond=None)[0]
    shifts = np.arange(slices)[:, None] * per_slice
    whole = np.ceil(shifts - 0.5)
    low, high = whole.min(axis=0), whole.max(axis=0)
    upright = np.array(affine, dtype=np.float64)
    upright[:3, 2] = height * normal
    upright[:3, 3] = origin + low[0] * along + low[1] * down
    more = (int(high[0] - low[0]), int(high[1] - low[1]))
    return StraightGrid(upright, (whole - low).astype(np.intp), whole - shifts, more)


def straighten(array: Pixels, affine: NDArray[np.float64], fill: float) -> tuple[Pixels, NDArray[np.float64]]:
    """Shift the slices of a sheared stack onto a right-angled grid (a tilted gantry made straight).

    Each slice is moved by whole pixels, and by the rest (at most half a pixel) with linear interpolation. The plane grows,
    so that no slice loses an edge.

    Args:
        array: ``(n, C, rows, columns)``, the slices in the order of the affine's slice axis.
        affine: ``(4, 4)`` voxel ``(column, row, slice)`` to world millimetres.
        fill: The value of voxels that no slice covers.

    Returns:
        ``(n, C, rows + more, columns + more)`` of the same type, and the affine of :func:`straight_grid`.

    Raises:
        ScanRefused: ``too-large`` when the tilt would blow the grid up.
    """
    count, channels, rows, columns = array.shape
    grid = straight_grid(affine, count)
    shape = (count, channels, rows + grid.more[1], columns + grid.more[0])
    check_size(shape, "tilted series")
    straight = empty(shape, array.dtype)
    straight[...] = fill
    for number, (column, row) in enumerate(grid.corners):
        moved = _moved(array[number], *(float(part) for part in grid.rest[number]))
        straight[number, :, row : row + rows, column : column + columns] = moved
    return straight, grid.affine


def even_grid(heights: ArrayLike) -> tuple[int, float]:
    """How many slices an even grid from the first to the last of these heights has, and how far they are apart.

    The distance is the median of the measured ones (the lower of two: a distance that was measured), stretched or squeezed
    so that a whole number of steps reaches the last slice: both ends are kept.

    Args:
        heights: ``(n,)`` where the slices are, millimetres, strictly ascending, n >= 2.

    Raises:
        ScanRefused: ``gap`` when more than :data:`~medcls.scans.dicom.frames.geometry.MAX_MISSING_RUN` new slices would be
            between two measured ones.
    """
    measured = np.asarray(heights, dtype=np.float64)
    steps = np.diff(measured)
    if len(measured) < 2 or not (steps > 0).all():
        raise ValueError("ascending heights of at least two slices are needed")
    usual = np.sort(steps)[(len(steps) - 1) // 2]
    count = max(1, int(np.rint((measured[-1] - measured[0]) / usual)))
    spacing = float(measured[-1] - measured[0]) / count
    if steps.max() > (MAX_MISSING_RUN + 1) * spacing:
        raise refusal(RefusalCode.GAP, f"nothing was measured over {steps.max():.1f} mm, slices {spacing:.2f} mm apart")
    return count + 1, spacing


def regrid(array: Pixels, heights: ArrayLike) -> tuple[Pixels, float]:
    """Interpolate slices at uneven heights onto the even grid of :func:`even_grid`.

    Each new slice is the weighted mean of its two neighbours; one at a measured height is that slice, unblurred.

    Args:
        array: ``(n, C, rows, columns)``.
        heights: ``(n,)`` as for :func:`even_grid`; along the normal, or along the line that the slices are stacked on: the
            spacing returned is along the same.

    Returns:
        ``(m, C, rows, columns)`` of the same type, and the distance between its slices.

    Raises:
        ScanRefused: ``gap``, ``too-large``.
    """
    measured = np.asarray(heights, dtype=np.float64)
    if len(measured) != len(array):
        raise ValueError("ascending heights of all slices are needed")
    count, spacing = even_grid(measured)
    steps = np.diff(measured)
    shape = (count, *array.shape[1:])
    check_size(shape, "unevenly spaced series")
    even = empty(shape, array.dtype)
    for number in range(count):
        height = measured[0] + number * spacing
        above = min(max(int(np.searchsorted(measured, height)), 1), len(measured) - 1)
        weight = (height - measured[above - 1]) / steps[above - 1]
        slack = WHOLE * spacing / float(steps[above - 1])
        even[number] = _mixed(array[above - 1], array[above], float(weight), slack)
    return even, spacing


def fill_holes(array: Pixels, places: Sequence[int], slices: int, how: Literal["nearest", "linear"]) -> Pixels:
    """Put slices at their grid places, and fill the holes between them.

    Args:
        array: ``(n, C, rows, columns)``.
        places: ``(n,)`` grid place of each slice, ascending, from 0 to ``slices - 1``.
        slices: Slices of the grid.
        how: ``nearest`` repeats the nearer measured slice (the lower of two equally near), ``linear`` mixes both
            neighbours.

    Returns:
        ``(slices, C, rows, columns)`` of the same type.
    """
    full = empty((slices, *array.shape[1:]), array.dtype)
    for number, place in enumerate(places):
        full[place] = array[number]
        before = places[number - 1] if number else place
        for hole in range(before + 1, place):
            weight = (hole - before) / (place - before)
            if how == "nearest":
                full[hole] = array[number if weight > 0.5 else number - 1]
            else:
                full[hole] = _mixed(array[number - 1], array[number], weight)
    return full


def _moved(image: Pixels, across: float, down: float) -> Pixels:
    """Sample an image ``(C, rows, columns)`` at ``(row + down, column + across)``, each within half a pixel.

    Beyond the centres of the outermost pixels, but still inside these pixels, their own value is taken.
    """
    offsets = [(offset, axis) for offset, axis in ((across, 2), (down, 1)) if abs(offset) > WHOLE]
    if not offsets:
        return image
    values = _precise(image)
    for offset, axis in offsets:
        size = values.shape[axis]
        places = np.clip(np.arange(size) + (1 if offset > 0 else -1), 0, size - 1)
        values = values * (1 - abs(offset)) + np.take(values, places, axis=axis) * abs(offset)
    return _back(values, image.dtype)


def _mixed(lower: Pixels, upper: Pixels, weight: float, slack: float = 0.0) -> Pixels:
    """``lower * (1 - weight) + upper * weight``, rounded where both are integers."""
    if weight <= slack:
        return lower
    if weight >= 1 - slack:
        return upper
    return _back(_precise(lower) * (1 - weight) + _precise(upper) * weight, lower.dtype)


def _precise(image: Pixels) -> Floats:
    """As float32 where it holds every value of the type exactly, else as float64."""
    exact: Floats = image.astype(np.float32 if np.can_cast(image.dtype, np.float32) else np.float64)
    return exact


def _back(values: Floats, dtype: np.dtype[np.generic]) -> Pixels:
    """Interpolated values in the scan's own type; they are between two of its values, so that none can overflow."""
    whole: Pixels = (np.rint(values) if np.issubdtype(dtype, np.integer) else values).astype(dtype, copy=False)
    return whole
