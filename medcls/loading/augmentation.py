"""Augmentation: random changes of a whole training batch, on the device the batch lies on.

All numbers of a draw come from run seed, epoch and the draw's key, so the same seed gives the same batches whatever the
number of workers and however draws are put into batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medcls.config.settings import AugmentationSettings, Kind, Region
from medcls.errors import ConfigError
from medcls.loading.spatial import random_affines, resample
from medcls.loading.values import add_noise, blur, change_contrast

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
        blur: Largest standard deviation of a Gaussian blur, in voxels; half of the images are blurred.
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
            ConfigError: A 2-D image is to be mirrored along ``z``.
        """
        if not settings.enabled:
            return None
        own = _ENDOSCOPY if kind == "endoscopy" or (region == "stomach" and kind == "auto") else _OWN[region]
        chosen = {name: value for name, value in settings.model_dump(exclude={"enabled"}).items() if value is not None}
        flip = tuple(chosen.pop("flip", own.flip))
        if dimensions == 2 and "z" in flip:
            raise ConfigError("a 2-D image has no z axis to mirror", where="augmentation.flip", remedy="Allowed: x, y")
        numbers = {name: getattr(own, name) for name in _NUMBERS} | chosen
        return cls(seed=seed, flip=flip, **numbers)

    def __call__(self, images: Tensor, keys: Tensor, *, epoch: int) -> Tensor:
        """Change a batch.

        Args:
            images: ``(B, C, rows, columns)`` or ``(B, C, x, y, z)``, floating point.
            keys: ``(B,)`` integers, different for each draw of an epoch.
            epoch: The epoch.

        Returns:
            A new tensor of the same shape, type and device.
        """
        draws = [np.random.default_rng([self.seed, epoch, int(key)]) for key in keys.tolist()]
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            changed = images.float()
            if self.flip or self.rotate or self.scale or self.translate:
                changed = resample(changed, self._affines(changed.shape[2:], draws))
            if self.blur:
                changed = blur(changed, [draw.uniform(0, self.blur) * (draw.random() < 0.5) for draw in draws])
            if self.contrast or self.brightness:
                factors = [1 + draw.uniform(-self.contrast, self.contrast) for draw in draws]
                shifts = [draw.uniform(-self.brightness, self.brightness) for draw in draws]
                changed = change_contrast(changed, factors, shifts)
            if self.noise:
                levels = [draw.uniform(0, self.noise) for draw in draws]
                changed = add_noise(changed, levels, [int(draw.integers(2**63)) for draw in draws])
        return changed.to(images.dtype)

    def _affines(self, shape: Sequence[int], draws: Sequence[np.random.Generator]) -> NDArray[np.float64]:
        return random_affines(
            shape, draws, flip=self.flip, rotate=self.rotate, scale=self.scale, translate=self.translate
        )


_NUMBERS = ("rotate", "scale", "translate", "noise", "contrast", "brightness", "blur")

# No mirror where left and right differ: the heart and three lobes against two, the language side of the brain, liver and
# stomach. An endoscope turns freely in the stomach, so there every mirror and turn is another honest picture.
_BODY = Augmentation(rotate=10, scale=0.1, translate=0.05, noise=0.03, contrast=0.15, brightness=0.05, blur=0.7)
_BRAIN = Augmentation(rotate=10, scale=0.1, translate=0.05, noise=0.1, contrast=0.15, brightness=0.1, blur=0.7)
_ENDOSCOPY = Augmentation(
    flip=("x", "y"), rotate=45, scale=0.15, translate=0.05, noise=0.02, contrast=0.2, brightness=0.1, blur=0.7
)
_OWN: dict[Region, Augmentation] = {"lung": _BODY, "brain": _BRAIN, "stomach": _BODY, "generic": _BODY}
