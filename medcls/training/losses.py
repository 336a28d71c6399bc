"""Losses: cross-entropy and focal, for exclusive labels and for several labels at once.

Focal loss: Lin et al., 'Focal Loss for Dense Object Detection' (ICCV 2017), equation 4: ``-(1 - p)^gamma log p``,
where ``p`` is the probability of the true label. With ``gamma = 0`` it is cross-entropy. MONAI's focal loss is not
used, because it divides the softmax form by the number of classes and knows no label smoothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from medcls.config.settings import TrainSettings
from medcls.errors import CohortError

_TINY = 1e-8  # keeps the gradient of x^gamma finite at 0 for gamma < 1


class _FocalLoss(nn.Module):
    weights: Tensor | None

    def __init__(self, *, gamma: float = 0.0, smoothing: float = 0.0, weights: Tensor | None = None) -> None:
        super().__init__()
        self.gamma = gamma
        self.smoothing = smoothing
        # Not in the state: it comes from the cohort, and a checkpoint's keys stay the same with and without it.
        self.register_buffer("weights", weights, persistent=False)


class ExclusiveLoss(_FocalLoss):
    """Loss of scores of which one label is right.

    Args:
        gamma: Focusing parameter; 0 is cross-entropy.
        smoothing: Share of the reference that is spread evenly over all classes.
        weights: ``(classes,)``, how much cases of each class count; the mean is over weights, as in torch.
    """

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """The mean loss, a scalar.

        Args:
            scores: ``(B, classes)`` before softmax, any float type; computed in float32.
            labels: ``(B,)`` int64 class indices, or ``(B, classes)`` shares of mixed images, which sum to 1.
        """
        scores = scores.float()
        mixed = labels.ndim == 2
        if self.gamma == 0 and not mixed:
            return functional.cross_entropy(scores, labels, weight=self.weights, label_smoothing=self.smoothing)
        logs = functional.log_softmax(scores, dim=1)
        unsure = (-torch.expm1(logs)).clamp_min(_TINY) ** self.gamma if self.gamma else 1.0
        classes = scores.shape[1]
        shares = labels.to(logs.dtype) if mixed else functional.one_hot(labels, classes).to(logs.dtype)
        reference = shares * (1 - self.smoothing) + self.smoothing / classes
        weights = torch.ones(classes, device=logs.device) if self.weights is None else self.weights
        losses = -(reference * weights * unsure * logs).sum(dim=1)
        return losses.sum() / (shares @ weights).sum()


class MultilabelLoss(_FocalLoss):
    """Loss of scores of which any number of labels are right, each answered by yes or no, or not known.

    A prediction that is not known (NaN) adds nothing to the loss, and its score gets a gradient of exactly 0.

    Args:
        gamma: Focusing parameter; 0 is binary cross-entropy.
        smoothing: A yes counts as ``1 - smoothing / 2``, a no as ``smoothing / 2``.
        weights: ``(labels,)``, how much a yes counts against a no, see :func:`positive_weights`.
    """

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """The mean loss over what is known of cases and labels, a scalar; 0 where nothing is.

        Args:
            scores: ``(B, labels)`` before sigmoid, any float type; computed in float32.
            labels: ``(B, labels)``, 1 for yes and 0 for no, between them for mixed images, NaN where it is not known.
        """
        scores, unknown = scores.float(), torch.isnan(labels)
        reference = labels.masked_fill(unknown, 0).to(scores.dtype) * (1 - self.smoothing) + self.smoothing / 2
        losses = self._losses(scores, reference).masked_fill(unknown, 0)
        return losses.sum() / (~unknown).sum().clamp_min(1)

    def _losses(self, scores: Tensor, reference: Tensor) -> Tensor:
        if self.gamma == 0:
            return functional.binary_cross_entropy_with_logits(
                scores, reference, pos_weight=self.weights, reduction="none"
            )
        yes, no = functional.logsigmoid(scores), functional.logsigmoid(-scores)
        weights = 1.0 if self.weights is None else self.weights
        # (1 - p)^gamma is exp(gamma log(1 - p)), and log(1 - p) is at hand without loss of digits.
        of_yes = weights * reference * torch.exp(self.gamma * no) * yes
        of_no = (1 - reference) * torch.exp(self.gamma * yes) * no
        return -(of_yes + of_no)


def build_loss(settings: TrainSettings, *, class_weights: Tensor | None, multilabel: bool) -> nn.Module:
    """The loss that the settings name.

    Args:
        settings: ``loss``, ``focal_gamma`` and ``label_smoothing``.
        class_weights: ``(classes,)`` from :func:`class_weights`, for several labels at once from
        :func:`positive_weights`;
            ``None`` for no weighting.
        multilabel: Whether a case can have several labels.

    Returns:
        A module of ``(scores, labels)`` that gives a scalar: labels are class indices ``(B,)``, or ``(B, labels)`` of
        0 and 1, NaN where not known; for mixed images shares, ``(B, labels)``.
    """
    gamma = settings.focal_gamma if settings.loss == "focal" else 0.0
    kind = MultilabelLoss if multilabel else ExclusiveLoss
    return kind(gamma=gamma, smoothing=settings.label_smoothing, weights=class_weights)


def class_weights(counts: Sequence[int] | Tensor) -> Tensor:
    """Weights that make every class count the same: the inverse of its frequency.

    The mean over the classes that are there is 1. A class without a case gets 0, so that its absence changes nothing
    for the others, with label smoothing too.

    Args:
        counts: Cases (or patients) of each class.

    Returns:
        ``(classes,)`` float32.

    Raises:
        CohortError: No class has a case.
    """
    numbers = torch.as_tensor(counts, dtype=torch.float64)
    present = numbers > 0
    if not bool(present.any()):
        raise CohortError("no class has a case, so classes cannot be weighted")
    inverse = torch.where(present, 1 / numbers.clamp_min(1), 0.0)
    return (inverse / inverse[present].mean()).float()


def positive_weights(positives: Sequence[int] | Tensor, known: Sequence[int] | Tensor) -> Tensor:
    """Weights that make yes and no of every label count the same: how many have it not for each that has it.

    A label that all or none of the cases have gets 1.

    Args:
        positives: Cases (or patients) that have each label.
        known: Those of which it is known whether they have it.

    Returns:
        ``(labels,)`` float32.
    """
    numbers = torch.as_tensor(positives, dtype=torch.float64)
    told = torch.as_tensor(known, dtype=torch.float64)
    mixed = (numbers > 0) & (numbers < told)
    return torch.where(mixed, (told - numbers) / numbers.clamp_min(1), 1.0).float()
