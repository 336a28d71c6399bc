"""Grad-CAM in closed form, for networks that end in a global average and a linear layer.

Selvaraju et al., 'Grad-CAM' (arXiv 1610.02391), equations 1 and 2: with ``A_k`` the feature maps of ``N`` cells and
``y`` the score, ``alpha_k = 1/N sum_cells dy/dA_k`` and ``L = ReLU(sum_k alpha_k A_k)``. Here ``y = sum_k w_k
mean(A_k) + b``, so every ``dy/dA_k`` is ``w_k / N`` and so is their mean. One forward pass gives scores and maps,
with no gradient at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from medcls.errors import UsageError
from medcls.networks import ClassificationNetwork
from medcls.networks.arithmetic import exact_float32


@dataclass(frozen=True, eq=False)
class CamResult:
    """Maps and scores of a batch.

    Attributes:
        maps: ``(B, *cells)`` float32, on the network's device: how much each cell of the last feature map adds to the
        target's
            score, never below 0. They are raw: no map is scaled to its own maximum, so a map of zeros says that
            nothing spoke for the target.
        logits: ``(B, classes)`` float32, before softmax or sigmoid, from the same pass.
    """

    maps: Tensor
    logits: Tensor


def gradcam(
    network: ClassificationNetwork, images: Tensor, targets: Tensor | list[int], *, multilabel: bool = False
) -> CamResult:
    """Where the network looked for a target.

    The score that is explained is the target's before softmax or sigmoid; of two exclusive labels it is the
    difference from the other's, because softmax sees nothing else: what counts against the other label counts for
    this one.

    Autocast is off within, and the network in evaluation, so that the map does not depend on how the call came about.

    Args:
        network: The network; its mode is restored afterwards.
        images: ``(B, C, *spatial)``.
        targets: For each image the index of the label to explain.
        multilabel: Whether labels do not exclude each other.

    Raises:
        UsageError: There is not one target an image, or a target is no label.
    """
    chosen = torch.as_tensor(targets, dtype=torch.long, device=images.device)
    if chosen.shape != images.shape[:1]:
        raise UsageError(f"{len(images)} images need as many targets, not {tuple(chosen.shape)}")
    if bool(((chosen < 0) | (chosen >= network.classes)).any()):
        raise UsageError(f"a target lies outside the network's {network.classes} labels")
    with torch.no_grad(), exact_float32(images.device.type), _evaluating(network):
        features = network.features(images.to(network.get_parameter("head.weight").dtype))
        logits = network.classify(features).float()
        weights = _target_weights(network, chosen, multilabel=multilabel)
        return CamResult(_weigh(features.float(), weights), logits)


def _target_weights(network: ClassificationNetwork, targets: Tensor, *, multilabel: bool) -> Tensor:
    """What each feature's mean adds to each target's score: ``(B, K)``."""
    weights = network.get_parameter("head.weight").detach().float()
    if network.classes == 2 and not multilabel:
        return weights[targets] - weights[1 - targets]
    return weights[targets]


def _weigh(features: Tensor, weights: Tensor) -> Tensor:
    cells = features[0, 0].numel() if len(features) else 1
    return torch.einsum("bk...,bk->b...", features, weights / cells).relu()


@contextmanager
def _evaluating(network: ClassificationNetwork) -> Iterator[None]:
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
