"""MobileNetV3: Howard et al., 'Searching for MobileNetV3' (ICCV 2019), tables 1 and 2.

Its head has a hidden layer with a hard swish after the mean over space, so Grad-CAM goes by gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from medcls.config.settings import ModelSettings
from medcls.networks.family import Backbone, NetworkFamily
from medcls.networks.heads import MeanLinearHead
from medcls.networks.layers import LAYERS, SpatialMean, fill_convolutions
from medcls.networks.layouts import Layout
from medcls.networks.sources import torchvision


class _Row(NamedTuple):
    """A row of the tables: ``squeezes`` is SE there, ``swish`` HS in place of RE."""

    kernel: int
    expanded: int
    width: int
    squeezes: bool
    swish: bool
    stride: int


_FIRST = 16
_TABLES: Mapping[str, tuple[_Row, ...]] = {
    "mobilenet_v3_small": (
        _Row(3, 16, 16, True, False, 2),
        _Row(3, 72, 24, False, False, 2),
        _Row(3, 88, 24, False, False, 1),
        _Row(5, 96, 40, True, True, 2),
        *(_Row(5, 240, 40, True, True, 1),) * 2,
        _Row(5, 120, 48, True, True, 1),
        _Row(5, 144, 48, True, True, 1),
        _Row(5, 288, 96, True, True, 2),
        *(_Row(5, 576, 96, True, True, 1),) * 2,
    ),
    "mobilenet_v3_large": (
        _Row(3, 16, 16, False, False, 1),
        _Row(3, 64, 24, False, False, 2),
        _Row(3, 72, 24, False, False, 1),
        _Row(5, 72, 40, True, False, 2),
        *(_Row(5, 120, 40, True, False, 1),) * 2,
        _Row(3, 240, 80, False, True, 2),
        _Row(3, 200, 80, False, True, 1),
        *(_Row(3, 184, 80, False, True, 1),) * 2,
        _Row(3, 480, 112, True, True, 1),
        _Row(3, 672, 112, True, True, 1),
        _Row(5, 672, 160, True, True, 2),
        *(_Row(5, 960, 160, True, True, 1),) * 2,
    ),
}
_HIDDEN = {576: 1024, 960: 1280}


class HiddenHead(MeanLinearHead):
    """The mean over space, a hidden layer with a hard swish, and a linear layer (table 2, after the pooling)."""

    linear_over_mean = False

    def __init__(self, features: int, classes: int) -> None:
        super().__init__(_HIDDEN[features], classes)
        self.hidden = nn.Linear(features, _HIDDEN[features])

    def pool(self, features: Tensor) -> Tensor:
        """The hidden layer over the mean over space."""
        return functional.hardswish(self.hidden(super().pool(features)))


class SqueezeExcitation(nn.Module):
    """Weighs each feature by what is seen of the whole image (section 5.3).

    Args:
        dimensions: 2 or 3.
        width: Features.
    """

    def __init__(self, dimensions: int, width: int) -> None:
        super().__init__()
        squeezed = _by_eights(width // 4)
        self.mean = SpatialMean()
        self.fc1 = LAYERS[dimensions].convolution(width, squeezed, 1)
        self.fc2 = LAYERS[dimensions].convolution(squeezed, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, K, *cells)`` to the same."""
        return features * functional.hardsigmoid(self.fc2(functional.relu(self.fc1(self.mean(features)))))


class InvertedResidual(nn.Module):
    """A block: to more features, a convolution of each by itself, to fewer features; added to its input where that fits.

    Args:
        dimensions: 2 or 3.
        before: Features that come in.
        row: Of the table.
    """

    def __init__(self, dimensions: int, before: int, row: _Row) -> None:
        super().__init__()
        swish = nn.Hardswish if row.swish else nn.ReLU
        wide = row.expanded
        parts = [_convolution(dimensions, before, wide, 1, swish)] if wide != before else []
        parts.append(_convolution(dimensions, wide, wide, row.kernel, swish, stride=row.stride, groups=wide))
        if row.squeezes:
            parts.append(SqueezeExcitation(dimensions, wide))
        self.block = nn.Sequential(*parts, _convolution(dimensions, wide, row.width, 1, None))
        self.adds = row.stride == 1 and before == row.width

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, K, *cells)`` to ``(B, width, *cells / stride)``."""
        found: Tensor = self.block(features)
        return features + found if self.adds else found


def _build(settings: ModelSettings, dimensions: int, channels: int, classes: int) -> Backbone:
    width = _FIRST
    layers: list[nn.Module] = [_convolution(dimensions, channels, width, 3, nn.Hardswish, stride=2)]
    begins = [0]
    for row in _TABLES[settings.name]:
        if row.stride == 2:
            begins.append(len(layers))
        layers.append(InvertedResidual(dimensions, width, row))
        width = row.width
    layers.append(_convolution(dimensions, width, 6 * width, 1, nn.Hardswish))
    module = nn.Sequential(*layers)
    fill_convolutions(module)
    names = ("stem", "block1", "block2", "block3", "block4")
    ends = (*begins[1:], len(layers))
    blocks = {
        name: tuple(str(place) for place in range(*span)) for name, *span in zip(names, begins, ends, strict=True)
    }
    return Backbone(module, 6 * width, blocks)


def _convolution(
    dimensions: int,
    before: int,
    after: int,
    kernel: int,
    activation: Callable[..., nn.Module] | None,
    *,
    stride: int = 1,
    groups: int = 1,
) -> nn.Module:
    kind = LAYERS[dimensions]
    return nn.Sequential(
        kind.convolution(before, after, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False),
        # Its statistics follow in tens of steps, not in hundreds as on ImageNet: cohorts are small.
        kind.batch_norm(after, eps=0.001),
        *([activation(inplace=True)] if activation else []),
    )


def _by_eights(width: int) -> int:
    """The nearest multiple of 8, at least 8 and no more than a tenth below."""
    near = max(8, (width + 4) // 8 * 8)
    return near if near >= 0.9 * width else near + 8


def _from_torchvision(key: str) -> str | None:
    part, _, rest = key.partition(".")
    if part == "classifier":
        number, _, tensor = rest.partition(".")
        return {"0": f"head.hidden.{tensor}", "3": f"head.{tensor}"}.get(number)
    return f"backbone.{rest}" if part == "features" else None


FAMILY = NetworkFamily(
    names=tuple(_TABLES),
    build=_build,
    head=HiddenHead,
    weights={
        "imagenet": {
            "mobilenet_v3_small": torchvision("mobilenet_v3_small-047dcff4.pth"),
            "mobilenet_v3_large": torchvision("mobilenet_v3_large-8738ca79.pth"),
        }
    },
    layouts=(
        Layout("torchvision MobileNetV3", lambda names: "features.1.block.0.0.weight" in names, _from_torchvision),
    ),
    channels_last=(2,),
)
