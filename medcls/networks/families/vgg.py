"""VGG with batch norm: Simonyan and Zisserman, 'Very Deep Convolutional Networks' (ICLR 2015), table 1, columns A, B, D and E.

The convolutions are those of the paper. In place of its three fully connected layers, which have 124 million weights and one
size of image, it ends in a mean over space and one linear layer.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from medcls.config.settings import ModelSettings
from medcls.networks.family import Backbone, NetworkFamily
from medcls.networks.layers import LAYERS, fill_convolutions
from medcls.networks.layouts import Layout
from medcls.networks.sources import torchvision

# Convolutions before each of the five poolings.
_DEPTHS: Mapping[str, tuple[int, ...]] = {
    "vgg11_bn": (1, 1, 2, 2, 2),
    "vgg13_bn": (2, 2, 2, 2, 2),
    "vgg16_bn": (2, 2, 3, 3, 3),
    "vgg19_bn": (2, 2, 4, 4, 4),
}
_WIDTHS = (64, 128, 256, 512, 512)


def _build(settings: ModelSettings, dimensions: int, channels: int, classes: int) -> Backbone:
    kind, width = LAYERS[dimensions], channels
    layers: list[nn.Module] = []
    blocks: dict[str, tuple[str, ...]] = {}
    for depth, wider in zip(_DEPTHS[settings.name], _WIDTHS, strict=True):
        begin = len(layers)
        for before in (width, *(wider,) * (depth - 1)):
            layers += [kind.convolution(before, wider, 3, padding=1), kind.batch_norm(wider), nn.ReLU(inplace=True)]
        layers.append(kind.max_pool(2))
        width = wider
        blocks[f"block{len(blocks) + 1}"] = tuple(str(place) for place in range(begin, len(layers)))
    module = nn.Sequential(*layers)
    fill_convolutions(module)
    return Backbone(module, width, blocks)


def _from_torchvision(key: str) -> str | None:
    return "backbone." + key.removeprefix("features.") if key.startswith("features.") else None


FAMILY = NetworkFamily(
    names=tuple(_DEPTHS),
    build=_build,
    smallest=32,  # five halvings
    weights={
        "imagenet": {
            "vgg11_bn": torchvision("vgg11_bn-6002323d.pth"),
            "vgg13_bn": torchvision("vgg13_bn-abd245e5.pth"),
            "vgg16_bn": torchvision("vgg16_bn-6c64b313.pth"),
            "vgg19_bn": torchvision("vgg19_bn-c79401a0.pth"),
        }
    },
    layouts=(Layout("torchvision VGG", lambda names: "features.0.weight" in names, _from_torchvision),),
)
