"""N4: even out the slow change of brightness across an MR image that the receive coil makes."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from medcls.config.settings import Count
from medcls.errors import MissingExtraError
from medcls.preprocessing.steps.common.foreground import find_foreground
from medcls.preprocessing.steps.common.step import Context, StepParameters, on_plain, spacing_of

if TYPE_CHECKING:
    from monai.data import MetaTensor
    from torch import Tensor

_LONGEST = 256


class N4(StepParameters):
    """N4 bias-field correction inside the foreground (Tustison 2010, doi:10.1109/TMI.2010.2046908; SimpleITK)."""

    name: ClassVar[str] = "n4"

    shrink: Count = Field(4, description="The field is fitted on every so many voxels.")
    iterations: Annotated[list[Count], Field(min_length=1, max_length=6)] = Field(
        [50, 50, 50], description="Most iterations at each level of refinement."
    )

    def check(self, channels: int) -> None:
        """The step needs SimpleITK."""
        if importlib.util.find_spec("SimpleITK") is None:
            raise MissingExtraError("SimpleITK", extra="n4", purpose="the preprocessing step 'n4'")

    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Correct each channel of ``(C, x, y, z)``; an image without foreground stays as it is."""
        import torch

        self.check(context.channels)
        mask = find_foreground(image, context, longest=_LONGEST).full()
        if not mask.any() or float(image.min()) == float(image.max()):
            return image
        spacing = [float(s) for s in spacing_of(image)]

        def change(plain: Tensor) -> Tensor:
            inside = mask[..., 0] if context.flat else mask
            corrected = [self._correct(channel.numpy(), inside, spacing[: channel.ndim]) for channel in plain]
            return torch.from_numpy(np.stack(corrected))

        return on_plain(image, context, change)

    def _correct(
        self, channel: NDArray[np.float32], inside: NDArray[np.bool_], spacing: list[float]
    ) -> NDArray[np.float32]:
        import SimpleITK as sitk

        # The field multiplies, so values must be positive; SimpleITK has the axes in reverse order.
        low = float(channel.min())
        whole = sitk.GetImageFromArray(np.ascontiguousarray((channel - low + 1).T))
        area = sitk.GetImageFromArray(np.ascontiguousarray(inside.T.astype(np.uint8)))
        for item in (whole, area):
            item.SetSpacing(spacing)
        factors = [max(1, min(self.shrink, n // 8)) for n in whole.GetSize()]
        corrector = sitk.N4BiasFieldCorrectionImageFilter()
        corrector.SetMaximumNumberOfIterations(self.iterations)
        corrector.Execute(sitk.Shrink(whole, factors), sitk.Shrink(area, factors))
        field = sitk.Exp(corrector.GetLogBiasFieldAsImage(whole))
        evened = sitk.GetArrayFromImage(whole / sitk.Cast(field, whole.GetPixelID())).T
        return np.asarray(evened - 1 + low, dtype=np.float32)
