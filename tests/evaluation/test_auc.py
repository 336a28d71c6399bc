"""AUC, ROC curve and DeLong's variance, against published values of the aSAH study and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from medcls.errors import UsageError
from medcls.evaluation import (
    Method,
    RocCurve,
    Undefined,
    auc,
    delong,
    delong_covariance,
    delong_variance,
    macro_auc,
    one_vs_rest,
    roc_curve,
)

# Few levels, so that ties are the rule.
scored_cases = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=40).filter(
    lambda cases: len({positive for positive, _ in cases}) == 2
)


def arrays(cases: list[tuple[bool, int]]) -> tuple[np.ndarray, np.ndarray]:
    positive, scores = zip(*cases, strict=True)
    return np.array(positive), np.array(scores, dtype=float)


@pytest.mark.parametrize(
    ("marker", "expected"), [("ndka", 0.6119579945799), ("s100b", 0.7313685636856), ("wfns", 0.8236788617886)]
)
def test_auc_of_asah(asah: dict[str, np.ndarray], marker: str, expected: float) -> None:
    assert auc(asah["poor"], asah[marker]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("marker", "low", "high", "tolerance"),
    [("ndka", 0.5012449992717, 0.7226709898882, 1e-12), ("s100b", 0.6301182118, 0.8326189156, 1e-9)],
)
def test_delong_interval_of_asah(
    asah: dict[str, np.ndarray], marker: str, low: float, high: float, tolerance: float
) -> None:
    estimate = delong(asah["poor"], asah[marker])
    assert (estimate.low, estimate.high) == pytest.approx((low, high), rel=tolerance)
    assert estimate.value == auc(asah["poor"], asah[marker])
    assert estimate.method == Method.DELONG
    assert estimate.reason is None


def test_delong_covariance_of_asah(asah: dict[str, np.ndarray]) -> None:
    scores = np.column_stack([asah["wfns"], asah["ndka"], asah["s100b"]])
    covariance = delong_covariance(asah["poor"], scores)
    assert isinstance(covariance, np.ndarray)
    assert covariance[0, 1] == pytest.approx(-0.000532967856762, rel=1e-9)
    areas = [auc(asah["poor"], column) for column in scores.T]
    for other, z in ((1, 2.797775918689), (2, 2.208983591441)):
        variance = covariance[0, 0] + covariance[other, other] - 2 * covariance[0, other]
        assert (areas[0] - areas[other]) / math.sqrt(variance) == pytest.approx(z, rel=1e-9)


@settings(deadline=None)
@given(scored_cases)
def test_auc_is_scikit_learns(cases: list[tuple[bool, int]]) -> None:
    positive, scores = arrays(cases)
    assert auc(positive, scores) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


@settings(deadline=None)
@given(scored_cases)
def test_auc_keeps_under_rising_maps_and_turns_round_with_the_labels(cases: list[tuple[bool, int]]) -> None:
    positive, scores = arrays(cases)
    value = auc(positive, scores)
    assert auc(positive, np.exp(scores) - 7) == value
    assert auc(~positive, scores) == pytest.approx(1 - value, abs=1e-15)
    assert auc(positive, -scores) == pytest.approx(1 - value, abs=1e-15)


@settings(deadline=None)
@given(scored_cases, st.randoms(use_true_random=False))
def test_auc_does_not_mind_the_order_of_cases(cases: list[tuple[bool, int]], random: object) -> None:
    shuffled = list(cases)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert auc(*arrays(shuffled)) == auc(*arrays(cases))


@settings(deadline=None)
@given(scored_cases)
def test_roc_curve_is_scikit_learns_and_its_area_is_the_auc(cases: list[tuple[bool, int]]) -> None:
    positive, scores = arrays(cases)
    curve = roc_curve(positive, scores)
    fpr, tpr, thresholds = sklearn_roc_curve(positive, scores, drop_intermediate=False)
    assert isinstance(curve, RocCurve)
    np.testing.assert_allclose(curve.fpr, fpr)
    np.testing.assert_allclose(curve.tpr, tpr)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    for drawn in (curve, curve.thinned(200)):
        assert np.trapezoid(drawn.tpr, drawn.fpr) == pytest.approx(auc(positive, scores), abs=1e-9)


def test_thinning_keeps_the_ends_the_shape_and_few_points() -> None:
    generator = np.random.default_rng(1)
    positive = generator.random(20_000) < 0.3
    curve = roc_curve(positive, generator.normal(size=20_000) + positive)
    assert isinstance(curve, RocCurve)
    thin = curve.thinned(200)
    assert thin.fpr.size <= 200
    assert (thin.fpr[0], thin.tpr[0], thin.fpr[-1], thin.tpr[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(thin.tpr, thin.fpr) == pytest.approx(np.trapezoid(curve.tpr, curve.fpr), abs=1e-3)


@pytest.mark.parametrize(
    ("positive", "reason"),
    [([], "no cases"), ([False, False], "no case has the label"), ([True, True], "every case has the label")],
)
def test_what_needs_both_kinds_of_cases_is_undefined_without_them(positive: list[bool], reason: str) -> None:
    scores = np.arange(len(positive), dtype=float)
    reference = np.array(positive, dtype=bool)
    for metric in (auc(reference, scores), roc_curve(reference, scores), delong_variance(reference, scores)):
        assert isinstance(metric, Undefined)
        assert reason in metric.reason
    assert delong(reference, scores).value is None


def test_absent_label_is_left_out_of_the_mean_and_never_counts_as_zero() -> None:
    reference = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]])
    scores = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.4, 0.3, 0.3], [0.5, 0.2, 0.3]])
    first, second, absent = one_vs_rest(reference, scores)
    assert isinstance(absent, Undefined)
    assert macro_auc(reference, scores) == pytest.approx((first + second) / 2)  # type: ignore[operator]
    assert isinstance(macro_auc(reference[:0], scores[:0]), Undefined)


@settings(deadline=None)
@given(st.integers(0, 100))
def test_macro_auc_is_scikit_learns(seed: int) -> None:
    generator = np.random.default_rng(seed)
    label = np.concatenate(([0, 1, 2], generator.integers(0, 3, size=20)))
    probabilities = generator.dirichlet(np.ones(3), size=23)
    expected = roc_auc_score(label, probabilities, multi_class="ovr", average="macro")
    assert macro_auc(label[:, None] == np.arange(3), probabilities) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("scores", "low", "high", "method"),
    [
        ([0.1] * 10 + [0.9] * 10, 0.69150, 1.0, Method.DISJOINT_PAIRS),
        ([0.9] * 10 + [0.1] * 10, 0.0, 0.30850, Method.DISJOINT_PAIRS),
        ([0.5] * 20, 0.5 - 0.42947, 0.5 + 0.42947, Method.HOEFFDING),
    ],
)
def test_delong_without_variance_gives_a_wide_interval_and_says_so(
    scores: list[float], low: float, high: float, method: Method
) -> None:
    estimate = delong([False] * 10 + [True] * 10, scores)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-5)
    assert estimate.method == method
    assert estimate.reason is not None


def test_delong_with_one_positive_case_knows_little() -> None:
    estimate = delong([True, False, False], [0.5, 0.2, 0.7])
    assert (estimate.value, estimate.low, estimate.high) == (0.5, 0.0, 1.0)
    assert "two cases" in str(estimate.reason)


@pytest.mark.parametrize(
    ("positive", "scores"),
    [([True, False], [0.1]), ([True, False], [0.1, math.nan]), ([[True], [False]], [[0.1], [0.2]]), ([2, 0], [0, 1])],
)
def test_what_has_no_meaning_is_refused(positive: list[object], scores: list[object]) -> None:
    with pytest.raises(UsageError):
        auc(positive, scores)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        delong(positive, scores)  # type: ignore[arg-type]
