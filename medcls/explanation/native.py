"""From feature cells back to the scan's own voxels.

A map is never left on the resampled grid: every voxel of the scan is taken through the scan's affine to the world, from
there through the inverse of the prepared view's affine to the view, and from there to the feature cells, where the map is
interpolated linearly. The one composed affine covers crop, pad, resize, spacing and orientation, sheared scans included.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medcls.preprocessing.images.prepared import Prepared


def cells_to_view(cells: tuple[int, ...], view: tuple[int, ...]) -> NDArray[np.float64]:
    """Affine ``(4, 4)`` from feature-cell indices to indices of the view they cover.

    Cells tile the view evenly, so cell ``c`` is centred on ``(c + 1/2) * view / cells - 1/2``: what interpolation with
    ``align_corners=False`` assumes.
    """
    affine = np.eye(4)
    for axis, (count, length) in enumerate(zip(cells, view, strict=True)):
        affine[axis, axis] = length / count
        affine[axis, 3] = (length / count - 1) / 2
    return affine


def cell_affines(maps: NDArray[np.float32], prepared: Prepared) -> NDArray[np.float64]:
    """Affines ``(V, 4, 4)`` from the feature-cell indices of each view's map to the scan's world."""
    inner = cells_to_view(maps.shape[1:], prepared.images.shape[2:])
    return prepared.affines @ inner


def to_scan_space(
    maps: NDArray[np.float32], prepared: Prepared, affine: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Interpolate maps of feature cells on the scan's voxels.

    Args:
        maps: ``(V, *cells)``, one for each view, in the order of the view's axes.
        prepared: The views they were computed on.
        affine: ``(4, 4)``, the scan's.
        shape: The scan's spatial shape, ``(x, y)`` or ``(x, y, z)``.

    Returns:
        The map, ``shape`` float32, and which voxels the network looked at, ``shape`` bool. The map is 0 where it did not
        look; where views overlap, the highest value stands.
    """
    full = (*shape, 1) if len(shape) == 2 else shape
    result = np.zeros(full, np.float32)
    covered = np.zeros(full, bool)
    view_shape = prepared.images.shape[2:]
    for cells, to_world, view_affine in zip(maps, cell_affines(maps, prepared), prepared.affines, strict=True):
        to_cells = np.linalg.inv(to_world) @ affine
        to_view = np.linalg.inv(view_affine) @ affine
        for z in range(full[2]):
            inside = _inside(to_view, z, full, view_shape)
            covered[..., z] |= inside
            if inside.any():
                values = _sample(cells, to_cells, z, inside)
                result[..., z][inside] = np.maximum(result[..., z][inside], values)
    return result.reshape(shape), covered.reshape(shape)


def _inside(to_view: NDArray[np.float64], z: int, full: tuple[int, ...], view: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which voxels ``(x, y)`` of slice ``z`` the view covers; a 2-D view is one voxel thick."""
    lengths = (*view, 1) if len(view) == 2 else view
    x, y = np.ogrid[: full[0], : full[1]]
    covered = np.ones(full[:2], bool)
    for axis, length in enumerate(lengths):
        index = to_view[axis, 0] * x + to_view[axis, 1] * y + to_view[axis, 2] * z + to_view[axis, 3]
        # Half-open, so that a voxel half-way between two slices belongs to one of them.
        covered &= (index >= -0.5 - 1e-6) & (index < length - 0.5 - 1e-6)
    return covered


def _sample(
    cells: NDArray[np.float32], to_cells: NDArray[np.float64], z: int, inside: NDArray[np.bool_]
) -> NDArray[np.float32]:
    from scipy.ndimage import map_coordinates

    x, y = np.nonzero(inside)
    index = to_cells[:, :3] @ np.stack([x, y, np.full_like(x, z)]).astype(np.float64) + to_cells[:, 3:]
    sampled: NDArray[np.float32] = map_coordinates(cells, index[: cells.ndim], order=1, mode="nearest")
    return sampled
