"""Median filter: removes single outlying voxels and keeps edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from medcls.preprocessing.steps.common.step import Context, StepParameters, on_plain

if TYPE_CHECKING:
    from monai.data import MetaTensor
    from torch import Tensor

_MOST_VALUES = 1 << 26  # MONAI lays all neighbourhoods out side by side: 64 million values are 256 MB


class DenoiseMedian(StepParameters):
    """Median over a square or cube around each voxel (MONAI ``MedianSmooth``)."""

    name: ClassVar[str] = "denoise_median"

    radius: Annotated[int, Field(ge=1, le=4)] = Field(1, description="Voxels on each side.")

    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Filter ``(C, x, y, z)``, in slabs along x so that memory stays bounded."""
        import torch
        from monai.transforms import MedianSmooth

        smooth = MedianSmooth(radius=self.radius)
        neighbours = (2 * self.radius + 1) ** context.active

        def change(plain: Tensor) -> Tensor:
            thick = max(1, _MOST_VALUES // (neighbours * plain[:, 0].numel()))
            slabs = []
            for start in range(0, plain.shape[1], thick):
                first = max(0, start - self.radius)
                slab = smooth(plain[:, first : start + thick + self.radius])
                slabs.append(torch.as_tensor(slab)[:, start - first : start - first + thick])
            return torch.cat(slabs, dim=1)

        return on_plain(image, context, change)
