"""Inception v3: Szegedy et al., 'Rethinking the Inception Architecture for Computer Vision' (CVPR 2016), table 1.

Wide convolutions are parted into one along each axis: two of them in 2-D, and three in 3-D. It has no auxiliary classifier.
"""

from __future__ import annotations

import itertools
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from medcls.config.settings import ModelSettings
from medcls.networks.families.googlenet import Branches, convolution
from medcls.networks.family import Backbone, NetworkFamily
from medcls.networks.layers import LAYERS, fill_convolutions
from medcls.networks.layouts import Layout, in_sequence
from medcls.networks.sources import GOOGLE, radimagenet, torchvision

_BLOCKS = {
    "stem": ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"),
    "block1": ("Mixed_5b", "Mixed_5c", "Mixed_5d"),
    "block2": ("Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    "block3": ("Mixed_7a", "Mixed_7b", "Mixed_7c"),
}
_NUMBERED = re.compile(r"\.(branch\w+?)_(\d)([a-c]?)\.")


class PaddedMean(nn.Module):
    """The mean over 3 cells along each axis, of which those beyond the edge are 0.

    torch's own pads as well, but in 3-D refuses fewer than 3 cells.
    """

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, K, *cells)`` to the same shape."""
        axes = features.ndim - 2
        mean = functional.avg_pool2d if axes == 2 else functional.avg_pool3d
        return mean(functional.pad(features, (1, 1) * axes), 3, stride=1)


@dataclass(frozen=True)
class _Mixed:
    """Builds the parts of the network, named by figures of the paper, for as many axes.

    Their names are torchvision's, but for a dot before each number: ``branch3x3dbl.3.a`` is ``branch3x3dbl_3a`` there.
    """

    dimensions: int

    def same(self, before: int, fives: int, pooled: int) -> Branches:
        """Figure 5."""
        return Branches(
            {
                "branch1x1": self._one(before, 64),
                "branch5x5": _row(self._one(before, 48), self._one(48, fives, 5)),
                "branch3x3dbl": _row(self._one(before, 64), self._one(64, 96, 3), self._one(96, 96, 3)),
                "branch_pool": self._pooled(before, pooled),
            }
        )

    def halving(self, before: int) -> Branches:
        """Figure 10, the first."""
        return Branches(
            {
                "branch3x3": self._halved(before, 384),
                "branch3x3dbl": _row(self._one(before, 64), self._one(64, 96, 3), self._halved(96, 96)),
                "branch_pool": LAYERS[self.dimensions].max_pool(3, stride=2),
            }
        )

    def parted(self, before: int, middle: int) -> Branches:
        """Figure 6, with a width of 7."""
        first, again = self._axes(7)[::-1], self._axes(7)
        return Branches(
            {
                "branch1x1": self._one(before, 192),
                "branch7x7": _row(self._one(before, middle), *self._chain(middle, 192, first)),
                "branch7x7dbl": _row(self._one(before, middle), *self._chain(middle, 192, again + again)),
                "branch_pool": self._pooled(before, 192),
            }
        )

    def halving_again(self, before: int) -> Branches:
        """Figure 10, the second."""
        along = self._chain(192, 192, self._axes(7)[::-1])
        return Branches(
            {
                "branch3x3": _row(self._one(before, 192), self._halved(192, 320)),
                "branch7x7x3": _row(self._one(before, 192), *along, self._halved(192, 192)),
                "branch_pool": LAYERS[self.dimensions].max_pool(3, stride=2),
            }
        )

    def spread(self, before: int) -> Branches:
        """Figure 7."""
        return Branches(
            {
                "branch1x1": self._one(before, 320),
                "branch3x3": _row(self._one(before, 384), self._each_axis()),
                "branch3x3dbl": _row(self._one(before, 448), self._one(448, 384, 3), self._each_axis()),
                "branch_pool": self._pooled(before, 192),
            }
        )

    def _one(self, before: int, after: int, kernel: int | Sequence[int] = 1) -> nn.Module:
        return convolution(self.dimensions, before, after, kernel)

    def _halved(self, before: int, after: int) -> nn.Module:
        return convolution(self.dimensions, before, after, 3, stride=2, padded=False)

    def _pooled(self, before: int, after: int) -> nn.Module:
        return nn.Sequential(PaddedMean(), self._one(before, after))

    def _axes(self, width: int) -> list[tuple[int, ...]]:
        """Kernels of this width along each axis in turn, from the first on."""
        axes = range(self.dimensions)
        return [tuple(width if axis == along else 1 for axis in axes) for along in axes]

    def _chain(self, middle: int, after: int, kernels: Sequence[tuple[int, ...]]) -> list[nn.Module]:
        widths = [middle] * len(kernels[:-1]) + [after]
        return [self._one(middle, width, kernel) for width, kernel in zip(widths, kernels, strict=True)]

    def _each_axis(self) -> Branches:
        kernels = reversed(self._axes(3))
        return Branches({name: self._one(384, 384, kernel) for name, kernel in zip("abc", kernels, strict=False)})


def _row(*parts: nn.Module) -> nn.Module:
    return nn.Sequential(OrderedDict((str(number), part) for number, part in enumerate(parts, start=1)))


def _build(settings: ModelSettings, dimensions: int, channels: int, classes: int) -> Backbone:
    mixed, pool = _Mixed(dimensions), LAYERS[dimensions].max_pool
    last = 320 + 2 * dimensions * 384 + 192
    module = nn.Sequential(
        OrderedDict(
            Conv2d_1a_3x3=convolution(dimensions, channels, 32, 3, stride=2, padded=False),
            Conv2d_2a_3x3=convolution(dimensions, 32, 32, 3, padded=False),
            Conv2d_2b_3x3=convolution(dimensions, 32, 64, 3),
            maxpool1=pool(3, stride=2),
            Conv2d_3b_1x1=convolution(dimensions, 64, 80),
            Conv2d_4a_3x3=convolution(dimensions, 80, 192, 3, padded=False),
            maxpool2=pool(3, stride=2),
            Mixed_5b=mixed.same(192, 64, 32),
            Mixed_5c=mixed.same(256, 64, 64),
            Mixed_5d=mixed.same(288, 64, 64),
            Mixed_6a=mixed.halving(288),
            Mixed_6b=mixed.parted(768, 128),
            Mixed_6c=mixed.parted(768, 160),
            Mixed_6d=mixed.parted(768, 160),
            Mixed_6e=mixed.parted(768, 192),
            Mixed_7a=mixed.halving_again(768),
            Mixed_7b=mixed.spread(1280),
            Mixed_7c=mixed.spread(last),
        )
    )
    fill_convolutions(module)
    return Backbone(module, last, _BLOCKS)


def _from_torchvision(key: str) -> str | None:
    part, _, rest = key.partition(".")
    if part == "fc":
        return f"head.{rest}"
    if part == "AuxLogits":
        return None
    numbered = _NUMBERED.sub(lambda found: ".".join(("", *filter(None, found.groups()), "")), key)
    return "backbone." + numbered.replace("branch_pool.", "branch_pool.1.")


FAMILY = NetworkFamily(
    names=("inception_v3",),
    build=_build,
    smallest=75,  # as torchvision has it
    weights={
        "imagenet": {"inception_v3": torchvision("inception_v3_google-0cc3c7bd.pth", GOOGLE)},
        "radimagenet": {"inception_v3": radimagenet("InceptionV3.pt")},
    },
    layouts=(
        Layout("torchvision Inception v3", lambda names: "Mixed_5b.branch1x1.conv.weight" in names, _from_torchvision),
        in_sequence(
            "RadImageNet Inception v3",
            "backbone.7.branch1x1.conv.weight",
            (
                *_BLOCKS["stem"][:3],
                "maxpool1",
                *_BLOCKS["stem"][3:],
                "maxpool2",
                *itertools.chain(*[*_BLOCKS.values()][1:]),
            ),
            _from_torchvision,
        ),
    ),
)
