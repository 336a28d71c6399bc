"""ResNet: He et al., 'Deep Residual Learning for Image Recognition' (CVPR 2016), table 1; MONAI's, in 2-D and 3-D.

Its first convolution is 7 wide with stride 2, then the maximum over 3 with stride 2, and the shortcuts have projections without
bias (option B); MONAI's own default strides by 1. With the MedicalNet weights, the 3-D ResNet18 and ResNet34 have shortcuts
without weights instead (option A), because that is how they were trained (Chen et al., 'Med3D', arXiv 1904.00625).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from monai.networks.nets import resnet
from torch import Tensor, nn
from torch.nn import functional

from medcls.config.settings import ModelSettings
from medcls.networks.family import Backbone, NetworkFamily
from medcls.networks.layouts import WRAPPER, Layout, Translated, in_sequence
from medcls.networks.sources import Source, radimagenet, torchvision

_NETWORKS: dict[str, Any] = {
    "resnet10": resnet.resnet10,
    "resnet18": resnet.resnet18,
    "resnet34": resnet.resnet34,
    "resnet50": resnet.resnet50,
    "resnet101": resnet.resnet101,
    "resnet152": resnet.resnet152,
    "resnet200": resnet.resnet200,
}
_BIAS = ".downsample.0.bias"


def _build(settings: ModelSettings, dimensions: int, channels: int, classes: int) -> Backbone:
    padded = dimensions == 3 and settings.weights == "medicalnet" and settings.name in ("resnet18", "resnet34")
    whole = _NETWORKS[settings.name](
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
    module = nn.Sequential(OrderedDict((name, getattr(whole, name)) for name in names))
    blocks = {"stem": ("conv1", "bn1"), **{f"block{i}": (f"layer{i}",) for i in (1, 2, 3, 4)}}
    return Backbone(module, whole.fc.in_features, blocks)


class PaddedShortcut(nn.Module):
    """The shortcut without weights: every ``stride``-th cell, and zeros for the channels that are new (section 3.3, option A).

    MONAI has it as a function that reads ``tensor.data``, through which no gradient flows back; here it does.

    Args:
        channels: Channels that come out.
        stride: Step between the cells that are kept, along every axis.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels = channels
        self.stride = stride

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, K, *cells)`` to ``(B, channels, *cells / stride)``."""
        steps = (slice(None), slice(None), *(slice(None, None, self.stride),) * (features.ndim - 2))
        kept = features[steps]
        spatial = (0, 0) * (features.ndim - 2)
        return functional.pad(kept, (*spatial, 0, self.channels - features.shape[1]))

    def extra_repr(self) -> str:
        """What ``print(network)`` shows."""
        return f"channels={self.channels}, stride={self.stride}"


def _let_gradients_through(whole: nn.Module) -> None:
    for module in whole.modules():
        if isinstance(module, resnet.ResNetBlock) and callable(module.downsample):
            module.downsample = PaddedShortcut(module.conv2.out_channels, module.stride)


def _translate(key: str) -> str | None:
    head, _, rest = key.partition(".")
    if head == "fc":
        return f"head.{rest}"
    return f"backbone.{key}" if re.fullmatch(r"conv1|bn1|layer[1-4]", head) else None


def _absorb_biases(translated: Translated) -> dict[str, str]:
    # A batch norm takes away the mean, so a bias before it is the same as a mean that is smaller by it, exactly.
    told = {}
    for key in [one for one in translated if one.endswith(_BIAS)]:
        mean = key.replace(_BIAS, ".downsample.1.running_mean")
        if mean in translated and translated[mean][1].shape == translated[key][1].shape:
            original, before = translated[mean]
            translated[mean] = (original, before.float() - translated.pop(key)[1].float())
            told[mean] = "bias of a shortcut taken into its batch norm"
    return told


# One naming, three sources: MedicalNet's files are wrapped and 3-D, torchvision's plain and 2-D, MONAI's anything else.
def _is_resnet(names: Mapping[str, int]) -> bool:
    return names.keys() >= {"conv1.weight", "layer1.0.conv1.weight"}


def _is_medicalnet(names: Mapping[str, int]) -> bool:
    own = WRAPPER in names or any(name.startswith("conv_seg.") for name in names)
    return _is_resnet(names) and names["conv1.weight"] == 5 and own


def _is_padded(names: Mapping[str, int]) -> bool:
    return _is_medicalnet(names) and not any(".downsample." in name for name in names)


def _is_monai(names: Mapping[str, int]) -> bool:
    return _is_resnet(names) and (names["conv1.weight"] == 5 or any(name.endswith(_BIAS) for name in names))


def _medicalnet(depth: int, file: str) -> Source:
    url = f"https://huggingface.co/TencentMedicalNet/MedicalNet-Resnet{depth}/resolve/main/{file}"
    return Source(file, url, licence="MIT", trained_on="CT and MR volumes of several organs")


FAMILY = NetworkFamily(
    names=tuple(_NETWORKS),
    build=_build,
    weights={
        "imagenet": {
            "resnet18": torchvision("resnet18-f37072fd.pth"),
            "resnet34": torchvision("resnet34-b627a593.pth"),
            "resnet50": torchvision("resnet50-0676ba61.pth"),
            "resnet101": torchvision("resnet101-63fe2227.pth"),
            "resnet152": torchvision("resnet152-394f9c45.pth"),
        },
        "radimagenet": {
            "resnet50": radimagenet("ResNet50.pt", "08629f7e7bd3e29b8ee9522ca3f65ce4d010a7ddf74f0ea3c7e3f3d0bbab0734"),
        },
        "medicalnet": {
            "resnet10": _medicalnet(10, "resnet_10_23dataset.pth"),
            "resnet18": _medicalnet(18, "resnet_18_23dataset.pth"),
            "resnet34": _medicalnet(34, "resnet_34_23dataset.pth"),
            "resnet50": _medicalnet(50, "resnet_50_23dataset.pth"),
            "resnet101": _medicalnet(101, "resnet_101.pth"),
            "resnet152": _medicalnet(152, "resnet_152.pth"),
            "resnet200": _medicalnet(200, "resnet_200.pth"),
        },
    },
    layouts=(
        Layout(
            "MedicalNet ResNet",
            _is_padded,
            _translate,
            remedy="Write 'weights: medicalnet', so that the network gets the shortcuts of these weights",
        ),
        Layout("MedicalNet ResNet", _is_medicalnet, _translate, fold=_absorb_biases),
        Layout("MONAI ResNet", _is_monai, _translate, fold=_absorb_biases),
        Layout("torchvision ResNet", _is_resnet, _translate),
        in_sequence(
            "RadImageNet ResNet",
            "backbone.4.0.downsample.0.weight",
            ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"),
            _translate,
        ),
    ),
)
