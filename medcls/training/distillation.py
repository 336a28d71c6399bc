"""Distillation: a network learns what another one says of the training cases, beside what they are.

Hinton, Vinyals and Dean, 'Distilling the Knowledge in a Neural Network' (2015), sections 2 and 3: both networks'
probabilities are softened by a temperature, and the gradients are brought back to the size of the other loss's by its square.
Several labels at once are softened each for itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_LEAST = 1e-7  # float32 keeps 1 minus it apart from 1


@dataclass(frozen=True, eq=False)
class Teaching:
    """What a teacher says of each training case.

    Attributes:
        soft: ``(cases, labels)`` float32, softened probabilities.
        temperature: By which they were softened, and by which the student's are.
        share: How much they count, from 0 to 1; the reference labels count for the rest.
        multilabel: Whether labels do not exclude each other.
    """

    soft: Tensor
    temperature: float
    share: float
    multilabel: bool

    @classmethod
    def of(cls, probabilities: NDArray[np.floating], *, temperature: float, share: float, multilabel: bool) -> Teaching:
        """From a teacher's probabilities ``(cases, labels)``."""
        kept = torch.from_numpy(np.asarray(probabilities, np.float64)).clamp(_LEAST, 1 - _LEAST)
        soft = (
            torch.sigmoid(torch.logit(kept) / temperature) if multilabel else torch.softmax(kept.log() / temperature, 1)
        )
        return cls(soft.float(), temperature, share, multilabel)

    def of_cases(self, cases: Tensor, device: torch.device) -> Tensor:
        """``(B, labels)`` of these cases, by their index."""
        return self.soft[cases.cpu()].to(device)

    def joined(self, loss: Tensor, scores: Tensor, soft: Tensor) -> Tensor:
        """The loss on the reference labels together with the divergence from the teacher, a scalar.

        Args:
            loss: On the reference labels.
            scores: ``(B, labels)`` of the student, before softmax or sigmoid; computed in float32.
            soft: ``(B, labels)`` of the teacher.
        """
        scores = scores.float() / self.temperature
        if self.multilabel:
            entropy = functional.binary_cross_entropy(soft, soft)
            divergence = functional.binary_cross_entropy_with_logits(scores, soft) - entropy
        else:
            divergence = functional.kl_div(functional.log_softmax(scores, 1), soft, reduction="batchmean")
        return (1 - self.share) * loss + self.share * self.temperature**2 * divergence
