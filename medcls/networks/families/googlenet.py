"""GoogLeNet: Szegedy et al., 'Going Deeper with Convolutions' (CVPR 2015), table 1.

As in torchvision, it has batch norms, a width of 3 where the paper has 5, and no auxiliary classifiers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from medcls.config.settings import ModelSettings
from medcls.networks.family import Backbone, NetworkFamily
from medcls.networks.layers import LAYERS, fill_convolutions
from medcls.networks.layouts import Layout
from medcls.networks.sources import GOOGLE, torchvision

# Features of 1x1; before 3x3, and of it; before the second 3x3, and of it; after the pooling.
_INCEPTIONS: Mapping[str, tuple[int, int, int, int, int, int]] = {
    "inception3a": (64, 96, 128, 16, 32, 32),
    "inception3b": (128, 128, 192, 32, 96, 64),
    "inception4a": (192, 96, 208, 16, 48, 64),
    "inception4b": (160, 112, 224, 24, 64, 64),
    "inception4c": (128, 128, 256, 24, 64, 64),
    "inception4d": (112, 144, 288, 32, 64, 64),
    "inception4e": (256, 160, 320, 32, 128, 128),
    "inception5a": (256, 160, 320, 32, 128, 128),
    "inception5b": (384, 192, 384, 48, 128, 128),
}
_BLOCKS = {
    "stem": ("conv1", "conv2", "conv3"),
    "block1": ("inception3a", "inception3b"),
    "block2": ("inception4a", "inception4b", "inception4c", "inception4d", "inception4e"),
    "block3": ("inception5a", "inception5b"),
}


class Branches(nn.ModuleDict):
    """Parts that see the same features, and whose own are put one behind the other."""

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, K, *cells)`` to ``(B, sum of the parts' K, *cells)``."""
        return torch.cat([part(features) for part in self.values()], dim=1)


def convolution(
    dimensions: int, before: int, after: int, kernel: int | Sequence[int] = 1, *, stride: int = 1, padded: bool = True
) -> nn.Module:
    """A convolution, a batch norm and a ReLU.

    Args:
        dimensions: 2 or 3.
        before: Features that come in.
        after: Features that come out.
        kernel: Its width, along each axis or along all.
        stride: Step along each axis.
        padded: Whether without a stride as many cells come out as come in.
    """
    widths = (kernel,) * dimensions if isinstance(kernel, int) else tuple(kernel)
    padding = tuple(width // 2 if padded else 0 for width in widths)
    kind = LAYERS[dimensions]
    return nn.Sequential(
        OrderedDict(
            conv=kind.convolution(before, after, widths, stride=stride, padding=padding, bias=False),
            bn=kind.batch_norm(after, eps=0.001),
            relu=nn.ReLU(inplace=True),
        )
    )


def _inception(dimensions: int, before: int, features: Sequence[int]) -> Branches:
    one, before_two, two, before_three, three, pooled = features
    return Branches(
        {
            "branch1": convolution(dimensions, before, one),
            "branch2": nn.Sequential(
                convolution(dimensions, before, before_two), convolution(dimensions, before_two, two, 3)
            ),
            "branch3": nn.Sequential(
                convolution(dimensions, before, before_three), convolution(dimensions, before_three, three, 3)
            ),
            "branch4": nn.Sequential(
                LAYERS[dimensions].max_pool(3, stride=1, padding=1), convolution(dimensions, before, pooled)
            ),
        }
    )


def _build(settings: ModelSettings, dimensions: int, channels: int, classes: int) -> Backbone:
    pool = LAYERS[dimensions].max_pool
    module = nn.Sequential(
        OrderedDict(
            conv1=convolution(dimensions, channels, 64, 7, stride=2),
            maxpool1=pool(3, stride=2, ceil_mode=True),
            conv2=convolution(dimensions, 64, 64),
            conv3=convolution(dimensions, 64, 192, 3),
            maxpool2=pool(3, stride=2, ceil_mode=True),
        )
    )
    width = 192
    for name, features in _INCEPTIONS.items():
        if name in ("inception4a", "inception5a"):
            last = name == "inception5a"
            module.add_module("maxpool4" if last else "maxpool3", pool(2 if last else 3, stride=2, ceil_mode=True))
        module.add_module(name, _inception(dimensions, width, features))
        width = features[0] + features[2] + features[4] + features[5]
    fill_convolutions(module)
    return Backbone(module, width, _BLOCKS)


def _from_torchvision(key: str) -> str | None:
    part, _, rest = key.partition(".")
    if part == "fc":
        return f"head.{rest}"
    return None if part.startswith("aux") else f"backbone.{key}"


FAMILY = NetworkFamily(
    names=("googlenet",),
    build=_build,
    smallest=15,  # four halvings that are not padded, but for the last
    weights={"imagenet": {"googlenet": torchvision("googlenet-1378be20.pth", GOOGLE)}},
    layouts=(
        Layout("torchvision GoogLeNet", lambda names: "inception3a.branch1.conv.weight" in names, _from_torchvision),
    ),
)
