"""What a config file may say of a 2-D network that goes over the slices of a volume."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from medcls.config.sections.section import Section

SlicePooling = Literal["mean", "max", "attention", "gru", "lstm", "transformer"]


class SliceSettings(Section):
    """A 2-D network over all slices of a volume, and what joins them."""

    plane: Literal["z", "y", "x", "three"] = Field(
        "z",
        description="Axis of the prepared volume that slices are cut across (z, y and x are axial, coronal and sagittal slices "
        "as recipes turn volumes), or all three with one network.",
    )
    neighbours: Literal[0, 1, 2] = Field(
        0, description="Slices on each side of a slice that the network sees with it, as further channels."
    )
    pooling: SlicePooling = Field(
        "attention",
        description="What joins the slices: their mean, the maximum of each feature, gated attention, or the mean and a GRU, "
        "an LSTM or a transformer layer over their sequence.",
    )

    @property
    def thickness(self) -> int:
        """How many slices the network sees at once."""
        return 2 * self.neighbours + 1
