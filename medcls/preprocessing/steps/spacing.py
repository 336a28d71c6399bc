"""Spacing: bring the voxels of a scan to one size, so that equal lengths look equal in every scan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from medcls.config.settings import Positive
from medcls.preprocessing.steps.common.resampling import resample_to, straighten
from medcls.preprocessing.steps.common.step import Context, StepParameters, spacing_of

if TYPE_CHECKING:
    from monai.data import MetaTensor


class Spacing(StepParameters):
    """Resample to a voxel size; volumes with a sheared affine (tilted gantry) are put on a right-angled grid first.

    The field of view is kept to a hair, so the voxel size comes out as near to the wanted one as a whole number of voxels
    allows. Scans of which no lengths are known stay as they are.
    """

    name: ClassVar[str] = "spacing"

    millimetres: Annotated[list[Positive], Field(min_length=1, max_length=3)] = Field(
        [2.0], description="Voxel size along each axis; one number for all."
    )

    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Resample ``(C, x, y, z)``; a flat image only along x and y."""
        if not context.sized:
            return image
        if not context.flat:
            image = straighten(image)
        return resample_to(image, self.shape(tuple(image.shape[1:]), spacing_of(image), context.active))

    def shape(self, shape: Sequence[int], spacing: Sequence[float] | NDArray[np.float64], active: int) -> list[int]:
        """Voxels along each axis that come nearest to the wanted size; only the first ``active`` axes change."""
        wanted = self.millimetres * 3 if len(self.millimetres) == 1 else self.millimetres
        new = [int(n) for n in shape]
        for axis, (now, then) in enumerate(zip(spacing[:active], wanted, strict=False)):
            new[axis] = max(1, round(new[axis] * now / then))
        return new
