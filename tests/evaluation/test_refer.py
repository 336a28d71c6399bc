"""Refer: the risk-coverage curve by hand, and what referring must do when certainty means something, or nothing."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation import Method, Predictions, selective_curve, selective_schema
from medcls.evaluation.thresholds.confidence import certainty
from tests.factories.predictions import ESTIMATE_SCHEMA, binary, half, some_binary, some_labels, some_multilabel

FAST = EvaluationSettings(replicates=200)
VALIDATOR = jsonschema.Draft202012Validator({**selective_schema(), "$defs": {"estimate": ESTIMATE_SCHEMA}})


def by_hand(predictions: Predictions, threshold: float = 0.5) -> tuple[list[float], list[float]]:
    """Coverage and risk at every level of certainty, one level after the other."""
    point = half(predictions, threshold)
    wrong = (point.decide(predictions.probabilities) != predictions.reference).any(axis=1)
    certain = certainty(predictions, point)
    levels = sorted(set(certain.tolist()), reverse=True)
    kept = [certain >= level for level in levels]
    return [float(one.mean()) for one in kept], [float(wrong[one].mean()) for one in kept]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=1, max_size=80), st.sampled_from([0.5, 0.2]))
def test_the_curve_by_hand(cases: list[tuple[bool, int]], threshold: float) -> None:
    predictions = binary([up for up, _ in cases], [level / 20 for _, level in cases])
    curve = selective_curve(predictions, half(predictions, threshold), FAST)
    coverage, risk = by_hand(predictions, threshold)
    assert curve.coverage == pytest.approx(coverage)
    assert curve.risk == pytest.approx(risk)
    assert curve.aurc.value == pytest.approx(np.sum(np.diff(coverage, prepend=0.0) * risk), abs=1e-12)
    assert curve.best_aurc is not None
    assert curve.best_aurc <= curve.aurc.value + 1e-12
    VALIDATOR.validate(json.loads(json.dumps(curve.to_json(), allow_nan=False)))


def test_many_levels_are_thinned_but_the_area_is_exact() -> None:
    predictions = some_binary(n=2000)
    curve = selective_curve(predictions, half(predictions), FAST)
    coverage, risk = by_hand(predictions)
    assert len(curve.coverage) == 100
    assert curve.risk == pytest.approx(np.interp(curve.coverage, coverage, risk), abs=1e-12)
    # Without ties it is the mean over k of the risk of the k most certain cases.
    assert curve.aurc.value == pytest.approx(np.mean(risk), abs=1e-12)
    assert curve.aurc.low < curve.aurc.value < curve.aurc.high  # type: ignore[operator]


def test_referring_lowers_the_risk_of_a_classifier_that_knows_its_limits() -> None:
    predictions = some_binary(n=3000)
    curve = selective_curve(predictions, half(predictions), FAST)
    risks = [point.risk.value for point in curve.points]
    assert risks == sorted(risks, reverse=True)  # type: ignore[type-var]
    assert [round(point.coverage, 2) for point in curve.points] == [1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5]
    everything, half_of_them = (curve.points[i].per_label["sick"] for i in (0, -1))
    for name in ("sensitivity", "specificity"):
        assert half_of_them[name].value > everything[name].value  # type: ignore[operator]
    assert curve.aurc.high < everything_wrong(predictions)  # type: ignore[operator]


def everything_wrong(predictions: Predictions) -> float:
    called = half(predictions).decide(predictions.probabilities)
    return float((called != predictions.reference).any(axis=1).mean())


def test_certainty_that_means_nothing_leaves_the_risk() -> None:
    generator = np.random.default_rng(0)
    called = generator.random(4000) < 0.5
    right = generator.random(4000) < 0.8
    sure = 0.5 + np.where(called, 1, -1) * generator.uniform(0.01, 0.49, 4000)
    predictions = binary(called == right, sure)
    curve = selective_curve(predictions, half(predictions), FAST)
    assert curve.aurc.low <= everything_wrong(predictions) <= curve.aurc.high  # type: ignore[operator]


def test_a_perfect_order_reaches_the_best_area() -> None:
    predictions = binary([True] * 10, [*np.linspace(0.6, 1, 8), 0.49, 0.45])
    flipped = binary([True] * 8 + [False] * 2, [*np.linspace(0.6, 1, 8), 0.51, 0.52])
    best = (1 / 9 + 2 / 10) / 10
    for one in (flipped, predictions):
        curve = selective_curve(one, half(one), FAST)
        assert curve.aurc.value == pytest.approx(best)
        assert curve.best_aurc == pytest.approx(best)


def test_both_sides_of_an_uneven_threshold_reach_certainty() -> None:
    predictions = binary([True] * 4, [0.0, 0.1, 0.2, 1.0])
    assert certainty(predictions, half(predictions, 0.2)) == pytest.approx([1, 0.5, 0, 1])
    assert certainty(predictions, half(predictions, 0.0)) == pytest.approx([0, 0.1, 0.2, 1])


def test_cases_of_equal_certainty_are_referred_together() -> None:
    predictions = binary([True, False] * 10, [0.9] * 16 + [0.6] * 4)
    curve = selective_curve(predictions, half(predictions), FAST)
    assert [point.n_kept for point in curve.points] == [20, 16]
    assert curve.coverage == pytest.approx([0.8, 1.0])


def test_images_of_a_patient_do_not_narrow_the_intervals() -> None:
    once = some_binary(n=100)
    rows = np.repeat(np.arange(100), 8)
    again = Predictions(
        once.labels, once.positive, False, once.probabilities[rows], once.reference[rows], once.patients[rows]
    )
    one, many = (selective_curve(each, half(each), FAST) for each in (once, again))
    assert many.low == pytest.approx(one.low)
    assert many.aurc.low == pytest.approx(one.aurc.low)
    risk = many.points[-1].risk
    assert risk.method == Method.PATIENT_BOOTSTRAP
    assert risk.high - risk.low > 0.6 * (one.points[-1].risk.high - one.points[-1].risk.low)  # type: ignore[operator]


@pytest.mark.parametrize(
    "predictions",
    [some_labels(), some_multilabel(), binary([], []), binary([True] * 3, [0.9] * 3)],
    ids=["three labels", "multi-label", "no case", "one class"],
)
def test_every_kind_of_labels_gives_valid_json(predictions: Predictions) -> None:
    curve = selective_curve(predictions, half(predictions), FAST)
    VALIDATOR.validate(json.loads(json.dumps(curve.to_json(), allow_nan=False)))
    assert (curve.aurc.value is None) == (predictions.n_cases == 0)


def test_no_wrong_case_is_no_proof_that_there_are_none() -> None:
    predictions = binary([True] * 10 + [False] * 10, [0.9] * 10 + [0.1] * 10)
    curve = selective_curve(predictions, half(predictions), FAST)
    assert curve.aurc.value == 0
    assert curve.aurc.method == Method.CLOPPER_PEARSON
    assert curve.aurc.high > 0.16  # type: ignore[operator]


def test_another_classifiers_operating_point_is_refused() -> None:
    with pytest.raises(UsageError, match="other labels"):
        selective_curve(some_binary(), half(some_labels()))
