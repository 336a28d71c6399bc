"""Small CNNs, for images of some 28 pixels and for volumes of some 28 to 64 voxels a side.

The plan is that of VGG (see there), cut short: pairs of 3x3 convolutions with batch norm, and two poolings between them.
``smallcnn`` keeps every pixel until the first pooling. ``smallcnn_strided`` begins with one convolution 5 wide that halves the
image, and is half as wide: of a volume it takes a fourteenth of the work.
"""

from __future__ import annotations

from torch import nn

from medcls.config.settings import ModelSettings
from medcls.networks.family import Backbone, NetworkFamily
from medcls.networks.layers import LAYERS, Layers, fill_convolutions

_STRIDED = "smallcnn_strided"
_WIDTHS = (48, 96, 192)


def _build(settings: ModelSettings, dimensions: int, channels: int, classes: int) -> Backbone:
    module = (
        _strided(LAYERS[dimensions], channels) if settings.name == _STRIDED else _whole(LAYERS[dimensions], channels)
    )
    fill_convolutions(module)
    width = _WIDTHS[-1] // (2 if settings.name == _STRIDED else 1)
    return Backbone(module, width, {"block1": ("0",), "block2": ("1",), "block3": ("2",)})


def _whole(kind: Layers, channels: int) -> nn.Sequential:
    module, width = nn.Sequential(), channels
    for wider in _WIDTHS:
        layers = [kind.max_pool(2)] if len(module) else []
        layers += [*_convolution(kind, width, wider), *_convolution(kind, wider, wider)]
        module.append(nn.Sequential(*layers))
        width = wider
    return module


def _strided(kind: Layers, channels: int) -> nn.Sequential:
    first, second, third = (width // 2 for width in _WIDTHS)
    return nn.Sequential(
        nn.Sequential(*_convolution(kind, channels, first, 5, 2), *_convolution(kind, first, first)),
        nn.Sequential(kind.max_pool(2), *_convolution(kind, first, second), *_convolution(kind, second, second)),
        nn.Sequential(*_convolution(kind, second, third), *_convolution(kind, third, third)),
    )


def _convolution(kind: Layers, width: int, wider: int, side: int = 3, stride: int = 1) -> list[nn.Module]:
    layer = kind.convolution(width, wider, side, stride=stride, padding=side // 2, bias=False)
    return [layer, kind.batch_norm(wider), nn.ReLU()]


FAMILY = NetworkFamily(names=("smallcnn", _STRIDED), build=_build, smallest=4)  # two halvings
