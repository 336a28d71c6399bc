"""Window: stretch a range of Hounsfield units over 0..1, as a radiologist sets a monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import AfterValidator, Field

from medcls.preprocessing.steps.common.step import UNIT, Context, Ranges, StepParameters, affine_of, make_image
from medcls.preprocessing.steps.scale import to_unit

if TYPE_CHECKING:
    from monai.data import MetaTensor


def _rising(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] >= value[1]:
        raise ValueError("a window is [low, high], with low below high")
    return value


Range = Annotated[tuple[float, float], AfterValidator(_rising)]


class Window(StepParameters):
    """One HU window, or one for each channel (MONAI ``ScaleIntensityRange``, clipped).

    Only CT in Hounsfield units can be windowed. A CT slice that was saved as a picture was windowed by whoever saved it, so
    its grey values are brought to 0..1 as they are (see :class:`medcls.preprocessing.steps.scale.Scale`).
    """

    name: ClassVar[str] = "window"

    windows: Annotated[list[Range], Field(min_length=1, max_length=8)] = Field(
        [(-1000.0, 400.0)], description="[low, high] in HU; several make several channels."
    )

    def check(self, channels: int) -> None:
        """As many windows as channels, or one for all."""
        if len(self.windows) not in (1, channels):
            raise ValueError(
                f"{len(self.windows)} windows make {len(self.windows)} channels, but channels is {channels}"
            )

    def range_after(self, before: Ranges | None, planes: int) -> Ranges:
        """0..1."""
        return UNIT

    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Window ``(1, x, y, z)`` into ``(windows, x, y, z)``."""
        import torch
        from monai.transforms import ScaleIntensityRange

        if not context.hounsfield:
            return to_unit(image, context)
        plain = image.as_tensor()
        channels = [ScaleIntensityRange(low, high, 0.0, 1.0, clip=True)(plain) for low, high in self.windows]
        return make_image(torch.cat(channels), affine_of(image))
