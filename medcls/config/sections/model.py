"""What a config file may say of the network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from medcls.config.network_names import NetworkName
from medcls.config.sections.section import Section, each_once
from medcls.config.sections.slices import SliceSettings
from medcls.errors import ConfigError


class ModelSettings(Section):
    """The network and what it starts from."""

    name: NetworkName = Field(
        "densenet121", description="Which network: one of medcls', or one that an installed package adds."
    )
    weights: str | None = Field(
        None,
        description="Starting weights: a file; a named source (imagenet, radimagenet, medicalnet, astra, or one of the "
        "site's own index); auto: the best that is on this machine; null: random.",
    )
    weights_sha256: Annotated[str, Field(pattern=r"^\s*[0-9A-Fa-f]{8,64}\s*$")] | None = Field(
        None, description="Expected SHA-256 of the weights file: its 64 hexadecimal digits, or the first 8 or more."
    )
    freeze: Annotated[int, Field(ge=0, le=1000)] = Field(
        0, description="How many blocks, counted from the input, are not trained."
    )
    depths: Literal["last", "all"] = Field(
        "last",
        description="Which feature maps the last layer sees: the last; or those of all blocks, by their means and standard "
        "deviations in each cell of the last, which brings texture to a probe.",
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="Dropout before the last layer.")
    mirror: list[Literal["x", "y", "z"]] = Field(
        [],
        description="Axes along which an image is also mirrored when it is classified; scores are averaged (test-time "
        "augmentation).",
    )
    first_stride: Literal[1, 2] = Field(
        2, description="Stride of a ResNet's first convolution; 2 is the published network."
    )
    first_pool: bool = Field(
        True, description="Whether a ResNet pools after its first convolution; false keeps small volumes finer."
    )
    slices: SliceSettings | None = Field(
        None,
        description="A 2-D network over the slices of a volume, in place of a 3-D one; with preprocessing.dimensions: 3.",
    )
    inflate: Literal["i3d", "acs"] | None = Field(
        None,
        description="A 2-D network, and its weights, made 3-D: kernels repeated along the third axis (i3d), or parted into "
        "axial, coronal and sagittal ones (acs); with preprocessing.dimensions: 3.",
    )

    def weights_dimensions(self, dimensions: int) -> int:
        """Spatial axes of the networks whose weights fit, for images of so many."""
        return dimensions if self.slices is None and self.inflate is None else 2

    def in_words(self, dimensions: int) -> str:
        """What a reader is told of the network, for images of so many axes."""
        if self.slices is None:
            return f"{self.name}, {dimensions}-D" + (f", made from 2-D by {self.inflate}" if self.inflate else "")
        together = f", {self.slices.thickness} at a time" if self.slices.neighbours else ""
        axes = "x, y and z" if self.slices.plane == "three" else self.slices.plane
        return f"{self.name}, 2-D, over the slices across {axes}{together}, joined by {self.slices.pooling}"

    def check_dimensions(self, dimensions: int) -> None:
        """Refuse what is for volumes alone where images have two axes.

        Raises:
            ConfigError: So it is.
        """
        if dimensions != 3 and (self.slices or self.inflate):
            raise ConfigError(
                "it takes volumes, and the recipe makes pictures",
                where="model.slices" if self.slices else "model.inflate",
                remedy="Set preprocessing.dimensions to 3, or leave it out: preprocessing.slices chooses slices as pictures",
            )

    @model_validator(mode="after")
    def _one_way_from_2d_to_volumes(self) -> ModelSettings:
        if self.slices is not None and self.inflate is not None:
            raise ValueError("'slices' keeps a network 2-D, and 'inflate' makes it 3-D: give one of them")
        return self

    @field_validator("mirror")
    @classmethod
    def _each_axis_once(cls, value: list[str]) -> list[str]:
        return each_once(value)
