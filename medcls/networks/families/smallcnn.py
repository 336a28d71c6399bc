"""A small CNN for images of some 28 pixels: three pairs of 3x3 convolutions with batch norm, and two poolings between them.

The plan is that of VGG (see there), cut to 28 pixels: they leave a map of 7 x 7.
"""

from __future__ import annotations

from torch import nn

from medcls.config.settings import ModelSettings
from medcls.networks.family import Backbone, NetworkFamily
from medcls.networks.layers import LAYERS, fill_convolutions

_WIDTHS = (48, 96, 192)


def _build(settings: ModelSettings, dimensions: int, channels: int, classes: int) -> Backbone:
    kind, width = LAYERS[dimensions], channels
    module = nn.Sequential()
    for wider in _WIDTHS:
        layers = [kind.max_pool(2)] if len(module) else []
        for before in (width, wider):
            layers += [kind.convolution(before, wider, 3, padding=1, bias=False), kind.batch_norm(wider), nn.ReLU()]
        module.append(nn.Sequential(*layers))
        width = wider
    fill_convolutions(module)
    return Backbone(module, width, {"block1": ("0",), "block2": ("1",), "block3": ("2",)})


FAMILY = NetworkFamily(names=("smallcnn",), build=_build, smallest=4)  # two halvings
