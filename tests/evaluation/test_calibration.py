"""Temperature scaling and the reliability curve."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from medcls.errors import ClassifierError, UsageError
from medcls.evaluation import (
    Method,
    Temperature,
    fit_temperature,
    negative_log_likelihood,
    reliability_curve,
    wilson,
)


def overconfident(seed: int, n: int = 200, labels: int = 3, sharpness: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits ``sharpness`` times too large, and labels drawn from the true probabilities."""
    generator = np.random.default_rng(seed)
    honest = generator.normal(size=(n, labels))
    drawn = np.array([generator.choice(labels, p=row) for row in softmax(honest, axis=1)])
    return honest * sharpness, drawn[:, None] == np.arange(labels)


def test_temperature_in_closed_form() -> None:
    # All logits differ by 3 and 80 of 100 are right: sigmoid(3 / T) must be 0.8.
    logits = np.tile([0.0, 3.0], (100, 1))
    right = np.arange(100) < 80
    expected = 3 / math.log(0.8 / 0.2)
    temperature = fit_temperature(logits, np.stack([~right, right], axis=1))
    assert temperature.values == (pytest.approx(expected, rel=1e-6),)
    one = fit_temperature(logits[:, 1:], right[:, None], multilabel=True)
    assert one.values == (pytest.approx(expected, rel=1e-6),)


@pytest.mark.parametrize("seed", range(3))
def test_temperature_is_scikit_learns(seed: int) -> None:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(150, 4))
    label = (features[:, 0] + generator.normal(size=150) > 0).astype(int) + (features[:, 1] > 0.5)
    model = LogisticRegression(C=1e6).fit(features[:40], label[:40])
    oracle = CalibratedClassifierCV(FrozenEstimator(model), method="temperature").fit(features[40:], label[40:])
    logits = model.decision_function(features[40:])
    temperature = fit_temperature(logits, label[40:, None] == np.arange(3))
    assert temperature.reason is None
    np.testing.assert_allclose(temperature.probabilities(logits), oracle.predict_proba(features[40:]), atol=1e-4)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_size_of_the_logits_does_not_matter(scale: float) -> None:
    logits, reference = overconfident(2)
    plain, scaled = fit_temperature(logits, reference), fit_temperature(logits * scale, reference)
    assert scaled.values[0] == pytest.approx(plain.values[0] * scale, rel=1e-5)


def test_too_sharp_logits_are_softened_to_the_truth() -> None:
    logits, reference = overconfident(0, n=20_000)
    temperature = fit_temperature(logits, reference)
    assert temperature.values[0] == pytest.approx(4, rel=0.05)
    assert temperature.nll_after < temperature.nll_before  # type: ignore[operator]
    assert temperature.nll_after == negative_log_likelihood(logits / temperature.values[0], reference, "softmax")


@settings(deadline=None)
@given(st.integers(0, 500), st.sampled_from([0.3, 1.0, 8.0]))
def test_argmax_never_changes_and_the_fit_is_a_minimum(seed: int, sharpness: float) -> None:
    logits, reference = overconfident(seed, n=30, sharpness=sharpness)
    temperature = fit_temperature(logits, reference)
    probabilities = temperature.probabilities(logits)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), logits.argmax(axis=1))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    if temperature.reason is None:
        least = negative_log_likelihood(logits / temperature.values[0], reference, "softmax")
        for factor in (0.9, 1.1):
            assert negative_log_likelihood(logits / (temperature.values[0] * factor), reference, "softmax") > least


def test_multi_label_has_one_temperature_or_one_each_and_keeps_decisions_at_one_half() -> None:
    generator = np.random.default_rng(0)
    honest = generator.normal(size=(5000, 2))
    reference = generator.random((5000, 2)) < 1 / (1 + np.exp(-honest))
    logits = honest * [2.0, 6.0]
    shared = fit_temperature(logits, reference, multilabel=True)
    each = fit_temperature(logits, reference, multilabel=True, per_label=True)
    assert len(shared.values) == 1
    assert each.values == pytest.approx((2, 6), rel=0.1)
    assert each.nll_after < shared.nll_after < shared.nll_before  # type: ignore[operator]
    np.testing.assert_array_equal(each.probabilities(logits) >= 0.5, logits >= 0)


