"""Crop the black border that endoscopes and screen exports leave around the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from medcls.config.settings import Fraction
from medcls.preprocessing.steps.common.components import bounding_box, largest_parts
from medcls.preprocessing.steps.common.cropping import crop_to
from medcls.preprocessing.steps.common.step import Context, StepParameters

if TYPE_CHECKING:
    from monai.data import MetaTensor

_SMALLEST = 0.2


class CropBorder(StepParameters):
    """Keep the box around the largest lit area; letters and marks in the border do not belong to it."""

    name: ClassVar[str] = "crop_border"

    threshold: Fraction = Field(0.08, description="Lit: brighter than this part of the brightest.")
    margin: Annotated[int, Field(ge=0)] = Field(0, description="Pixels kept around the box.")

    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Crop columns and rows of ``(C, x, y, z)``; an image without a believable lit area stays whole."""
        light = image.as_tensor().amax(dim=(0, 3)).numpy()
        low = 0.0 if context.full_scale else float(light.min())
        high = float(np.percentile(light, 99))
        if high <= low:
            return image
        lit = largest_parts(light > low + self.threshold * (high - low), at_least=1.0)
        box = bounding_box(lit, smallest=_SMALLEST)
        if box is None:
            return image
        starts, ends = box
        return crop_to(
            image,
            (*(s - self.margin for s in starts), 0),
            (*(e + self.margin for e in ends), image.shape[3]),
        )
