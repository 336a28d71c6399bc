"""Gamma: brighten or darken the middle greys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from medcls.preprocessing.steps.common.step import Context, StepParameters, affine_of, make_image

if TYPE_CHECKING:
    from monai.data import MetaTensor


class Gamma(StepParameters):
    """Raise values to a power between the image's lowest and highest (MONAI ``AdjustContrast``)."""

    name: ClassVar[str] = "gamma"

    gamma: Annotated[float, Field(gt=0, le=10)] = Field(0.8, description="Exponent: below 1 brightens.")

    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Change ``(C, x, y, z)``."""
        from monai.transforms import AdjustContrast

        return make_image(AdjustContrast(gamma=self.gamma)(image.as_tensor()), affine_of(image))
