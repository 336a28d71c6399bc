"""Blank everything outside the patient: table, blankets, and noise in the air."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from medcls.preprocessing.steps.common.foreground import find_foreground
from medcls.preprocessing.steps.common.step import Context, StepParameters, affine_of, make_image

if TYPE_CHECKING:
    from monai.data import MetaTensor

_LONGEST = 256


class SegmentForeground(StepParameters):
    """Set voxels outside the foreground to the lowest value inside the image.

    The foreground is that of :mod:`medcls.preprocessing.steps.common.foreground`.
    """

    name: ClassVar[str] = "segment_foreground"

    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Blank ``(C, x, y, z)`` outside; an image without any foreground stays whole."""
        import torch

        mask = torch.from_numpy(find_foreground(image, context, longest=_LONGEST).full())
        if not mask.any():
            return image
        plain = image.as_tensor()
        return make_image(torch.where(mask, plain, plain.amin()), affine_of(image))
