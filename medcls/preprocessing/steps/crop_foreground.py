"""Crop to the patient: the body on CT, the head on MR."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from medcls.preprocessing.steps.common.components import bounding_box
from medcls.preprocessing.steps.common.cropping import crop_to
from medcls.preprocessing.steps.common.foreground import find_foreground
from medcls.preprocessing.steps.common.step import Context, StepParameters

if TYPE_CHECKING:
    from monai.data import MetaTensor

_LONGEST = 128
_SMALLEST = 0.1


class CropForeground(StepParameters):
    """Keep the box around the foreground (:mod:`medcls.preprocessing.steps.common.foreground`) and a margin."""

    name: ClassVar[str] = "crop_foreground"

    margin: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.02, description="Kept around the box, as a fraction of each side of the image."
    )

    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Crop ``(C, x, y, z)``; an image without a believable foreground stays whole."""
        found = find_foreground(image, context, longest=_LONGEST)
        box = bounding_box(found.mask, smallest=_SMALLEST)
        if box is None:
            return image
        # One thinned voxel more on each side: the border may be anywhere between two of them.
        margins = [
            round(self.margin * n) + (s if s > 1 else 0) for n, s in zip(found.shape, found.strides, strict=True)
        ]
        starts = [a * s - m for a, s, m in zip(box[0], found.strides, margins, strict=True)]
        ends = [b * s + m for b, s, m in zip(box[1], found.strides, margins, strict=True)]
        return crop_to(image, starts, ends)