@pytest.mark.parametrize(
    ("logits", "reference", "reason"),
    [
        (np.zeros((0, 2)), np.zeros((0, 2), bool), "no cases"),
        ([[0.0, 1.0], [2.0, 1.0]], [[0, 1], [0, 1]], "two labels"),
        ([[0.0, 1.0], [2.0, 1.0]], [[0, 1], [1, 0]], "decided wrongly"),
        ([[0.0, 1.0], [2.0, 1.0]], [[1, 0], [0, 1]], "do not follow"),
        ([[0.0, 0.0], [0.0, 0.0]], [[1, 0], [0, 1]], "any sharpening"),
    ],
)
def test_where_no_temperature_fits_it_is_one_and_says_so(logits: object, reference: object, reason: str) -> None:
    temperature = fit_temperature(logits, reference)  # type: ignore[arg-type]
    assert reason in str(temperature.reason)
    assert temperature.values == (1.0,)
    assert temperature.nll_before == temperature.nll_after


def test_a_label_that_cannot_be_fitted_leaves_the_others_their_temperature() -> None:
    logits = np.array([[3.0, 1.0], [3.0, 1.0], [3.0, 1.0], [-3.0, 1.0]])
    reference = np.array([[1, 0], [1, 0], [0, 0], [0, 0]], dtype=bool)
    temperature = fit_temperature(logits, reference, multilabel=True, per_label=True)
    assert temperature.values[0] != 1.0
    assert temperature.values[1] == 1.0
    assert "two labels" in str(temperature.reason)


def test_a_temperature_survives_json_and_a_damaged_one_is_refused() -> None:
    logits, reference = overconfident(1)
    temperature = fit_temperature(logits, reference)
    document = json.loads(json.dumps(temperature.to_json()))
    assert Temperature.from_json(document) == temperature
    for damage in ({"values": []}, {"values": [0.0]}, {"values": [1, 2]}, {"link": "cloglog"}, {"method": "pickle"}):
        with pytest.raises(ClassifierError):
            Temperature.from_json({**document, **damage})


def test_what_cannot_be_scaled_is_refused() -> None:
    with pytest.raises(UsageError):
        fit_temperature([[0.0, np.inf]], [[1, 0]])
    with pytest.raises(UsageError):
        fit_temperature([[0.0, 1.0]], [[1, 0, 0]])
    with pytest.raises(UsageError, match="argmax"):
        fit_temperature([[0.0, 1.0]], [[1, 0]], per_label=True)
    with pytest.raises(UsageError):
        Temperature("sigmoid", (1.0, 2.0), "tune").probabilities(np.zeros((2, 3)))


@settings(deadline=None)
@given(st.integers(0, 200))
def test_reliability_is_scikit_learns_with_counts(seed: int) -> None:
    generator = np.random.default_rng(seed)
    probabilities = generator.random(50)
    positive = generator.random(50) < probabilities
    bins = reliability_curve(positive, probabilities)
    observed, predicted = calibration_curve(positive, probabilities, n_bins=10)
    np.testing.assert_allclose([one.observed.value for one in bins], observed)
    np.testing.assert_allclose([one.predicted for one in bins], predicted)
    assert sum(one.n for one in bins) == 50
    for one in bins:
        assert one.low <= one.predicted <= one.high
        expected = wilson(round(one.observed.value * one.n), one.n)  # type: ignore[operator]
        assert (one.observed.low, one.observed.high) == pytest.approx(expected)


def test_bins_hold_their_lower_edge_and_the_last_one_both() -> None:
    bins = reliability_curve([True, True, False], [0.5, 1.0, 0.0], bins=2)
    assert [(one.low, one.n) for one in bins] == [(0.0, 1), (0.5, 2)]


def test_a_bin_with_several_cases_of_a_patient_is_less_sure() -> None:
    positive, probabilities = np.arange(20) < 15, np.full(20, 0.75)
    (alone,) = reliability_curve(positive, probabilities)
    (together,) = reliability_curve(positive, probabilities, np.arange(20) // 5)
    assert alone.observed.method == Method.WILSON
    assert together.observed.method == Method.CLOPPER_PEARSON
    assert together.observed.high - together.observed.low > 1.5 * (alone.observed.high - alone.observed.low)  # type: ignore[operator]


def test_reliability_needs_probabilities_and_may_be_empty() -> None:
    assert reliability_curve([], []) == ()
    with pytest.raises(UsageError):
        reliability_curve([True], [1.5])
    with pytest.raises(UsageError):
        reliability_curve([True, False], [0.5, 0.5], ["a"])
