"""Z-score: mean 0 and standard deviation 1 inside the patient, for images whose units mean nothing (MR)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from medcls.config.settings import Positive
from medcls.preprocessing.steps.common.foreground import find_foreground
from medcls.preprocessing.steps.common.step import Context, Ranges, StepParameters, affine_of, make_image

if TYPE_CHECKING:
    from monai.data import MetaTensor

_LONGEST = 256
_CERTAINLY_HU = -100.0


class ZScore(StepParameters):
    """Subtract the mean and divide by the standard deviation of the foreground (MONAI ``NormalizeIntensity``).

    The foreground is that of :mod:`medcls.preprocessing.steps.common.foreground`; without one, all voxels count. An image of
    one value becomes 0.
    """

    name: ClassVar[str] = "zscore"

    clip: Positive | None = Field(5.0, description="Values beyond so many standard deviations are cut off; null: none.")

    def range_after(self, before: Ranges | None, planes: int) -> None:
        """Nothing is certain but the clip, which is far wider than most values."""
        return None

    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Normalise each channel of ``(C, x, y, z)``."""
        from monai.transforms import NormalizeIntensity

        plain = image.as_tensor()
        # After a window the values are no longer Hounsfield units, and the body is found as on any other image.
        context = replace(context, hounsfield=context.hounsfield and float(plain.min()) < _CERTAINLY_HU)
        mask = find_foreground(image, context, longest=_LONGEST).full()
        inside = plain.numpy()[:, mask] if mask.any() else plain.flatten(1).numpy()
        means = inside.mean(axis=1, dtype=np.float64)
        deviations = inside.std(axis=1, dtype=np.float64)
        deviations[deviations < 1e-6 * (1 + np.abs(means))] = 1.0
        changed = NormalizeIntensity(means.tolist(), deviations.tolist(), channel_wise=True)(plain.clone())
        if self.clip is not None:
            changed = changed.clamp(-self.clip, self.clip)
        return make_image(changed, affine_of(image))
