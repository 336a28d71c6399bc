"""What a label would bring: against the published formulas written out, and against chance where one class is rare."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import entropy

from medcls.errors import UsageError
from medcls.evaluation.acquisition import Candidates, Method, choose
from medcls.training.linear.linear_model import fit_linear

Floats = NDArray[np.float64]


def candidates(seed: int, n: int = 12, *, members: int = 3, labels: int = 3, multilabel: bool = False) -> Candidates:
    random = np.random.default_rng(seed)
    scores = random.normal(0, 2, (members, n, labels))
    said = 1 / (1 + np.exp(-scores)) if multilabel else np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)
    return Candidates(said, random.normal(0, 1, (n, 5)), multilabel)


@given(seed=st.integers(0, 99), multilabel=st.booleans())
def test_uncertainty_and_disagreement_are_the_published_ones(seed: int, multilabel: bool) -> None:
    every = candidates(seed, multilabel=multilabel)

    def of(said: Floats) -> Floats:
        if multilabel:
            return np.mean([entropy([said[:, k], 1 - said[:, k]], base=2) for k in range(3)], axis=0)
        return entropy(said, base=3, axis=1)

    mean = every.members.mean(axis=0)
    np.testing.assert_allclose(every.entropy, of(mean), atol=1e-9)
    np.testing.assert_allclose(
        every.mutual_information, of(mean) - np.mean([of(one) for one in every.members], axis=0), atol=1e-9
    )
    if not multilabel:
        ordered = np.sort(mean, axis=1)
        np.testing.assert_allclose(every.margin, 1 - (ordered[:, -1] - ordered[:, -2]), atol=1e-12)
    agreed = Candidates(np.repeat(every.members[:1], 3, axis=0), every.features, multilabel)
    np.testing.assert_allclose(agreed.mutual_information, 0, atol=1e-9)
    for value in (every.entropy, every.margin):
        assert ((value >= 0) & (value <= 1 + 1e-9)).all()


@given(seed=st.integers(0, 99))
def test_core_set_takes_the_farthest_from_all_that_are_taken(seed: int) -> None:
    every = candidates(seed)
    chosen = choose(every, 6, "core_set").tolist()
    assert chosen[0] == int(np.argmax(every.entropy))
    for number in range(1, 6):
        away = [min(np.linalg.norm(one - every.features[place]) for place in chosen[:number]) for one in every.features]
        assert away[chosen[number]] == pytest.approx(max(away))


@given(seed=st.integers(0, 99))
def test_badge_draws_by_the_squared_distance_of_the_gradients(seed: int) -> None:
    """Written out: probability less predicted label, times features, one vector for each image."""
    every = candidates(seed)
    said = every.probabilities
    error = said - np.eye(3)[said.argmax(axis=1)]
    gradients = np.einsum("nl,nk->nlk", error, every.features).reshape(len(said), -1)
    random, chosen = np.random.default_rng(7), [int(np.argmax((gradients**2).sum(axis=1)))]
    for _ in range(5):
        away = np.min([((gradients - gradients[place]) ** 2).sum(axis=1) for place in chosen], axis=0)
        away[chosen] = 0
        chosen.append(int(random.choice(len(said), p=away / away.sum())))
    assert choose(every, 6, "badge", seed=7).tolist() == chosen


@given(
    seed=st.integers(0, 20),
    method=st.sampled_from(get_args(Method)),
    count=st.integers(1, 20),
    multilabel=st.booleans(),
)
def test_nobody_is_chosen_twice_and_the_same_seed_chooses_the_same(
    seed: int, method: Method, count: int, multilabel: bool
) -> None:
    every = candidates(seed, multilabel=multilabel)
    chosen = choose(every, count, method, seed=seed).tolist()
    assert len(set(chosen)) == len(chosen) == min(count, 12)
    assert chosen == choose(every, count, method, seed=seed).tolist()
    assert chosen[:3] == choose(every, 3, method, seed=seed).tolist()[: len(chosen)]


def test_images_that_are_all_alike_can_be_chosen_and_one_classifier_does_not_disagree() -> None:
    alike = Candidates(np.full((1, 4, 2), 0.5), np.ones((4, 3)), False)
    for method in ("badge", "core_set", "entropy", "margin"):
        assert sorted(choose(alike, 9, method).tolist()) == [0, 1, 2, 3]
    with pytest.raises(UsageError, match="this is one classifier"):
        choose(alike, 2, "bald")


def rare(random: np.random.Generator, n: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Features in eight dimensions, of which one tells 4 of 100 from the others."""
    labels = np.arange(n) % 25 == 0
    return random.normal(0, 1, (n, 8)) + 2.5 * labels[:, None] * (np.arange(8) == 0), labels


@pytest.mark.parametrize("method", ["entropy", "margin", "badge"])
def test_more_of_a_rare_class_is_found_than_by_chance(method: Method) -> None:
    """A linear probe asks for three times five labels of 400; over eight seeds."""
    found: dict[str, list[tuple[int, float]]] = {method: [], "chance": []}
    for seed in range(8):
        random = np.random.default_rng(seed)
        (pool, labels), (others, truth) = rare(random, 400), rare(random, 1000)
        start = [0, *random.choice(np.flatnonzero(~labels), 9, replace=False).tolist()]
        for way, results in found.items():
            draw, known = np.random.default_rng(seed), list(start)
            for step in range(4):
                reference = np.stack([~labels[known], labels[known]], axis=1)
                model = fit_linear(pool[known], reference, multilabel=False, strength=0.1)
                if step == 3:
                    break
                rest = np.setdiff1d(np.arange(400), known)
                every = Candidates(model.probabilities(pool[rest])[None], pool[rest], False)
                chosen = draw.choice(len(rest), 5, replace=False) if way == "chance" else choose(every, 5, method)
                known += rest[chosen].tolist()
            scores = model.logits(others)[:, 1]
            auc = float((scores[truth][:, None] > scores[~truth][None]).mean())
            results.append((int(labels[known].sum()), auc))
    rare_found, aucs = ({way: np.mean([one[k] for one in of]) for way, of in found.items()} for k in (0, 1))
    assert rare_found[method] >= 2 * rare_found["chance"]
    if method != "badge":  # which also asks for what is merely unlike, so its probe is no better yet
        assert aucs[method] > aucs["chance"] + 0.02
