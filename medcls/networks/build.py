"""From the model's settings to a network, on MONAI's DenseNets and ResNets.

Both are the published networks, with two or three spatial axes:

* DenseNet: Huang et al., 'Densely Connected Convolutional Networks' (CVPR 2017), table 1.
* ResNet: He et al., 'Deep Residual Learning for Image Recognition' (CVPR 2016), table 1: 7-wide first convolution of
  stride 2, maximum over 3 with stride 2, and projections without bias on the shortcuts (option B). MONAI's own
  default strides by 1. With the MedicalNet weights, the 3-D ResNet18 and ResNet34 have shortcuts without weights
  instead (option A), because that is how they were trained (Chen et al., 'Med3D', arXiv 1904.00625).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from monai.networks.nets import densenet, resnet
from torch import nn

from medcls.config.settings import ModelSettings
from medcls.errors import ConfigError, UsageError
from medcls.networks.architecture import ClassificationNetwork
from medcls.networks.shortcuts import PaddedShortcut

BLOCKS = ("stem", "block1", "block2", "block3", "block4")

_DENSENETS: dict[str, Any] = {
    "densenet121": densenet.DenseNet121,
    "densenet169": densenet.DenseNet169,
    "densenet201": densenet.DenseNet201,
    "densenet264": densenet.DenseNet264,
}
_RESNETS: dict[str, Any] = {
    "resnet10": resnet.resnet10,
    "resnet18": resnet.resnet18,
    "resnet34": resnet.resnet34,
    "resnet50": resnet.resnet50,
    "resnet101": resnet.resnet101,
    "resnet152": resnet.resnet152,
    "resnet200": resnet.resnet200,
}
# Five halvings, of which the last three round down: 29 voxels leave one cell, 28 none.
_SMALLEST_OF_DENSENET = 29


def build_network(settings: ModelSettings, *, dimensions: int, channels: int, classes: int) -> ClassificationNetwork:
    """Build a network with fresh weights.

    Which tensors it has depends on these arguments alone; of ``settings.weights`` only whether it is ``medicalnet``
    matters, which changes the shortcuts of the 3-D ResNet18 and ResNet34. Nothing is loaded here.

    Args:
        settings: Name, dropout, and the ResNets' first stride and pool.
        dimensions: 2 or 3 spatial axes.
        channels: Channels of the input.
        classes: Outputs, one for each label.

    Raises:
        UsageError: An argument is out of range.
    """
    if dimensions not in (2, 3):
        raise UsageError(f"a network has 2 or 3 dimensions, not {dimensions}")
    if channels < 1 or classes < 1:
        raise UsageError(f"a network needs at least one channel and one class, not {channels} and {classes}")
    if settings.name in _DENSENETS:
        return _build_densenet(settings, dimensions, channels, classes)
    if settings.name in _RESNETS:
        return _build_resnet(settings, dimensions, channels, classes)
    raise ConfigError(f"there is no network '{settings.name}'", where="model.name")


def uses_padded_shortcuts(settings: ModelSettings, dimensions: int) -> bool:
    """Whether the network has shortcuts without weights, as the MedicalNet ResNet18 and ResNet34 have."""
    return dimensions == 3 and settings.weights == "medicalnet" and settings.name in ("resnet18", "resnet34")


def _build_densenet(settings: ModelSettings, dimensions: int, channels: int, classes: int) -> ClassificationNetwork:
    whole = _DENSENETS[settings.name](spatial_dims=dimensions, in_channels=channels, out_channels=classes)
    parts: OrderedDict[str, nn.Module] = OrderedDict(whole.features.named_children())
    parts["relu5"] = nn.ReLU(inplace=True)
    return ClassificationNetwork(
        nn.Sequential(parts),
        name=settings.name,
        features=whole.class_layers.out.in_features,
        dimensions=dimensions,
        channels=channels,
        classes=classes,
        blocks={
            "stem": ("conv0", "norm0"),
            "block1": ("denseblock1", "transition1"),
            "block2": ("denseblock2", "transition2"),
            "block3": ("denseblock3", "transition3"),
            "block4": ("denseblock4", "norm5"),
        },
        smallest=_SMALLEST_OF_DENSENET,
        dropout=settings.dropout,
    )


def _build_resnet(settings: ModelSettings, dimensions: int, channels: int, classes: int) -> ClassificationNetwork:
    padded = uses_padded_shortcuts(settings, dimensions)
    whole = _RESNETS[settings.name](
        spatial_dims=dimensions,
        n_input_channels=channels,
        num_classes=classes,
        conv1_t_size=7,
        conv1_t_stride=settings.first_stride,
        shortcut_type="A" if padded else "B",
        bias_downsample=False,
    )
    names = ["conv1", "bn1", "act", "maxpool", "layer1", "layer2", "layer3", "layer4"]
    if not settings.first_pool:
        names.remove("maxpool")
    if padded:
        _let_gradients_through(whole)
    return ClassificationNetwork(
        nn.Sequential(OrderedDict((name, getattr(whole, name)) for name in names)),
        name=settings.name,
        features=whole.fc.in_features,
        dimensions=dimensions,
        channels=channels,
        classes=classes,
        blocks={"stem": ("conv1", "bn1"), **{f"block{i}": (f"layer{i}",) for i in (1, 2, 3, 4)}},
        dropout=settings.dropout,
    )


def _let_gradients_through(whole: nn.Module) -> None:
    for module in whole.modules():
        if isinstance(module, resnet.ResNetBlock) and callable(module.downsample):
            module.downsample = PaddedShortcut(module.conv2.out_channels, module.stride)
