"""Which slices of a volume feed a 2-D network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from medcls.preprocessing.images.refusals import wrong_dimensions
from medcls.preprocessing.recipes.checks import image_of

if TYPE_CHECKING:
    from monai.data import MetaTensor

Slices = Literal["middle", "all"] | tuple[int, ...] | Mapping[str, int]


def slice_indices(slices: Slices, count: int) -> tuple[int, ...]:
    """Indices of the chosen slices.

    Args:
        slices: ``middle``; ``all``; ``{"every": n}``, placed so that as much is left before the first as after the last;
            or indices, negative ones counted from the end.
        count: How many slices the volume has. A volume of one slice is a picture, and always gives that slice.

    Raises:
        ScanRefused: An index is outside the volume.
    """
    if count == 1:
        return (0,)
    if slices == "middle":
        return (count // 2,)
    if slices == "all":
        return tuple(range(count))
    if isinstance(slices, Mapping):
        step = slices["every"]
        return tuple(range((count - 1) % step // 2, count, step))
    indices = tuple(int(k) for k in slices)
    for k in indices:
        if not -count <= k < count:
            raise wrong_dimensions(
                f"the volume has {count} slices, and the recipe asks for slice {k}",
                "Change preprocessing.slices, for example to middle",
            )
    return tuple(k % count for k in indices)


def cut_slices(array: NDArray[Any], affine: NDArray[np.float64], slices: Slices) -> Iterator[MetaTensor]:
    """Cut ``(C, x, y, z)`` into images of one slice, each with its own affine.

    Raises:
        ScanRefused: As :func:`slice_indices`.
    """
    for k in slice_indices(slices, int(array.shape[3])):
        own = affine.copy()
        own[:3, 3] += k * affine[:3, 2]
        yield image_of(array[..., k : k + 1], own)
