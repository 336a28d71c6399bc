"""Normalise: subtract and divide by fixed numbers, the same for every image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, model_validator

from medcls.config.settings import Positive
from medcls.preprocessing.steps.common.step import Context, Ranges, StepParameters, affine_of, make_image

if TYPE_CHECKING:
    from monai.data import MetaTensor

# Mean and standard deviation of ImageNet's training pictures, red, green, blue, as torchvision documents them for its weights.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)

Numbers = Annotated[list[float], Field(min_length=1, max_length=8)]
PositiveNumbers = Annotated[list[Positive], Field(min_length=1, max_length=8)]


class Normalise(StepParameters):
    """Channel-wise ``(value - mean) / std`` (MONAI ``NormalizeIntensity``).

    Without numbers, those of ImageNet, which published colour weights expect; their averages for anything but three
    channels. Mean 0.5 and standard deviation 0.5 take 0..1 to -1..1.
    """

    name: ClassVar[str] = "normalise"

    mean: Numbers | None = Field(None, description="One number, or one for each channel.")
    std: PositiveNumbers | None = Field(None, description="One number, or one for each channel.")

    @model_validator(mode="after")
    def _both(self) -> Normalise:
        if (self.mean is None) != (self.std is None):
            raise ValueError("give both mean and std, or neither")
        return self

    def check(self, channels: int) -> None:
        """One number, or one for each channel."""
        for numbers in (self.mean, self.std):
            if numbers is not None and len(numbers) not in (1, channels):
                raise ValueError(f"mean and std need 1 or {channels} numbers, as there are {channels} channels")

    def range_after(self, before: Ranges | None, planes: int) -> Ranges | None:
        """The range before, changed in the same way."""
        if before is None:
            return None
        mean = _spread(self.mean or _IMAGENET_MEAN, planes)
        std = _spread(self.std or _IMAGENET_STD, planes)
        ranges = before * planes if len(before) == 1 else before
        return tuple(((low - m) / s, (high - m) / s) for (low, high), m, s in zip(ranges, mean, std, strict=True))

    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Normalise ``(C, x, y, z)``."""
        from monai.transforms import NormalizeIntensity

        count = int(image.shape[0])
        mean = _spread(self.mean or _IMAGENET_MEAN, count)
        std = _spread(self.std or _IMAGENET_STD, count)
        changed = NormalizeIntensity(mean, std, channel_wise=True)(image.as_tensor().clone())
        return make_image(changed, affine_of(image))


def _spread(numbers: list[float] | tuple[float, ...], count: int) -> list[float]:
    if len(numbers) == count:
        return list(numbers)
    return [sum(numbers) / len(numbers)] * count
