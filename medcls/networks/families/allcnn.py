"""A small fully convolutional classifier: All-CNN-C of Springenberg et al., 'Striving for Simplicity' (ICLR 2015 workshop).

Strides stand in place of poolings, and here batch norms in place of the biases, so that it trains without a search for the
right step. The last convolution, over one cell, is the linear layer. It is made for images of some 32 voxels along each axis.
"""

from __future__ import annotations

from torch import nn

from medcls.config.settings import ModelSettings
from medcls.networks.family import Backbone, NetworkFamily
from medcls.networks.layers import LAYERS, fill_convolutions

# Features, width, stride and padding of each convolution.
_CONVOLUTIONS = (
    (96, 3, 1, 1),
    (96, 3, 1, 1),
    (96, 3, 2, 1),
    (192, 3, 1, 1),
    (192, 3, 1, 1),
    (192, 3, 2, 1),
    (192, 3, 1, 0),
    (192, 1, 1, 0),
)


def _build(settings: ModelSettings, dimensions: int, channels: int, classes: int) -> Backbone:
    kind, width = LAYERS[dimensions], channels
    parts = []
    for after, kernel, stride, padding in _CONVOLUTIONS:
        parts.append(
            nn.Sequential(
                kind.convolution(width, after, kernel, stride=stride, padding=padding, bias=False),
                kind.batch_norm(after),
                nn.ReLU(inplace=True),
            )
        )
        width = after
    module = nn.Sequential(*parts)
    fill_convolutions(module)
    return Backbone(module, width, {"block1": ("0", "1", "2"), "block2": ("3", "4", "5"), "block3": ("6", "7")})


FAMILY = NetworkFamily(names=("allcnn",), build=_build, smallest=9)  # two halvings that leave three cells
