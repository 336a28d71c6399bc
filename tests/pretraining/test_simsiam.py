"""SimSiam: its loss, through what no gradient flows, and when it has collapsed."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from medcls.loading import Augmentation
from medcls.pretraining.simsiam import SimSiam, spread, symmetric_loss
from medcls.pretraining.views import Views
from tests.factories.training import tiny


@given(seed=st.integers(0, 1000))
def test_the_loss_is_the_formula_of_the_paper_and_outputs_take_no_gradient(seed: int) -> None:
    torch.manual_seed(seed)
    p1, p2, z1, z2 = (torch.randn(4, 6, dtype=torch.float64, requires_grad=True) for _ in range(4))
    loss = symmetric_loss((p1, p2), (z1, z2))

    def distance(p: torch.Tensor, z: torch.Tensor) -> float:
        a, b = p.detach().numpy(), z.detach().numpy()
        cosines = [(x / np.linalg.norm(x)) @ (y / np.linalg.norm(y)) for x, y in zip(a, b, strict=True)]
        return -float(np.mean(cosines))

    assert np.isclose(float(loss.detach()), distance(p1, z2) / 2 + distance(p2, z1) / 2)
    loss.backward()
    assert p1.grad is not None
    assert p2.grad is not None
    assert z1.grad is None
    assert z2.grad is None


def test_no_gradient_reaches_the_network_by_way_of_targets() -> None:
    learner = SimSiam(tiny(), 6)
    last = learner.predictor[-1]
    torch.nn.init.zeros_(last.weight)  # predictions are then one point, whatever the network does
    torch.nn.init.ones_(last.bias)
    loss, _figures = learner([torch.rand(4, 1, 12, 12), torch.rand(4, 1, 12, 12)], [])
    loss.backward()
    gradients = [one.grad for one in learner.network.backbone.parameters()]
    assert all(one is not None and not one.any() for one in gradients)


def test_one_point_has_no_spread_and_collapse_is_said_loudly() -> None:
    torch.manual_seed(0)
    assert float(spread(torch.ones(8, 16))) == 0
    assert abs(float(spread(torch.randn(4096, 64))) - 1) < 0.02
    learner = SimSiam(tiny(), 6)
    assert "COLLAPSED" in learner.doubt({"loss": -1.0, "spread": 0.01})
    assert learner.doubt({"loss": -0.9, "spread": 0.9}) == ""


def test_views_differ_and_hang_on_seed_epoch_and_key_alone() -> None:
    views, images, keys = Views.of(None, 2, crop=0.5, seed=3), torch.rand(3, 1, 12, 12), torch.arange(3)
    first, second = views(images, keys, epoch=1)
    assert not torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip((first, second), views(images, keys, epoch=1), strict=True))
    alone = views(images[2:], keys[2:], epoch=1)
    assert torch.equal(alone[0][0], first[2])
    assert torch.equal(alone[1][0], second[2])
    assert not torch.equal(views(images, keys, epoch=2)[0], first)


def test_views_do_what_the_region_allows_and_no_mirror_besides() -> None:
    allowed = Augmentation(seed=0, noise=0.1, crop=0.7)
    made = Views.of(allowed, 2, crop=0.5, seed=0).augmentation
    assert made == allowed  # its own crop is larger
    assert Views.of(None, 1, crop=0.5, seed=0).augmentation == Augmentation(seed=0, crop=0.5)
