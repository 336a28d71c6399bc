"""Stochastic depth: whole branches, image by image, in training alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medcls.networks.stochastic_depth import StochasticDepth, rising
from medcls.training.device import Compute
from medcls.training.numerics.layer_check import check_layers


@pytest.mark.parametrize("shape", [(4000, 2, 3, 3), (4000, 2, 2, 2, 2), (4000, 5)])
def test_a_branch_is_dropped_for_an_image_as_a_whole_and_its_mean_stays(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer = StochasticDepth(0.25).train()
    found = layer(torch.ones(shape)).flatten(1)
    assert torch.equal(found.amin(1), found.amax(1))
    assert sorted(set(found[:, 0].tolist())) == pytest.approx([0, 4 / 3])
    assert found.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(layer.eval()(torch.ones(shape)), torch.ones(shape))


def test_probabilities_rise_evenly_from_none_to_the_last() -> None:
    assert rising(0.4, 5) == pytest.approx((0, 0.1, 0.2, 0.3, 0.4))
    assert rising(0.4, 1) == (0,)


def test_what_is_drawn_is_not_taken_for_a_layer_that_computes_something_else() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), StochasticDepth(0.5), nn.Flatten(), nn.Linear(4 * 36, 2))
    compute = Compute("cpu", "bf16-mixed", channels_last=False)
    report = check_layers(network, nn.CrossEntropyLoss(), compute, torch.randn(6, 1, 8, 8), torch.arange(6) % 2)
    assert report.faults == {}
