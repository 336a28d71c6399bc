"""torch's layers for images of two and of three axes, so that a family is written once for both."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Layers:
    """Layers over as many spatial axes; each is called as torch's own.

    Attributes:
        convolution: As ``torch.nn.Conv2d``.
        batch_norm: As ``torch.nn.BatchNorm2d``.
        max_pool: As ``torch.nn.MaxPool2d``.
    """

    convolution: Callable[..., nn.Module]
    batch_norm: Callable[..., nn.Module]
    max_pool: Callable[..., nn.Module]


LAYERS = {
    2: Layers(nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d),
    3: Layers(nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d),
}
"""By the number of spatial axes."""


def fill_convolutions(network: nn.Module) -> None:
    """Give convolutions fresh weights that keep the size of gradients through ReLUs: He et al. (ICCV 2015), section 2.2."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            cells = module.weight.numel() / module.weight.shape[1]  # that hang on an input of each group
            nn.init.normal_(module.weight, std=math.sqrt(2 * module.groups / cells))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
