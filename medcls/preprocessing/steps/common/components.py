"""Connected parts of a mask, and the box around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Box = tuple[tuple[int, ...], tuple[int, ...]]


def largest_parts(mask: NDArray[np.bool_], *, at_least: float) -> NDArray[np.bool_]:
    """Keep connected parts that have at least ``at_least`` of the largest part's size; face neighbours connect."""
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept: NDArray[np.bool_] = (sizes >= at_least * sizes.max())[labels] & mask
    return kept


def bounding_box(mask: NDArray[np.bool_], *, smallest: float) -> Box | None:
    """First and one-past-last index along each axis, or ``None`` when the box would be unbelievably small.

    Args:
        mask: Any number of axes.
        smallest: Least believable length, as a fraction of each axis; this is why nothing is ever cropped to nothing.
    """
    starts, ends = [], []
    for axis, length in enumerate(mask.shape):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        hit = np.flatnonzero(mask.any(axis=others))
        if len(hit) == 0 or hit[-1] + 1 - hit[0] < smallest * length:
            return None
        starts.append(int(hit[0]))
        ends.append(int(hit[-1]) + 1)
    return tuple(starts), tuple(ends)
