"""torch's layers for images of two and of three axes, so that a family is written once for both."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


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


class ChannelsLast(nn.Module):
    """Features as the last axis."""

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, K, *cells)`` to ``(B, *cells, K)``."""
        return last(features)


class ChannelsFirst(nn.Module):
    """Features as the second axis."""

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, *cells, K)`` to ``(B, K, *cells)``."""
        return first(features)


class LayerScale(nn.Module):
    """Weighs each feature: Touvron et al., 'Going deeper with Image Transformers' (ICCV 2021), equation 4.

    Args:
        width: Features, the last axis.
        start: What each is weighed with at first.
    """

    def __init__(self, width: int, start: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((width,), start))

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, *cells, K)`` to the same."""
        return features * self.weight


class SpatialMean(nn.Module):
    """The mean over space, as one cell; a layer of its own so that it can be taken over the visible part of an image alone."""

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, K, *cells)`` to ``(B, K, 1, …)``."""
        return features.mean(dim=tuple(range(2, features.ndim)), keepdim=True)


def last(features: Tensor) -> Tensor:
    """``(B, *cells, K)`` of ``(B, K, *cells)``."""
    return features.permute(0, *range(2, features.ndim), 1)


def first(features: Tensor) -> Tensor:
    """``(B, K, *cells)`` of ``(B, *cells, K)``."""
    return features.permute(0, features.ndim - 1, *range(1, features.ndim - 1))


def fill_truncated(network: nn.Module) -> None:
    """Give convolutions and linear layers fresh weights of standard deviation 0.02, as those who published transformers do."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def fill_convolutions(network: nn.Module) -> None:
    """Give convolutions fresh weights that keep the size of gradients through ReLUs: He et al. (ICCV 2015), section 2.2."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            cells = module.weight.numel() / module.weight.shape[1]  # that hang on an input of each group
            nn.init.normal_(module.weight, std=math.sqrt(2 * module.groups / cells))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
