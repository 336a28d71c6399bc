"""Cut an image to a box; the affine follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monai.data import MetaTensor


def crop_to(image: MetaTensor, starts: Sequence[int], ends: Sequence[int]) -> MetaTensor:
    """Cut ``(C, x, y, z)`` to ``starts <= index < ends``, held inside the image (MONAI ``SpatialCrop``)."""
    from monai.transforms import SpatialCrop

    shape = image.shape[1:]
    starts = [max(0, int(s)) for s in starts]
    ends = [min(int(n), int(e)) for n, e in zip(shape, ends, strict=True)]
    return SpatialCrop(roi_start=starts, roi_end=ends)(image)
