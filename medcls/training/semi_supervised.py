"""Semi-supervised learning: a network also learns from scans without labels, by agreeing with itself about changed images.

* ``fixmatch``: what the network says of a weakly changed image, where it is sure, is the label of the strongly changed one
  (Sohn et al., 'FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence', NeurIPS 2020, equation 4).
* ``mean_teacher``: the network is to say of the strongly changed image what the moving average of its weights says of the
  weakly changed one, by the squared difference of the probabilities, with a weight that rises as ``exp(-5 (1 - t)^2)``
  (Tarvainen and Valpola, 'Mean teachers are better role models', NeurIPS 2017, section 3).

Strong is the augmentation that training has, which is what the region, or the config, allows; nothing is cut out of an image,
as FixMatch's authors do, because a lesion could go with it. Weak is the mirroring and the shifts among it. The answers are
those of evaluation: with running statistics, and without dropout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from medcls.config.settings import TrainSettings
from medcls.loading import Augmentation, Batch

_WEIGHT = {"fixmatch": 1.0, "mean_teacher": 10.0}
_WEAK = ("flip", "translate")


@dataclass(frozen=True)
class SemiSupervised:
    """How unlabelled images are learnt from.

    Attributes:
        settings: The method, and its weight, threshold and ramp-up.
        weak, strong: How images are changed for the answer, and for the network that learns it.
        multilabel: Whether labels do not exclude each other.
    """

    settings: TrainSettings
    weak: Augmentation
    strong: Augmentation
    multilabel: bool

    @classmethod
    def of(cls, settings: TrainSettings, augmentation: Augmentation, *, multilabel: bool) -> SemiSupervised:
        """From the training's augmentation; both kinds draw numbers of their own."""
        weak, strong = (int(one) for one in np.random.SeedSequence([augmentation.seed, 3]).generate_state(2))
        return cls(
            settings, replace(augmentation.only(_WEAK), seed=weak), replace(augmentation, seed=strong), multilabel
        )

    def answers(self, network: nn.Module, images: Tensor) -> Tensor:
        """What a network says of images in evaluation: probabilities ``(B, labels)`` float32, without a gradient."""
        training = network.training
        network.eval()
        with torch.no_grad():
            scores = network(images).float()
        network.train(training)
        return self._probabilities(scores)

    def loss(self, scores: Tensor, said: Tensor) -> tuple[Tensor, Tensor | None]:
        """The loss on unlabelled images, a scalar, without its weight; and the share that is learnt from, of ``fixmatch``.

        Args:
            scores: ``(B, labels)`` of the strongly changed images, before softmax or sigmoid; computed in float32.
            said: ``(B, labels)``, as :meth:`answers` gives them of the weakly changed ones.
        """
        if self.settings.semi_supervised == "mean_teacher":
            return functional.mse_loss(self._probabilities(scores.float()), said), None
        sure, label = said.max(1)
        counted = (sure >= self.settings.confidence_threshold).float()
        return (functional.cross_entropy(scores.float(), label, reduction="none") * counted).mean(), counted.mean()

    def weight(self, epochs: float) -> float:
        """How much the loss counts after so many epochs."""
        method = self.settings.semi_supervised or "fixmatch"
        full = _WEIGHT[method] if self.settings.unlabeled_weight is None else self.settings.unlabeled_weight
        missing = 1 - min(1.0, epochs / self.settings.ramp_up_epochs)
        return full if method == "fixmatch" else full * math.exp(-5 * missing**2)

    def changed(self, batch: Batch, epoch: int) -> tuple[Tensor, Tensor]:
        """The images of a batch, changed weakly and strongly."""
        weak = self.weak(batch.images, batch.keys, epoch=epoch)
        return weak, self.strong(batch.images, batch.keys, epoch=epoch)

    def _probabilities(self, scores: Tensor) -> Tensor:
        return torch.sigmoid(scores) if self.multilabel else torch.softmax(scores, 1)
