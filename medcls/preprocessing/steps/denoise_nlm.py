"""Non-local means: averages patches that look alike, so that noise goes and edges stay."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from medcls.config.settings import Count, Positive
from medcls.preprocessing.steps.common.step import Context, StepParameters, on_plain

if TYPE_CHECKING:
    from monai.data import MetaTensor
    from torch import Tensor

_LAPLACIANS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float64)


class DenoiseNlm(StepParameters):
    """Non-local means (Buades 2005, doi:10.1109/CVPR.2005.38; scikit-image ``denoise_nl_means``), slice by slice."""

    name: ClassVar[str] = "denoise_nlm"

    strength: Positive = Field(0.8, description="Cut-off of patch distance, in multiples of the measured noise.")
    patch: Annotated[int, Field(ge=3, le=15)] = Field(5, description="Patch size, in voxels.")
    distance: Count = Field(6, description="How far patches are searched for, in voxels.")

    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Filter ``(C, x, y, z)``; an image without measurable noise stays as it is."""
        import torch

        def change(plain: Tensor) -> Tensor:
            values = plain.numpy()
            if context.flat:
                return torch.from_numpy(self._filter(values))
            slices = [self._filter(values[..., k]) for k in range(values.shape[3])]
            return torch.from_numpy(np.stack(slices, axis=3))

        return on_plain(image, context, change)

    def _filter(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        from skimage.restoration import denoise_nl_means

        sigma = noise_level(picture)
        if sigma == 0 or min(picture.shape[1:]) < self.patch:
            return picture
        colour = len(picture) > 1
        filtered = denoise_nl_means(
            np.moveaxis(picture, 0, -1) if colour else picture[0],
            patch_size=self.patch,
            patch_distance=self.distance,
            h=self.strength * sigma,
            sigma=sigma,
            fast_mode=True,
            channel_axis=-1 if colour else None,
        )
        return np.asarray(np.moveaxis(filtered, -1, 0) if colour else filtered[None], dtype=np.float32)


def noise_level(picture: NDArray[np.float32]) -> float:
    """Standard deviation of the noise in ``(C, x, y)``, mean over channels (Immerkaer 1996, doi:10.1006/cviu.1996.0060)."""
    from scipy import ndimage

    if min(picture.shape[1:]) < 3:
        return 0.0
    levels = []
    for channel in picture:
        response = ndimage.convolve(channel.astype(np.float64), _LAPLACIANS)[1:-1, 1:-1]
        levels.append(math.sqrt(math.pi / 2) / 6 * float(np.abs(response).mean()))
    return sum(levels) / len(levels)
