"""Scale: the range of the picture's format becomes 0..1."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator

from medcls.preprocessing.steps.common.step import UNIT, Context, Ranges, StepParameters, affine_of, make_image
from medcls.preprocessing.steps.percentile import between_percentiles

if TYPE_CHECKING:
    from monai.data import MetaTensor

_LOWER, _UPPER = 0.5, 99.5


class Scale(StepParameters):
    """Scale a fixed range to 0..1 (MONAI ``ScaleIntensityRange``, clipped).

    Without ``low`` and ``high``, pictures go from black to white: 0..255 of 8 bits, 0..65535 of 16 bits where they use the
    upper half of it; and PET in SUV from 0..20. Where white is not known (a 12-bit image in a 16-bit file) they go from their
    0.5th to their 99.5th percentile, which is noted of pictures.
    """

    name: ClassVar[str] = "scale"

    low: float | None = Field(None, description="This value becomes 0; default: the format's black.")
    high: float | None = Field(None, description="This value becomes 1; default: the format's white.")

    @model_validator(mode="after")
    def _both_and_rising(self) -> Scale:
        if (self.low is None) != (self.high is None):
            raise ValueError("give both low and high, or neither")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("low must be below high")
        return self

    def range_after(self, before: Ranges | None, planes: int) -> Ranges:
        """0..1."""
        return UNIT

    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Scale ``(C, x, y, z)``."""
        if self.low is not None and self.high is not None:
            return _between(image, self.low, self.high)
        return to_unit(image, context)


def to_unit(image: MetaTensor, context: Context) -> MetaTensor:
    """Scale to 0..1 from the format's own range, or from percentiles where the format fixes none."""
    if context.full_scale is not None:
        return _between(image, 0.0, context.full_scale)
    return between_percentiles(image, _LOWER, _UPPER)


def _between(image: MetaTensor, low: float, high: float) -> MetaTensor:
    from monai.transforms import ScaleIntensityRange

    scaled = ScaleIntensityRange(low, high, 0.0, 1.0, clip=True)(image.as_tensor())
    return make_image(scaled, affine_of(image))
