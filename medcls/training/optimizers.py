"""Optimisers: AdamW and SGD, with weight decay where it belongs."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from medcls.config.settings import TrainSettings
from medcls.networks import ClassificationNetwork


def build_optimizer(network: nn.Module, settings: TrainSettings, *, fused: bool = False) -> torch.optim.Optimizer:
    """The optimiser that the settings name, over what is not frozen.

    Norms and biases are not decayed: pulling a batch norm's scale to zero says nothing about how smooth the network is
    (He et al., 'Bag of Tricks for Image Classification', CVPR 2019, section 3.1). They are the tensors of one axis.

    AdamW is Loshchilov and Hutter's, 'Decoupled Weight Decay Regularization' (ICLR 2019).

    Args:
        network: Any module, on its device; frozen tensors are left out.
        settings: ``optimizer``, ``learning_rate``, ``layer_decay``, ``momentum`` and ``weight_decay``.
        fused: Update all tensors in one pass where the device has it. Not with a gradient scaler, whose work such an
            optimiser takes upon itself, so that gradients could no longer be clipped.
    """
    groups = parameter_groups(network, settings)
    # None: torch's own choice, which is never the fused one.
    one_pass = True if fused and can_fuse(network) else None
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum, fused=one_pass)
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=one_pass)


def can_fuse(network: nn.Module) -> bool:
    """Whether torch has fused optimisers for the device that the network is on."""
    return all(one.device.type in ("cpu", "cuda") and one.is_floating_point() for one in network.parameters())


def parameter_groups(network: nn.Module, settings: TrainSettings) -> list[dict[str, Any]]:
    """The trainable tensors by their rate, each time those that are decayed, and norms and biases, which are not.

    With ``layer_decay`` d the last block's rate is d times that of the last layer, that of the block before it d times its
    own, and so on to the input (Howard and Ruder, ACL 2018, section 3.2; with one factor as in Clark et al., 'ELECTRA', ICLR
    2020, appendix A). What is in no block has the rate of the last layer.
    """
    shares = _shares(network, settings.layer_decay)
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {
            "params": [one for one in trainable if shares.get(one, 1.0) == share and (one.ndim > 1) is weights],
            "lr": settings.learning_rate * share,
            "weight_decay": settings.weight_decay if weights else 0.0,
        }
        for share in sorted({shares.get(one, 1.0) for one in trainable}, reverse=True)
        for weights in (True, False)
    ]
    return [group for group in groups if group["params"]]


def _shares(network: nn.Module, decay: float) -> dict[nn.Parameter, float]:
    """What part of the full rate the tensors of each block have."""
    if decay == 1 or not isinstance(network, ClassificationNetwork):
        return {}
    return {
        parameter: decay**distance
        for distance, block in enumerate(reversed(network.blocks), 1)
        for module in network.block_modules(block)
        for parameter in module.parameters()
    }
