"""Augmentation: random changes of a whole training batch, on the device the batch is on.

All numbers of a draw come from run seed, epoch and the draw's key, so the same seed gives the same batches whatever the
number of workers and however draws are put into batches. Each change has the distribution of a transform of MONAI;
``docs/explanation/augmentation.md`` has the definitions, and where they differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from medcls.config.settings import AugmentationSettings, Kind, MonaiTransform, PolicySettings, Region
from medcls.errors import ConfigError
from medcls.loading.bias_field import add_bias_field
from medcls.loading.elastic import random_displacements
from medcls.loading.monai_transforms import MonaiTransforms
from medcls.loading.spatial import random_affines, resample
from medcls.loading.values import add_noise, blur, change_contrast, change_gamma

Axis = Literal["x", "y", "z"]


@dataclass(frozen=True)
class Augmentation:
    """Which changes are made, and how large they may get. Every change is drawn evenly from nothing to its largest.

    Attributes:
        seed: The run's seed.
        flip: Axes that are mirrored half of the time. In 2-D, ``x`` mirrors left and right, ``y`` up and down.
        rotate: Largest rotation in degrees, either way; in 3-D about each axis.
        scale: Largest zoom, as a fraction, in and out.
        translate: Largest shift along each axis, as a fraction of the size.
        noise: Largest standard deviation of Gaussian noise, in input units.
        contrast: Largest change of contrast about the image's mean, as a fraction.
        brightness: Largest shift of all values, in input units.
        blur: Largest standard deviation of a Gaussian blur along an axis, in voxels; half of the images are blurred.
        crop: Largest part of each axis that is cut away before the rest is brought back to the whole size.
        elastic: Largest standard deviation of an elastic displacement, in voxels.
        elastic_spacing: How far apart voxels are displaced independently, in voxels.
        gamma: Largest change of the exponent that values are bent by.
        bias_field: Largest coefficient of the logarithm of a bias field.
        monai: MONAI's own random transforms, which run image by image after all others.
        policy: How many of the changes each image gets, and how large; ``None``: all. MONAI's are no part of it.
    """

    seed: int = 0
    flip: tuple[Axis, ...] = ()
    rotate: float = 0.0
    scale: float = 0.0
    translate: float = 0.0
    noise: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    blur: float = 0.0
    crop: float = 0.0
    elastic: float = 0.0
    elastic_spacing: int = 16
    gamma: float = 0.0
    bias_field: float = 0.0
    monai: tuple[MonaiTransform, ...] = ()
    policy: PolicySettings | None = None

    @classmethod
    def from_settings(
        cls,
        region: Region,
        settings: AugmentationSettings,
        *,
        kind: Kind = "auto",
        dimensions: int | None = None,
        seed: int = 0,
    ) -> Augmentation | None:
        """The region's augmentation with the config's changes; ``None`` when it is switched off.

        Args:
            region: Body region.
            settings: The config's section; ``None`` in it takes the region's own.
            kind: The recipe's kind: endoscopes have no left and right, abdominal CT has.
            dimensions: 2 or 3, to refuse what makes no sense.
            seed: The run's seed.

        Raises:
            ConfigError: A 2-D image is to be mirrored along ``z``, MONAI refuses a transform's parameters, or the policy asks
                for more changes than are allowed.
        """
        if not settings.enabled:
            return None
        own = _ENDOSCOPY if kind == "endoscopy" or (region == "stomach" and kind == "auto") else _OWN[region]
        numbers = {name: _first(getattr(settings, name), getattr(own, name)) for name in _NUMBERS}
        flip = own.flip if settings.flip is None else tuple(settings.flip)
        if dimensions == 2 and "z" in flip:
            raise ConfigError("a 2-D image has no z axis to mirror", where="augmentation.flip", remedy="Allowed: x, y")
        chosen = cls(
            seed=seed,
            flip=flip,
            elastic_spacing=settings.elastic_spacing,
            monai=tuple(settings.monai),
            policy=settings.policy,
            **numbers,
        )
        if settings.policy is not None and settings.policy.operations > len(chosen.operations):
            raise ConfigError(
                f"{settings.policy.operations} changes for each image, and {len(chosen.operations)} are allowed: "
                f"{', '.join(chosen.operations)}",
                where="augmentation.policy.operations",
            )
        _ = chosen._of_monai  # a parameter that MONAI refuses is found here, before any training
        return chosen

    def __call__(self, images: Tensor, keys: Tensor, *, epoch: int) -> Tensor:
        """Change a batch.

        Args:
            images: ``(B, C, rows, columns)`` or ``(B, C, x, y, z)``, floating point.
            keys: ``(B,)`` integers, different for each draw of an epoch.
            epoch: The epoch.

        Returns:
            A new tensor of the same shape, type and device.
        """
        if self.policy is not None:
            return self._by_policy(self.policy, images, keys, epoch)
        draws = [np.random.default_rng([self.seed, epoch, key]) for key in keys.tolist()]
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            changed = self._change_values(self._change_places(images.float(), draws), draws)
            if self.monai:
                # A stream of their own: MONAI counts its seeds in 32 bits.
                seeds = [_seed(self.seed, epoch, key) for key in keys.tolist()]
                changed = self._of_monai(changed, seeds)
        return changed.to(images.dtype)

    @property
    def operations(self) -> tuple[str, ...]:
        """The changes that are made at all, but MONAI's."""
        return tuple(name for name in ("flip", *_NUMBERS) if getattr(self, name))

    def only(self, operations: Collection[str]) -> Augmentation:
        """With those of these changes alone that are made at all, and none of MONAI's."""
        return replace(self._narrowed(operations, 1.0), monai=())

    def _by_policy(self, policy: PolicySettings, images: Tensor, keys: Tensor, epoch: int) -> Tensor:
        """Change each image by its own choice of operations: those that chose alike, together.

        Cubuk et al., 'RandAugment' (NeurIPS 2020); amounts are even up to the magnitude, which was as good as a fixed one.
        """
        chosen: dict[frozenset[str], list[int]] = defaultdict(list)
        for row, key in enumerate(keys.tolist()):
            draw = np.random.default_rng(
                [self.seed, epoch, key, 2]
            )  # other numbers than the changes' own, and the mixing's
            chosen[frozenset(draw.choice(self.operations, policy.operations, replace=False).tolist())].append(row)
        changed = images.clone()
        for operations, rows in chosen.items():
            changed[rows] = self._narrowed(operations, policy.magnitude)(images[rows], keys[rows], epoch=epoch)
        return changed

    def _narrowed(self, operations: Collection[str], magnitude: float) -> Augmentation:
        """With these changes alone, none as large as it might be."""
        numbers = {name: getattr(self, name) * magnitude * (name in operations) for name in _NUMBERS}
        return replace(self, policy=None, flip=self.flip if "flip" in operations else (), **numbers)

    def _change_places(self, images: Tensor, draws: Sequence[np.random.Generator]) -> Tensor:
        if not (self.flip or self.rotate or self.scale or self.translate or self.crop or self.elastic):
            return images
        shape = images.shape[2:]
        affines = random_affines(
            shape,
            draws,
            flip=self.flip,
            rotate=self.rotate,
            scale=self.scale,
            translate=self.translate,
            crop=self.crop,
        )
        bent = None
        if self.elastic:
            bent = random_displacements(
                shape, draws, largest=self.elastic, spacing=self.elastic_spacing, device=images.device
            )
        return resample(images, affines, bent)

    def _change_values(self, images: Tensor, draws: Sequence[np.random.Generator]) -> Tensor:
        if self.blur:
            axes = images.ndim - 2
            sigmas = [draw.uniform(0, self.blur, axes) * (draw.random() < 0.5) for draw in draws]
            images = blur(images, [sigma.tolist() for sigma in sigmas])
        if self.bias_field:
            images = add_bias_field(images, self.bias_field, draws)
        if self.gamma:
            images = change_gamma(images, [1 + draw.uniform(-self.gamma, self.gamma) for draw in draws])
        if self.contrast or self.brightness:
            factors = [1 + draw.uniform(-self.contrast, self.contrast) for draw in draws]
            shifts = [draw.uniform(-self.brightness, self.brightness) for draw in draws]
            images = change_contrast(images, factors, shifts)
        if self.noise:
            levels = [draw.uniform(0, self.noise) for draw in draws]
            images = add_noise(images, levels, [int(draw.integers(2**63)) for draw in draws])
        return images

    @cached_property
    def _of_monai(self) -> MonaiTransforms:
        return MonaiTransforms(self.monai)


def _first(chosen: float | None, own: float) -> float:
    return own if chosen is None else chosen


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


_NUMBERS = (
    *("rotate", "scale", "translate", "noise", "contrast", "brightness", "blur"),
    *("crop", "elastic", "gamma", "bias_field"),
)

# No mirror where left and right differ: the heart and three lobes against two, the language side of the brain, liver and
# stomach. An endoscope turns freely in the stomach, so there every mirror and turn is another honest picture.
_BODY = Augmentation(rotate=10, scale=0.1, translate=0.05, noise=0.03, contrast=0.15, brightness=0.05, blur=0.7)
_BRAIN = Augmentation(rotate=10, scale=0.1, translate=0.05, noise=0.1, contrast=0.15, brightness=0.1, blur=0.7)
_ENDOSCOPY = Augmentation(
    flip=("x", "y"), rotate=45, scale=0.15, translate=0.05, noise=0.02, contrast=0.2, brightness=0.1, blur=0.7
)
_OWN: dict[Region, Augmentation] = {"lung": _BODY, "brain": _BRAIN, "stomach": _BODY, "generic": _BODY}
