"""Where the patient is: the body on CT, the head or limb on anything else.

Masks are computed on a thinned grid, because a border to within a voxel or two is all that cropping and statistics need.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medcls.preprocessing.steps.common.components import largest_parts
from medcls.preprocessing.steps.common.step import Context

if TYPE_CHECKING:
    from monai.data import MetaTensor

_BODY_HU = -500.0  # halfway between air (-1000 HU) and water (0 HU)
_SAME = 1e-6  # less than float32 can tell apart: an image of one value, but for rounding
_LONG_ENOUGH = 8
_SIDE_PART = 0.1  # arms, legs and breasts beside the trunk stay; a table's edge or a marker does not


@dataclass(frozen=True, eq=False)
class Foreground:
    """A mask on every ``strides``-th voxel of an image.

    Attributes:
        mask: ``(x', y', z')`` bool, with ``x' = ceil(x / strides[0])`` and so on.
        strides: Thinning along each axis.
        shape: Spatial shape ``(x, y, z)`` of the image.
    """

    mask: NDArray[np.bool_]
    strides: tuple[int, int, int]
    shape: tuple[int, int, int]

    def full(self) -> NDArray[np.bool_]:
        """The mask on the image's own grid, ``(x, y, z)``, by nearest neighbour."""
        full = self.mask
        for axis, (stride, length) in enumerate(zip(self.strides, self.shape, strict=True)):
            full = np.repeat(full, stride, axis=axis).take(range(length), axis=axis)
        return full


def find_foreground(image: MetaTensor, context: Context, *, longest: int) -> Foreground:
    """Threshold, drop small parts, fill holes.

    The threshold is -500 HU on CT; else Otsu's (1979, doi:10.1109/TSMC.1979.4310076) or the mean, whichever is lower, so
    that dark tissue is rather kept than lost.

    Args:
        image: ``(C, x, y, z)``; channels are averaged.
        context: Tells whether values are Hounsfield units.
        longest: Longest side of the thinned grid, in voxels.
    """
    shape = tuple(int(n) for n in image.shape[1:])
    strides = tuple(max(1, -(-n // longest)) for n in shape)
    thin = image.as_tensor()[:, :: strides[0], :: strides[1], :: strides[2]].mean(0).numpy()
    threshold = _BODY_HU if context.hounsfield else _otsu_or_mean(thin)
    mask = thin > threshold
    opened = opened_mask(mask)
    mask = largest_parts(opened if opened.any() else mask, at_least=_SIDE_PART)
    mask = filled_mask(mask)
    return Foreground(mask, strides, shape)  # type: ignore[arg-type]


def _otsu_or_mean(values: NDArray[np.float32]) -> float:
    from skimage.filters import threshold_otsu

    low, high = float(values.min()), float(values.max())
    if high - low <= _SAME * max(1.0, abs(low), abs(high)):
        return high
    return min(float(threshold_otsu(values.ravel())), float(values.mean(dtype=np.float64)))


def opened_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What is left of ``(x, y, z)`` after one step of erosion and one of dilation by face neighbours (a binary opening).

    Outside the mask is background. It does not reach along an axis that is too short to open.
    """
    axes = [axis for axis, length in enumerate(mask.shape) if length >= _LONG_ENOUGH]
    eroded = mask.copy()
    for here, there in _neighbours(axes):
        eroded[here] &= mask[there]
    for axis in axes:
        for end in (0, -1):
            eroded[(slice(None),) * axis + (end,)] = False
    opened = eroded.copy()
    for here, there in _neighbours(axes):
        opened[here] |= eroded[there]
    return opened


def _neighbours(axes: Sequence[int]) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Pairs of places: voxels, and their neighbours on one side."""
    for axis in axes:
        before = (slice(None),) * axis
        low, high = (*before, slice(None, -1)), (*before, slice(1, None))
        yield low, high
        yield high, low


def filled_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill holes slice by slice: lungs open to the image's upper or lower end still count as inside the body."""
    from scipy import ndimage

    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[:, 1, 1] = in_plane[1, :, 1] = True
    labels, count = ndimage.label(~mask, structure=in_plane)
    outside = np.zeros(count + 1, bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        outside[edge.ravel()] = True
    outside[0] = False  # the mask itself
    filled: NDArray[np.bool_] = ~outside[labels]
    return filled
