"""SENet: Hu et al., 'Squeeze-and-Excitation Networks' (CVPR 2018), tables 1 and 2; MONAI's, in 2-D and 3-D.

Each block of a ResNet, a ResNeXt (32 groups of width 4) or SENet154 weighs its features by what it sees of the whole image.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any

from monai.networks.nets import senet
from torch import nn

from medcls.config.settings import ModelSettings
from medcls.networks.family import Backbone, NetworkFamily
from medcls.networks.layouts import Layout, Translated

_NETWORKS: dict[str, Any] = {
    "seresnet50": senet.SEResNet50,
    "seresnet101": senet.SEResNet101,
    "seresnet152": senet.SEResNet152,
    "seresnext50": senet.SEResNext50,
    "seresnext101": senet.SEResNext101,
    "senet154": senet.SENet154,
}
_PARTS = ("layer0", "layer1", "layer2", "layer3", "layer4")
# What the authors' networks in torch, and timm's of them, call the parts of a block.
_OF_TIMM = (
    (r"\.conv(\d)\.", r".conv\1.conv."),
    (r"\.bn(\d)\.", r".conv\1.adn.N."),
    (r"\.se_module\.fc1\.", ".se_layer.fc.0."),
    (r"\.se_module\.fc2\.", ".se_layer.fc.2."),
    (r"\.downsample\.0\.", ".project.conv."),
    (r"\.downsample\.1\.", ".project.adn.N."),
)


def _build(settings: ModelSettings, dimensions: int, channels: int, classes: int) -> Backbone:
    whole = _NETWORKS[settings.name](spatial_dims=dimensions, in_channels=channels, num_classes=classes)
    module = nn.Sequential(OrderedDict((name, getattr(whole, name)) for name in _PARTS))
    blocks = {"stem": ("layer0",), **{f"block{i}": (f"layer{i}",) for i in (1, 2, 3, 4)}}
    return Backbone(module, whole.last_linear.in_features, blocks)


def _from_monai(key: str) -> str | None:
    part, _, rest = key.partition(".")
    if part == "last_linear":
        return f"head.{rest}"
    return f"backbone.{key}" if part in _PARTS else None


def _from_timm(key: str) -> str | None:
    if not key.startswith("layer0."):
        for theirs, ours in _OF_TIMM:
            key = re.sub(theirs, ours, key)
    return _from_monai(key)


def _flatten(translated: Translated) -> dict[str, str]:
    # The same linear layers, there as convolutions over one cell.
    for key, (original, tensor) in translated.items():
        if ".se_layer." in key and tensor.ndim > 2:
            translated[key] = (original, tensor.flatten(1))
    return {}


FAMILY = NetworkFamily(
    names=tuple(_NETWORKS),
    build=_build,
    smallest=3,  # the pooling after the first convolution is not padded
    layouts=(
        Layout("MONAI SENet", lambda names: "layer1.0.se_layer.fc.0.weight" in names, _from_monai),
        Layout("timm SENet", lambda names: "layer1.0.se_module.fc1.weight" in names, _from_timm, fold=_flatten),
    ),
)
