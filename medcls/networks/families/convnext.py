"""ConvNeXt: Liu et al., 'A ConvNet for the 2020s' (CVPR 2022), figure 4, tables 5 and 9.

It ends in a mean over space, a layer norm and a linear layer, so Grad-CAM goes by gradients.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from medcls.config.settings import ModelSettings
from medcls.networks.family import Backbone, NetworkFamily
from medcls.networks.heads import MeanLinearHead
from medcls.networks.layers import LAYERS, ChannelsFirst, ChannelsLast, LayerScale, fill_truncated, first, last
from medcls.networks.layouts import Layout, Translated
from medcls.networks.sources import torchvision
from medcls.networks.stochastic_depth import StochasticDepth, rising

_WIDTHS = (96, 192, 384, 768)
# Blocks of each stage, and the probability that the last of them is dropped.
_NETWORKS: Mapping[str, tuple[tuple[int, ...], float]] = {
    "convnext_tiny": ((3, 3, 9, 3), 0.1),
    "convnext_small": ((3, 3, 27, 3), 0.4),
}
_EPSILON = 1e-6


class NormHead(MeanLinearHead):
    """The mean over space, a layer norm, and a linear layer."""

    linear_over_mean = False

    def __init__(self, features: int, classes: int) -> None:
        super().__init__(features, classes)
        self.norm = nn.LayerNorm(features, eps=_EPSILON)
        fill_truncated(self)

    def pool(self, features: Tensor) -> Tensor:
        """The norm of the mean over space."""
        normed: Tensor = self.norm(super().pool(features))
        return normed


class CellNorm(nn.LayerNorm):
    """A layer norm of each cell of ``(B, K, *cells)``, over its features."""

    def forward(self, features: Tensor) -> Tensor:
        """Of the same shape."""
        return first(super().forward(last(features)))


class ConvNeXtBlock(nn.Module):
    """A convolution of each feature by itself, a norm, and two layers on each cell; added to its input.

    Args:
        dimensions: 2 or 3.
        width: Features.
        dropped: Probability of stochastic depth.
    """

    def __init__(self, dimensions: int, width: int, dropped: float) -> None:
        super().__init__()
        self.block = nn.Sequential(
            LAYERS[dimensions].convolution(width, width, 7, padding=3, groups=width),
            ChannelsLast(),
            nn.LayerNorm(width, eps=_EPSILON),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            LayerScale(width, 1e-6),
            ChannelsFirst(),
        )
        self.stochastic_depth = StochasticDepth(dropped)

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, K, *cells)`` to the same."""
        found: Tensor = self.stochastic_depth(self.block(features))
        return features + found


def _build(settings: ModelSettings, dimensions: int, channels: int, classes: int) -> Backbone:
    depths, dropped = _NETWORKS[settings.name]
    convolution = LAYERS[dimensions].convolution
    rates = iter(rising(dropped, sum(depths)))
    module = nn.Sequential(
        nn.Sequential(convolution(channels, _WIDTHS[0], 4, stride=4), CellNorm(_WIDTHS[0], eps=_EPSILON))
    )
    for stage, (depth, width) in enumerate(zip(depths, _WIDTHS, strict=True)):
        if stage:
            before = _WIDTHS[stage - 1]
            module.append(nn.Sequential(CellNorm(before, eps=_EPSILON), convolution(before, width, 2, stride=2)))
        module.append(nn.Sequential(*(ConvNeXtBlock(dimensions, width, next(rates)) for _ in range(depth))))
    fill_truncated(module)
    blocks = {"stem": ("0",), "block1": ("1",), "block2": ("2", "3"), "block3": ("4", "5"), "block4": ("6", "7")}
    return Backbone(module, _WIDTHS[-1], blocks)


def _from_torchvision(key: str) -> str | None:
    part, _, rest = key.partition(".")
    if part == "classifier":
        number, _, tensor = rest.partition(".")
        return {"0": f"head.norm.{tensor}", "2": f"head.{tensor}"}.get(number)
    return "backbone." + rest.replace(".layer_scale", ".block.6.weight") if part == "features" else None


def _flatten(translated: Translated) -> dict[str, str]:
    # There the scales have axes of one cell.
    for key, (original, tensor) in translated.items():
        if key.endswith(".block.6.weight"):
            translated[key] = (original, tensor.flatten())
    return {}


FAMILY = NetworkFamily(
    names=tuple(_NETWORKS),
    build=_build,
    head=NormHead,
    smallest=32,  # patches of 4, and three halvings
    weights={
        "imagenet": {
            "convnext_tiny": torchvision("convnext_tiny-983f1562.pth"),
            "convnext_small": torchvision("convnext_small-0c510722.pth"),
        }
    },
    layouts=(
        Layout(
            "torchvision ConvNeXt",
            lambda names: "features.1.0.layer_scale" in names,
            _from_torchvision,
            fold=_flatten,
        ),
    ),
    channels_last=(2,),
)
