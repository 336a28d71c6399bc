"""Resampling an upright grid one axis after the other, slice by slice as the slices come.

Index ``i`` of an axis that goes from ``n`` to ``m`` voxels is at ``(i + 1/2) n / m - 1/2`` of the old axis, and is the mean
of the voxels around it, weighted by a triangle as wide as two new voxels where the axis shrinks (an anti-aliased area), and as
two old ones where it grows (linear interpolation). These are the weights of torch's ``interpolate`` with ``antialias``, which
:func:`medcls.preprocessing.steps.common.resampling.resample_to` takes for a whole volume.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.float32]


def resampling_weights(old: int, new: int) -> csr_array:
    """Weights ``(new, old)``, float32, that take an axis of ``old`` voxels to one of ``new``; each row adds up to 1."""
    ratio = old / new
    reach = max(ratio, 1.0)
    centres = (np.arange(new) + 0.5) * ratio
    first = np.maximum((centres - reach + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + reach + 0.5).astype(np.int64), old)
    columns = first[:, None] + np.arange(int((last - first).max()))
    distances = np.abs(columns + 0.5 - centres[:, None]) / reach
    weights = np.where(columns < last[:, None], np.maximum(1.0 - distances, 0.0), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    rows, places = np.nonzero(weights)
    values = weights[rows, places].astype(np.float32)
    return csr_array((values, (rows, columns[rows, places])), shape=(new, old))


class SliceResampler:
    """A new grid over the same field of view, filled while the slices of the old one pass.

    In memory are the new grid and one slice.

    Args:
        shape: Old ``(x, y, z)``.
        wanted: New ``(x, y, z)``.
    """

    def __init__(self, shape: Sequence[int], wanted: Sequence[int]) -> None:
        self._across, self._down = (resampling_weights(shape[axis], wanted[axis]) for axis in (0, 1))
        through = resampling_weights(shape[2], wanted[2]).tocsc()
        self._through = [
            list(zip(through.indices[a:b].tolist(), through.data[a:b].tolist(), strict=True))
            for a, b in zip(through.indptr[:-1], through.indptr[1:], strict=True)
        ]
        self._grid: Floats = np.zeros((wanted[2], wanted[0], wanted[1]), np.float32)
        self._number = 0

    def add(self, pixels: NDArray[np.generic]) -> None:
        """Take the next slice ``(y, x)``; it is not kept."""
        plane = self._plane(pixels.astype(np.float32, order="C"))
        for place, weight in self._through[self._number]:
            self._grid[place] += np.float32(weight) * plane
        self._number += 1

    def volume(self) -> Floats:
        """What was made of all slices: ``(x, y, z)``.

        Raises:
            ValueError: Slices are missing.
        """
        if self._number != len(self._through):
            raise ValueError(f"{self._number} of {len(self._through)} slices passed")
        return self._grid.transpose(1, 2, 0)

    def _plane(self, pixels: Floats) -> Floats:
        """``(y, x)`` to the new ``(x, y)``; the axis that shrinks more goes first, so that the other has less to do."""
        (rows, down), (columns, across) = self._down.shape, self._across.shape
        if rows / down <= columns / across:
            plane: Floats = self._across @ np.ascontiguousarray((self._down @ pixels).T)
            return plane
        narrow: Floats = self._across @ np.ascontiguousarray(pixels.T)
        return np.ascontiguousarray((self._down @ np.ascontiguousarray(narrow.T)).T)
