"""Turning voxel axes by quarters and flips, as views: no voxel is copied or changes its value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LABELS = (("L", "R"), ("P", "A"), ("I", "S"))


def turns_to(affine: NDArray[np.float64], axes: str) -> NDArray[np.float64]:
    """Orientation ``(3, 2)`` in nibabel's sense: for each axis that is there, which axis it becomes, and 1 or -1.

    Args:
        affine: ``(4, 4)`` voxel index to RAS+ millimetres.
        axes: Where x, y and z shall point: one letter of each of L/R, P/A, I/S.
    """
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    turns: NDArray[np.float64] = ornt_transform(io_orientation(affine), axcodes2ornt(axes, LABELS))
    return turns


def turn(array: NDArray[Any], turns: NDArray[np.float64]) -> NDArray[Any]:
    """A view of ``(C, x, y, z)`` with its axes turned."""
    flipped = array[(slice(None), *(slice(None, None, int(step)) for step in turns[:, 1]))]
    order = np.argsort(turns[:, 0]).astype(int)
    return flipped.transpose(0, *(1 + order))


def turned_affine(
    affine: NDArray[np.float64], turns: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """The affine of :func:`turn`'s result, given that of its argument and the spatial shape ``(x, y, z)`` before."""
    from nibabel.orientations import inv_ornt_aff

    turned: NDArray[np.float64] = affine @ inv_ornt_aff(turns, shape)
    return turned
