"""Optimisers: AdamW and SGD, with weight decay where it belongs."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from medcls.config.settings import TrainSettings


def build_optimizer(network: nn.Module, settings: TrainSettings, *, fused: bool = False) -> torch.optim.Optimizer:
    """The optimiser that the settings name, over what is not frozen.

    Norms and biases are not decayed: pulling a batch norm's scale to zero says nothing about how smooth the network is
    (He et al., 'Bag of Tricks for Image Classification', CVPR 2019, section 3.1). They are the tensors of one axis.

    AdamW is Loshchilov and Hutter's, 'Decoupled Weight Decay Regularization' (ICLR 2019).

    Args:
        network: Any module, on its device; frozen tensors are left out.
        settings: ``optimizer``, ``learning_rate``, ``momentum`` and ``weight_decay``.
        fused: Update all tensors in one pass where the device has it. Not with a gradient scaler, whose work such an
            optimiser takes upon itself, so that gradients could no longer be clipped.
    """
    groups = parameter_groups(network, settings.weight_decay)
    # None: torch's own choice, which is never the fused one.
    one_pass = True if fused and can_fuse(network) else None
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum, fused=one_pass)
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=one_pass)


def can_fuse(network: nn.Module) -> bool:
    """Whether torch has fused optimisers for the device that the network is on."""
    return all(one.device.type in ("cpu", "cuda") and one.is_floating_point() for one in network.parameters())


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable tensors in two groups: those that are decayed, and norms and biases, which are not."""
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [one for one in trainable if one.ndim > 1], "weight_decay": weight_decay},
        {"params": [one for one in trainable if one.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
