"""Resize: bring every image to the one size that the network is built for."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from medcls.preprocessing.steps.common.resampling import resample_to
from medcls.preprocessing.steps.common.step import Context, StepParameters, spacing_of

if TYPE_CHECKING:
    from monai.data import MetaTensor


class Resize(StepParameters):
    """Resample to fit, and pad (MONAI ``SpatialPad``) or crop (MONAI ``ResizeWithPadOrCrop``) around the middle.

    ``pad`` keeps lengths in proportion, in millimetres where the scan has them: one factor for all axes, and the rest is
    filled with the lowest value. ``stretch`` fills the size and bends proportions. ``crop`` does not resample at all: with
    ``spacing``, a voxel keeps its size in every scan, and what is outside is lost.
    """

    name: ClassVar[str] = "resize"
    required: ClassVar[bool] = True

    mode: Literal["pad", "stretch", "crop"] = Field(
        "pad", description="pad: keep proportions; stretch: fill; crop: keep the voxel size, cut or pad the rest."
    )

    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Give ``(C, x, y, z)`` the context's size."""
        from monai.transforms import ResizeWithPadOrCrop, SpatialPad

        low = float(image.min())
        if self.mode == "crop":
            return ResizeWithPadOrCrop(context.size, mode="constant", value=low)(image)
        if self.mode == "stretch":
            return resample_to(image, context.size)
        return SpatialPad(context.size, mode="constant", value=low)(resample_to(image, _fitting(image, context)))


def _fitting(image: MetaTensor, context: Context) -> tuple[int, ...]:
    """The largest shape within the size that keeps the proportions of lengths."""
    shape = np.array(image.shape[1:], dtype=float)
    size = np.array(context.size, dtype=float)
    lengths = shape * spacing_of(image)
    active = slice(0, context.active)
    factor = float((size[active] / lengths[active]).min())
    fitted = np.clip(np.round(lengths * factor), 1, size)
    if context.flat:
        fitted[2] = 1
    return tuple(int(n) for n in fitted)
