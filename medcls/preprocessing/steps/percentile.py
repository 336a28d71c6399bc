"""Percentile scaling: the usual range of an image becomes 0..1, whatever units it came in."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from medcls.preprocessing.steps.common.step import UNIT, Context, Ranges, StepParameters, affine_of, make_image

if TYPE_CHECKING:
    from monai.data import MetaTensor

Percent = Annotated[float, Field(ge=0, le=100)]


class Percentile(StepParameters):
    """Scale between two percentiles of all channels together, and clip (MONAI ``ScaleIntensityRangePercentiles``)."""

    name: ClassVar[str] = "percentile"

    lower: Percent = Field(1.0, description="This percentile becomes 0.")
    upper: Percent = Field(99.0, description="This percentile becomes 1.")

    @model_validator(mode="after")
    def _rising(self) -> Percentile:
        if self.lower >= self.upper:
            raise ValueError("lower must be below upper")
        return self

    def range_after(self, before: Ranges | None, planes: int) -> Ranges:
        """0..1."""
        return UNIT

    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Scale ``(C, x, y, z)``."""
        return between_percentiles(image, self.lower, self.upper)


def between_percentiles(image: MetaTensor, lower: float, upper: float) -> MetaTensor:
    """Scale to 0..1 and clip.

    Where both percentiles fall on one value, as in a mask that fills less than a hundredth of its volume, lowest and
    highest value take their place; an image of one value becomes 0.
    """
    from monai.transforms import ScaleIntensityRangePercentiles

    plain = image.as_tensor()
    low, high = np.percentile(plain.numpy(), (lower, upper))
    if low == high:
        lower, upper = 0.0, 100.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI warns of an image of one value, and does the right thing
        scaled = ScaleIntensityRangePercentiles(lower, upper, 0.0, 1.0, clip=True)(plain)
    return make_image(scaled, affine_of(image))
