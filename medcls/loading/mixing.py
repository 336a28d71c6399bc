"""Mixing: an image becomes partly another of its batch, and its target with it.

MixUp: Zhang et al., 'mixup: Beyond Empirical Risk Minimization' (ICLR 2018). CutMix: Yun et al., 'CutMix: Regularization
Strategy to Train Strong Classifiers' (ICCV 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from medcls.config.settings import AugmentationSettings


class Mixed(NamedTuple):
    """A mixed batch.

    Attributes:
        images: As they came in, mixed.
        targets: ``(B, labels)`` float32: how much of each label is in the image; NaN where it is not known of one of the two.
    """

    images: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Mixing:
    """How images of a batch are mixed; where both ways are on, each image takes one or the other.

    How much, and where, comes from run seed, epoch and the draw's key. The partner comes from the same batch, whatever its
    order: this alone depends on which draws are in the batch together.

    Attributes:
        seed: The run's seed.
        labels: Number of labels.
        multilabel: Whether targets are 0 and 1 for each label already.
        mixup: Alpha of the Beta distribution of the share that stays; 0: never.
        cutmix: The same for the part of the area that stays; 0: never.
    """

    seed: int
    labels: int
    multilabel: bool
    mixup: float = 0.0
    cutmix: float = 0.0

    @classmethod
    def from_settings(
        cls, settings: AugmentationSettings, *, labels: int, multilabel: bool, seed: int
    ) -> Mixing | None:
        """What the config's section asks for; ``None`` when nothing is mixed."""
        if not settings.enabled or not (settings.mixup or settings.cutmix):
            return None
        return cls(seed, labels, multilabel, settings.mixup, settings.cutmix)

    def __call__(self, images: Tensor, targets: Tensor, keys: Tensor, *, epoch: int) -> Mixed:
        """Mix a batch.

        Args:
            images: ``(B, C, *shape)``, floating point.
            targets: ``(B,)`` label indices, or ``(B, labels)`` of 0 and 1 for multi-label, NaN where not known.
            keys: ``(B,)`` integers, different for each draw of an epoch.
            epoch: The epoch.
        """
        numbers = keys.tolist()
        partners = torch.tensor(_partners(self.seed, epoch, numbers), device=images.device)
        others, mixed, kept = images[partners], [], []
        for image, other, key in zip(images, others, numbers, strict=True):
            draw = np.random.default_rng([self.seed, epoch, key, 1])  # other numbers than the augmentation's
            one, share = self._mix(image, other, draw)
            mixed.append(one)
            kept.append(share)
        soft = targets.float() if self.multilabel else one_hot(targets, self.labels).float()
        shares = torch.tensor(kept, dtype=torch.float32, device=soft.device)[:, None]
        return Mixed(torch.stack(mixed), shares * soft + (1 - shares) * soft[partners.to(soft.device)])

    def _mix(self, image: Tensor, other: Tensor, draw: np.random.Generator) -> tuple[Tensor, float]:
        if self.mixup > 0 and (self.cutmix == 0 or draw.random() < 0.5):
            return _blend(image, other, draw.beta(self.mixup, self.mixup))
        return _paste(image, other, draw.beta(self.cutmix, self.cutmix), draw)


def _partners(seed: int, epoch: int, keys: list[int]) -> list[int]:
    """Whom each image is mixed with: a random order of the batch, which does not hang on the order that it came in."""
    order = np.argsort(keys, kind="stable")
    shuffled = np.random.default_rng([seed, epoch, *sorted(keys)]).permutation(len(keys))
    partners = np.empty(len(keys), np.int64)
    partners[order] = order[shuffled]
    return [int(one) for one in partners]


def _blend(image: Tensor, other: Tensor, share: float) -> tuple[Tensor, float]:
    return share * image + (1 - share) * other, share


def _paste(image: Tensor, other: Tensor, share: float, draw: np.random.Generator) -> tuple[Tensor, float]:
    """Put a box of the other image over this one; what is cut off at the border counts for what it was, as in the paper."""
    shape = image.shape[1:]
    corners = [int(draw.integers(length)) for length in shape]
    box = [
        slice(corner, min(ceil(corner + length * sqrt(1 - share)), length))
        for corner, length in zip(corners, shape, strict=True)
    ]
    pasted = image.clone()
    pasted[(slice(None), *box)] = other[(slice(None), *box)]
    covered = np.prod([(side.stop - side.start) / length for side, length in zip(box, shape, strict=True)])
    return pasted, 1 - float(covered)
