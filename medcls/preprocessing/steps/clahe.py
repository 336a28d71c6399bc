"""CLAHE: contrast-limited adaptive histogram equalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from medcls.config.settings import Fraction
from medcls.preprocessing.steps.common.step import Context, StepParameters, on_plain

if TYPE_CHECKING:
    from monai.data import MetaTensor
    from torch import Tensor


class Clahe(StepParameters):
    """Even out contrast tile by tile (Zuiderveld 1994; scikit-image ``equalize_adapthist``), slice by slice.

    Values keep their range: 0..1 after scaling, or lowest to highest otherwise. Colour is equalised in its brightness alone.
    """

    name: ClassVar[str] = "clahe"

    clip_limit: Fraction = Field(0.01, description="How steep the equalisation may become; higher is more contrast.")
    tiles: Annotated[int, Field(ge=1, le=64)] = Field(8, description="Tiles along each side.")

    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Equalise ``(C, x, y, z)``; an image of one value stays as it is."""
        import torch

        low, high = min(0.0, float(image.min())), max(1.0, float(image.max()))
        if float(image.min()) == float(image.max()):
            return image

        def change(plain: Tensor) -> Tensor:
            unit = np.asarray((plain.numpy() - low) / (high - low), dtype=np.float32)
            slices = [unit] if context.flat else [unit[..., k] for k in range(unit.shape[3])]
            evened = np.stack([self._equalise(each) for each in slices], axis=3)
            evened = evened[..., 0] if context.flat else evened
            return torch.from_numpy((evened * (high - low) + low).astype(np.float32))

        return on_plain(image, context, change)

    def _equalise(self, picture: NDArray[np.float32]) -> NDArray[np.float64]:
        from skimage.exposure import equalize_adapthist

        kernel = tuple(max(1, n // self.tiles) for n in picture.shape[1:])
        if len(picture) == 3:  # scikit-image takes colour with the channel last, and works on HSV's value
            colour = equalize_adapthist(np.moveaxis(picture, 0, -1), kernel_size=kernel, clip_limit=self.clip_limit)
            return np.moveaxis(colour, -1, 0)
        flat = [picture.min() == picture.max() for picture in picture]
        return np.stack(
            [
                channel if same else equalize_adapthist(channel, kernel_size=kernel, clip_limit=self.clip_limit)
                for channel, same in zip(picture, flat, strict=True)
            ]
        )
