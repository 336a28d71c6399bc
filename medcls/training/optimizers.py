"""Optimisers: AdamW and SGD, with weight decay where it belongs."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from medcls.config.settings import TrainSettings


def build_optimizer(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """The optimiser that the settings name, over what is not frozen.

    Norms and biases are not decayed: pulling a batch norm's scale to zero says nothing about how smooth the network is
    (He et al., 'Bag of Tricks for Image Classification', CVPR 2019, section 3.1). They are the tensors of one axis.

    AdamW is Loshchilov and Hutter's, 'Decoupled Weight Decay Regularization' (ICLR 2019).

    Args:
        network: Any module; frozen tensors are left out.
        settings: ``optimizer``, ``learning_rate``, ``momentum`` and ``weight_decay``.
    """
    groups = parameter_groups(network, settings.weight_decay)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum)
    return torch.optim.AdamW(groups, lr=settings.learning_rate)


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable tensors in two groups: those that are decayed, and norms and biases, which are not."""
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [one for one in trainable if one.ndim > 1], "weight_decay": weight_decay},
        {"params": [one for one in trainable if one.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
