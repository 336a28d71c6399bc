"""Probes: a penalty that held-out patients choose, and one linear layer that says the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from medcls.training.linear.linear_model import fit_linear
from medcls.training.linear.probe import STRENGTHS, Examples, _folds, fit_probe


def examples(
    seed: int, n: int = 60, k: int = 8, *, signal: float = 3.0, patients: int = 30, labels: int = 2
) -> Examples:
    random = np.random.default_rng(seed)
    groups = np.arange(n) % patients
    kind = groups % labels
    features = random.normal(5.0, 2.0, (n, k))
    features[:, 0] += signal * kind
    reference = np.eye(labels, dtype=np.bool_)[kind]
    return Examples(features, reference, np.ones_like(reference), groups, np.ones(reference.shape))


@given(seed=st.integers(0, 1000), k=st.sampled_from([3, 90]), labels=st.sampled_from([2, 3]), multilabel=st.booleans())
@settings(max_examples=10)
def test_the_layer_says_what_the_model_says(seed, k, labels, multilabel):
    given_ = examples(seed, k=k, labels=labels)
    probe = fit_probe(given_, multilabel=multilabel, seed=0)
    weights, bias = probe.layer()
    said = given_.features @ weights.T.astype(np.float64) + bias
    assert np.allclose(said, probe.model.logits(given_.features), atol=1e-3)


@pytest.mark.parametrize("k", [5, 200])
def test_more_features_than_cases_give_the_solution_of_scikit_learn(k):
    """Fitted on as many directions as there are cases, which changes nothing."""
    given_ = examples(1, k=k)
    model = fit_linear(given_.features, given_.reference, multilabel=False, strength=0.01)
    standard = (given_.features - model.centre) / model.scale
    oracle = LogisticRegression(C=0.01, tol=1e-8, max_iter=5000).fit(standard, given_.reference.argmax(axis=1))
    assert np.allclose(model.weights[1], oracle.coef_[0], atol=2e-4)
    assert model.offset[1] - model.offset[0] == pytest.approx(oracle.intercept_[0], abs=2e-3)


def test_cases_that_count_double_are_as_good_as_two():
    once = examples(2, n=40, patients=40)
    twice = once.at(np.concatenate([np.arange(40), np.arange(10)]))
    counts = np.ones(once.reference.shape)
    counts[:10] = 2
    weighted = fit_linear(once.features, once.reference, multilabel=False, strength=1.0, counts=counts)
    # Standardised alike, as counting changes the fit and not the features.
    plain = LogisticRegression(C=1.0, tol=1e-8, max_iter=5000).fit(
        (twice.features - weighted.centre) / weighted.scale, twice.reference.argmax(axis=1)
    )
    assert np.allclose(weighted.weights[1], plain.coef_[0], atol=2e-3)


def test_noise_gets_the_simplest_model_and_a_signal_does_not():
    noise = fit_probe(examples(3, n=200, k=40, signal=0.0, patients=200), multilabel=False, seed=0)
    signal = fit_probe(examples(3, n=200, k=40, signal=6.0, patients=200), multilabel=False, seed=0)
    assert noise.model.strength <= STRENGTHS[4] < signal.model.strength


@given(seed=st.integers(0, 1000), patients=st.integers(4, 20))
@settings(max_examples=20)
def test_patients_are_on_one_side_of_a_fold(seed, patients):
    given_ = examples(seed, patients=patients)
    folds = list(_folds(given_, seed))
    assert folds
    for inside, outside in folds:
        assert not set(given_.groups[inside]) & set(given_.groups[outside])
        assert given_.reference[inside].any(axis=0).all()


def test_a_label_of_one_patient_leaves_nothing_to_choose_on():
    given_ = examples(4, patients=2)
    probe = fit_probe(given_, multilabel=False, seed=0)
    assert probe.folds == 0
    assert np.isfinite(probe.layer()[0]).all()
