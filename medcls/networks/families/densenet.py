"""DenseNet: Huang et al., 'Densely Connected Convolutional Networks' (CVPR 2017), table 1; MONAI's, in 2-D and 3-D."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from monai.networks.nets import densenet
from torch import nn

from medcls.config.settings import ModelSettings
from medcls.networks.family import Backbone, NetworkFamily
from medcls.networks.layouts import Layout, in_sequence
from medcls.networks.sources import radimagenet, torchvision

_NETWORKS: dict[str, Any] = {
    "densenet121": densenet.DenseNet121,
    "densenet169": densenet.DenseNet169,
    "densenet201": densenet.DenseNet201,
    "densenet264": densenet.DenseNet264,
}
# Before 2018 torchvision called the parts of a dense layer 'norm.1' and 'conv.2'; its densenet files still do.
_DENSE_PART = re.compile(r"(denselayer\d+)\.(norm|conv)\.?([12])\.")


def _build(settings: ModelSettings, dimensions: int, channels: int, classes: int) -> Backbone:
    whole = _NETWORKS[settings.name](spatial_dims=dimensions, in_channels=channels, out_channels=classes)
    parts: OrderedDict[str, nn.Module] = OrderedDict(whole.features.named_children())
    parts["relu5"] = nn.ReLU(inplace=True)
    blocks = {
        "stem": ("conv0", "norm0"),
        "block1": ("denseblock1", "transition1"),
        "block2": ("denseblock2", "transition2"),
        "block3": ("denseblock3", "transition3"),
        "block4": ("denseblock4", "norm5"),
    }
    return Backbone(nn.Sequential(parts), whole.class_layers.out.in_features, blocks)


def _from_torchvision(key: str) -> str | None:
    head, _, rest = key.partition(".")
    if head == "classifier":
        return f"head.{rest}"
    return "backbone." + _DENSE_PART.sub(r"\1.layers.\2\3.", rest) if head == "features" else None


def _from_monai(key: str) -> str | None:
    if key.startswith("class_layers.out."):
        return "head." + key.removeprefix("class_layers.out.")
    return "backbone." + key.removeprefix("features.") if key.startswith("features.") else None


def _is_monai(names: Mapping[str, int]) -> bool:
    return "features.conv0.weight" in names and any(".layers." in name for name in names)


FAMILY = NetworkFamily(
    names=tuple(_NETWORKS),
    build=_build,
    # Five halvings, of which the last three round down: 29 voxels leave one cell, 28 none.
    smallest=29,
    weights={
        "imagenet": {
            "densenet121": torchvision("densenet121-a639ec97.pth"),
            "densenet169": torchvision("densenet169-b2777c0a.pth"),
            "densenet201": torchvision("densenet201-c1103571.pth"),
        },
        "radimagenet": {"densenet121": radimagenet("DenseNet121.pt")},
    },
    layouts=(
        Layout("MONAI DenseNet", _is_monai, _from_monai),
        Layout("torchvision DenseNet", lambda names: "features.conv0.weight" in names, _from_torchvision),
        in_sequence(
            "RadImageNet DenseNet",
            "backbone.0.denseblock1.denselayer1.norm1.weight",
            ("features",),
            _from_torchvision,
        ),
    ),
    channels_last=(2,),
)
