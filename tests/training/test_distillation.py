"""What a teacher adds to the loss, against autograd of the published formula and its limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medcls.loading import Mixing
from medcls.training.distillation import Teaching
from tests.factories.training import BASE, cases, train, weights

torch.set_num_threads(1)


def scores(seed: int, labels: int = 3) -> torch.Tensor:
    return torch.randn(5, labels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3


@given(seed=st.integers(0, 99), temperature=st.floats(1, 8), multilabel=st.booleans())
def test_the_gradient_is_the_difference_of_the_softened_probabilities(
    seed: int, temperature: float, multilabel: bool
) -> None:
    """T times (q - p) for each case, which is equation 2 of the paper times the square of T."""
    soften = torch.sigmoid if multilabel else lambda given: torch.softmax(given, 1)
    taught = scores(seed + 100)
    own = scores(seed).requires_grad_()
    teaching = Teaching.of(soften(taught).numpy(), temperature=temperature, share=1.0, multilabel=multilabel)
    soft = teaching.of_cases(torch.arange(5), torch.device("cpu"))
    teaching.joined(torch.tensor(7.0), own, soft).backward()
    of = 5 * 3 if multilabel else 5
    expected = temperature * (soften(own.detach() / temperature) - soften(taught / temperature)) / of
    torch.testing.assert_close(own.grad, expected, atol=1e-5, rtol=1e-4)


def test_a_student_that_says_the_same_has_nothing_to_learn_and_shares_add_up() -> None:
    taught = scores(0)
    teaching = Teaching.of(torch.softmax(taught, 1).numpy(), temperature=3, share=0.4, multilabel=False)
    assert float(teaching.joined(torch.tensor(2.0), taught, teaching.soft)) == pytest.approx(1.2, abs=1e-5)


def test_probabilities_of_0_and_1_are_borne() -> None:
    for multilabel in (False, True):
        teaching = Teaching.of(np.eye(3), temperature=1, share=0.5, multilabel=multilabel)
        own = scores(1).float()[:3].requires_grad_()
        teaching.joined(torch.tensor(0.0), own, teaching.soft).backward()
        assert torch.isfinite(own.grad).all()


def test_the_network_learns_what_it_is_taught(tmp_path: Path) -> None:
    """A teacher that calls every label the other one turns the network round, also where images are mixed."""
    data = cases(24)
    wrong = np.array([[0.01, 0.99] if item.reference == (0,) else [0.99, 0.01] for item in data.items])
    teaching = Teaching.of(wrong, temperature=1, share=1.0, multilabel=False)
    settings = BASE.model_copy(update={"epochs": 12, "learning_rate": 0.05})
    for mixing in (None, Mixing(0, 2, False, 0.2, 0.0)):
        # The best epoch is the first, since tune has the labels as they are: the last is looked at.
        network = train(tmp_path / str(mixing is None), settings, data, teaching=teaching, mixing=mixing, keep="last")
        with torch.no_grad():
            images = torch.stack([data[index].images for index in range(24)])
            said = network.eval()(images).argmax(1)
        references = torch.tensor([item.reference[0] for item in data.items])
        assert (said != references).float().mean() > 0.8
    plain = train(tmp_path / "plain", settings, data)
    none = train(tmp_path / "none", settings, data, teaching=replace(teaching, share=0.0))
    torch.testing.assert_close(weights(none), weights(plain))
