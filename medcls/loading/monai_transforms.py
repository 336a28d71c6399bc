"""MONAI's own random transforms, by name: image by image, on the processor, each image by a seed of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from medcls.config.settings import MonaiTransform
from medcls.errors import ConfigError, in_words


class MonaiTransforms:
    """Transforms that run one after the other.

    Args:
        chosen: Names and parameters, as the config has checked them.

    Raises:
        ConfigError: MONAI refuses the parameters.
    """

    def __init__(self, chosen: Sequence[MonaiTransform]) -> None:
        self._names = [one.name for one in chosen]
        self._transforms = [_build(one, number) for number, one in enumerate(chosen)]

    def __call__(self, images: Tensor, seeds: Sequence[int]) -> Tensor:
        """Change a batch.

        Args:
            images: ``(B, C, *shape)`` float32.
            seeds: One for each image, below 2**32.

        Returns:
            The same shape and device, float32.

        Raises:
            ConfigError: A transform fails on an image of this shape, or changes the shape.
        """
        if not self._transforms:
            return images
        # A few of them draw from torch's own generator, which gets the image's seed for them, and its state back after.
        with torch.random.fork_rng(devices=[]):
            changed = [self._change(image.cpu().clone(), seed) for image, seed in zip(images, seeds, strict=True)]
        return torch.stack(changed).to(images.device)

    def _change(self, image: Tensor, seed: int) -> Tensor:
        for number, transform in enumerate(self._transforms):
            where = f"augmentation.monai.{number}"
            transform.set_random_state(seed=(seed + number) % 2**32)
            torch.manual_seed(seed + number)
            try:
                changed = torch.as_tensor(transform(image), dtype=torch.float32).as_subclass(Tensor)
            except Exception as error:  # a library's own faults have any type
                raise ConfigError(
                    f"'{self._names[number]}' fails on an image of shape {tuple(image.shape)}: {in_words(error)}",
                    where=where,
                    remedy="Check its parameters in MONAI's documentation",
                ) from error
            if changed.shape != image.shape:
                raise ConfigError(
                    f"'{self._names[number]}' makes {tuple(changed.shape)} of an image of shape {tuple(image.shape)}",
                    where=where,
                    remedy="Choose parameters that keep the shape",
                )
            image = changed
        return image


def _build(chosen: MonaiTransform, number: int) -> Any:
    import monai.transforms

    # The name is one of a fixed table (medcls.config.monai_transforms), so no other attribute can be reached.
    kind = getattr(monai.transforms, chosen.name)
    try:
        return kind(**chosen.parameters)
    except Exception as error:  # a library's own faults have any type
        given = ", ".join(f"{name} {value}" for name, value in chosen.parameters.items())
        raise ConfigError(
            f"MONAI refuses the parameters of '{chosen.name}': {given or 'it needs some'}",
            where=f"augmentation.monai.{number}",
            remedy="Check them in MONAI's documentation",
        ) from error
