"""Views: several random changes of each image, by what the region allows."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from medcls.loading import Augmentation


@dataclass(frozen=True)
class Views:
    """So many views of each image.

    Attributes:
        augmentation: How each is changed.
        count: How many there are.
    """

    augmentation: Augmentation
    count: int

    @classmethod
    def of(cls, allowed: Augmentation | None, count: int, *, crop: float, seed: int) -> Views:
        """Views by the augmentation of a region, and a random crop.

        Args:
            allowed: What the region and the config allow; ``None``: nothing but the crop.
            count: How many there are.
            crop: Largest part of each axis that is cut away; less than the augmentation's own changes nothing.
            seed: The run's.
        """
        augmentation = allowed or Augmentation(seed=seed)
        return cls(replace(augmentation, crop=max(augmentation.crop, crop)), count)

    def __call__(self, images: Tensor, keys: Tensor, *, epoch: int) -> list[Tensor]:
        """The views, each of the shape of ``images``; see :class:`medcls.loading.Augmentation`."""
        return [self.augmentation(images, keys * self.count + one, epoch=epoch) for one in range(self.count)]
