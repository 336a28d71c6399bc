"""Gaussian filter: smooths noise and, with it, fine edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from medcls.config.settings import Positive
from medcls.preprocessing.steps.common.step import Context, StepParameters, on_plain

if TYPE_CHECKING:
    from monai.data import MetaTensor
    from torch import Tensor


class DenoiseGaussian(StepParameters):
    """Convolve with a Gaussian (MONAI ``separable_filtering``), edges repeated.

    MONAI's ``GaussianSmooth`` is the same with zeros beyond the edge, which darkens a rim or, in Hounsfield units, lights it.
    """

    name: ClassVar[str] = "denoise_gaussian"

    sigma: Positive = Field(0.7, description="Standard deviation, in voxels.")

    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Filter ``(C, x, y, z)``."""
        import torch
        from monai.networks.layers import gaussian_1d, separable_filtering

        kernel = gaussian_1d(torch.tensor(self.sigma), normalize=True)
        kernels = [kernel] * context.active

        def change(plain: Tensor) -> Tensor:
            smoothed: Tensor = separable_filtering(plain[None], kernels, mode="replicate")[0]
            return smoothed

        return on_plain(image, context, change)
