"""What a config file may say of augmentation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from medcls.config.monai_transforms import check_monai_transform
from medcls.config.sections.section import Count, Section


class MonaiTransform(BaseModel):
    """A MONAI random transform by name, with its own parameters: plain values alone."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    name: str = Field(description="Its class in monai.transforms, as RandGibbsNoise.")

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters by name."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _is_known(self) -> MonaiTransform:
        check_monai_transform(self.name, self.parameters)
        return self


class PolicySettings(Section):
    """A few changes for each image, drawn among those that the region or the config allows, in place of all of them."""

    operations: Count = Field(2, description="How many different changes each image gets.")
    magnitude: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="How far each of them may go, as a fraction of its largest."
    )


class AugmentationSettings(Section):
    """Data augmentation: random changes of training images; null takes the region's own."""

    enabled: bool = Field(True, description="Whether training uses data augmentation (random changes of the images).")
    flip: list[Literal["x", "y", "z"]] | None = Field(None, description="Axes that may be mirrored.")
    rotate: Annotated[float, Field(ge=0, le=180)] | None = Field(None, description="Largest rotation, degrees.")
    scale: Annotated[float, Field(ge=0, lt=1)] | None = Field(None, description="Largest zoom, as a fraction.")
    translate: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="Largest shift, as a fraction of the size."
    )
    noise: Annotated[float, Field(ge=0)] | None = Field(None, description="Largest Gaussian noise, in input units.")
    contrast: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="Largest contrast change, as a fraction."
    )
    brightness: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Largest brightness shift, in input units."
    )
    blur: Annotated[float, Field(ge=0)] | None = Field(None, description="Largest Gaussian blur, in voxels.")
    crop: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="Largest part of each axis that is cut away before the rest is brought back to full size."
    )
    elastic: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Largest elastic bending: standard deviation of a voxel's shift, in voxels."
    )
    elastic_spacing: Count = Field(16, description="How far apart voxels are bent independently, in voxels.")
    gamma: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="Largest change of the exponent that values are bent by, about 1."
    )
    bias_field: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Largest coefficient of the logarithm of an MR bias field."
    )
    policy: PolicySettings | None = Field(
        None,
        description="Each image gets a few changes, drawn among those that are allowed (RandAugment); null: each gets all.",
    )
    mixup: Annotated[float, Field(ge=0)] = Field(
        0.0, description="Mix each image and its target with another's; alpha of the Beta distribution; 0: off."
    )
    cutmix: Annotated[float, Field(ge=0)] = Field(
        0.0, description="Paste a box of another image, and mix the targets; alpha of the Beta distribution; 0: off."
    )
    monai: list[MonaiTransform] = Field(
        [],
        description="MONAI random transforms, {name: RandGibbsNoise, prob: 0.3, …}, image by image, after the others.",
    )
