"""Figures of calibration against published values and scikit-learn, and their intervals by patient."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit, softmax
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from medcls.config.settings import EvaluationSettings
from medcls.evaluation import Predictions, metrics_schema
from medcls.evaluation.calibration.metrics import calibration_metrics, calibration_schema
from medcls.evaluation.calibration.reliability import bin_edges, bin_of, reliability_curve
from medcls.evaluation.calibration.slope_intercept import RecalibrationStatistic
from medcls.evaluation.calibration.view import CALIBRATION_NAMES
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.statistics.logistic import fit_intercept, fit_logistic
from tests.factories.predictions import binary, rows_of, some_labels, some_multilabel

QUICK = EvaluationSettings(replicates=200)


def stated(seed: int, n: int = 400, sharpness: float = 1.0, shift: float = 0.0, images: int = 1) -> Predictions:
    """True log-odds x; what is said of them has log-odds ``sharpness * (x + shift)``."""
    generator = np.random.default_rng(seed)
    owner = np.arange(n) // images
    x = 1.5 * generator.normal(size=owner[-1] + 1)[owner] + (images > 1) * generator.normal(size=n) - 0.5
    return binary(generator.random(n) < expit(x), expit(sharpness * (x + shift)), owner)


def value(estimates: Any, name: str) -> float:
    found = estimates.estimates[name].value
    assert found is not None, estimates.estimates[name].reason
    return float(found)


def as_document(estimates: Any) -> Any:
    document = json.loads(json.dumps(estimates.to_json(), allow_nan=False))
    schema = {**calibration_schema(), "$defs": metrics_schema()["$defs"]}
    jsonschema.validate(document, schema)
    return document


# Metrics Reloaded's example (arXiv:2206.01653, metric SN 2.24), values to three places as in its own tests and torchmetrics.
SAID = np.array([0.22, 0.48, 0.49, 0.96, 0.55, 0.64, 0.78, 0.82, 0.34, 0.87])
HAPPENED = np.array([0, 1, 0, 0, 1, 1, 1, 1, 1, 0], dtype=bool)


@pytest.mark.parametrize(
    ("bins", "of_the_positive", "of_the_top"),
    [(2, 0.109, 0.109), (5, 0.315, 0.221), (10, 0.359, 0.281), (15, 0.395, 0.323)],
)
def test_expected_calibration_error_of_the_published_example(
    bins: int, of_the_positive: float, of_the_top: float
) -> None:
    def ece(happened: np.ndarray, said: np.ndarray) -> float:
        curve = reliability_curve(happened, said, bins=bins)
        return sum(one.n * abs(one.predicted - one.observed.value) for one in curve) / said.size  # type: ignore[operator]

    assert ece(HAPPENED, SAID) == pytest.approx(of_the_positive, abs=5e-4)
    top = np.maximum(SAID, 1 - SAID)
    assert ece((SAID >= 0.5) == HAPPENED, top) == pytest.approx(of_the_top, abs=5e-4)


def test_figures_of_the_published_example() -> None:
    estimates = calibration_metrics(binary(HAPPENED, SAID), QUICK)
    assert value(estimates, "ece") == pytest.approx(0.359, abs=5e-4)
    assert value(estimates, "mce") == pytest.approx(0.96, abs=5e-4)  # the one case near 1 that is negative
    assert value(estimates, "brier") == pytest.approx(brier_score_loss(HAPPENED, SAID))
    assert value(estimates, "nll") == pytest.approx(log_loss(HAPPENED, SAID))
    assert estimates.view == "positive label: sick"


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 20).map(lambda tens: 10 * tens + 4))  # no case on an edge
def test_figures_are_those_of_the_curves_bins_and_of_scikit_learn(seed: int, n: int) -> None:
    predictions = stated(seed, n, sharpness=2.0)
    said, happened = predictions.probabilities[:, 1], predictions.reference[:, 1]
    estimates = calibration_metrics(predictions, EvaluationSettings(replicates=100))
    assert estimates.reliability is not None
    for curve, expected, greatest in (
        (estimates.reliability.equal_width, "ece", "mce"),
        (estimates.reliability.equal_mass, "ece_equal_mass", "mce_equal_mass"),
    ):
        gaps = np.array([abs(one.predicted - float(one.observed.value)) for one in curve])  # type: ignore[arg-type]
        assert value(estimates, expected) == pytest.approx(gaps @ [one.n for one in curve] / n)
        assert value(estimates, greatest) == pytest.approx(gaps.max())
        assert sum(one.n for one in curve) == n
    observed, predicted = calibration_curve(happened, said, n_bins=10, strategy="quantile")
    np.testing.assert_allclose([one.predicted for one in estimates.reliability.equal_mass], predicted)
    np.testing.assert_allclose([one.observed.value for one in estimates.reliability.equal_mass], observed)
    for estimate in estimates.estimates.values():
        if estimate.value is None:
            assert estimate.reason
        else:
            assert estimate.low <= estimate.value <= estimate.high  # type: ignore[operator]


def test_bins_of_equal_mass_keep_ties_together() -> None:
    said = np.array([0.0] * 30 + [0.3] * 50 + [1.0] * 20)
    edges = bin_edges(said, bins=10, scheme="equal mass")
    places = [set(bin_of(said[said == one], edges)) for one in (0.0, 0.3, 1.0)]
    assert [len(place) for place in places] == [1, 1, 1]
    assert len(set.union(*places)) == 3


@pytest.mark.parametrize("seed", range(3))
def test_slope_and_intercept_are_an_unpenalised_logistic_regression(seed: int) -> None:
    predictions = stated(seed, 300, sharpness=1.7, shift=0.3)
    x, happened = logit(predictions.probabilities[:, 1]), predictions.reference[:, 1]
    oracle = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(x[:, None], happened)
    estimates = calibration_metrics(predictions, QUICK)
    assert value(estimates, "slope") == pytest.approx(oracle.coef_[0, 0], rel=1e-5)
    assert value(estimates, "intercept") == pytest.approx(oracle.intercept_[0], abs=1e-5)
    # Calibration-in-the-large makes the mean probability the observed share.
    moved = expit(x + value(estimates, "in_the_large"))
    assert moved.mean() == pytest.approx(happened.mean(), abs=1e-8)


def test_what_is_said_too_sharply_or_too_often_shows_and_what_is_true_has_1_and_0() -> None:
    honest = calibration_metrics(stated(0, 4000), QUICK).estimates
    sharp = calibration_metrics(stated(0, 4000, sharpness=2.0), QUICK).estimates
    often = calibration_metrics(stated(0, 4000, shift=1.0), QUICK).estimates
    assert honest["slope"].low < 1 < honest["slope"].high  # type: ignore[operator]
    assert honest["intercept"].low < 0 < honest["intercept"].high  # type: ignore[operator]
    assert honest["in_the_large"].low < 0 < honest["in_the_large"].high  # type: ignore[operator]
    assert honest["ece"].low == 0.0
    assert (sharp["slope"].low, sharp["slope"].high) == (pytest.approx(0.5, abs=0.08), pytest.approx(0.5, abs=0.08))
    assert often["in_the_large"].high < -0.7  # type: ignore[operator]
    assert min(sharp["ece"].low, often["ece"].low) > honest["ece"].value  # type: ignore[operator, type-var]


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 4))
def test_a_fit_of_weights_is_that_of_the_repeated_cases(seed: int, rows: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=25) * 3 + 2
    targets = (generator.random(25) < expit(x - 2)).astype(float)
    weights = generator.integers(0, 4, size=(rows, 25)).astype(float)
    found = fit_logistic(x, targets, weights)
    from_elsewhere = fit_logistic(x, targets, weights, start=(-3.0, 4.0))
    np.testing.assert_allclose(found, from_elsewhere, rtol=1e-4, atol=1e-4)
    for row, (slope, intercept) in zip(weights.astype(int), found, strict=True):
        cases, labels = np.repeat(x, row), np.repeat(targets, row)
        if np.isnan(slope):  # separated: some threshold leaves no case on the wrong side
            apart = any(
                ((cases > cut) == labels)[cases != cut].all() or ((cases < cut) == labels)[cases != cut].all()
                for cut in cases
            )
            assert apart or not cases.size
            continue
        error = labels - expit(intercept + slope * cases)
        assert abs(error.sum()) < 1e-6 * cases.size
        assert abs((error * cases).sum()) < 1e-5 * cases.size


def test_replicates_on_cells_are_those_of_every_case() -> None:
    # More cases than cells: the gathered fit must not move a replicate by more than a fraction of the spread.
    predictions = stated(3, 3000, sharpness=1.5)
    x, happened = logit(predictions.probabilities[:, 1]), predictions.reference[:, 1]
    resampling = PatientResampling.of(predictions.patients, happened)
    gathered = RecalibrationStatistic(resampling, happened, x)
    weights = np.concatenate(list(resampling.weights(60, seed=0)))
    by_case = weights[:, resampling.patient]
    exact = np.column_stack(
        (fit_logistic(x, happened.astype(float), by_case), fit_intercept(x, happened.astype(float), by_case))
    )
    assert (np.abs(gathered(weights) - exact).max(axis=0) < 0.05 * exact.std(axis=0)).all()


def test_with_few_cases_replicates_are_exact() -> None:
    predictions = stated(4, 80, images=2)
    x, happened = logit(predictions.probabilities[:, 1]), predictions.reference[:, 1]
    resampling = PatientResampling.of(predictions.patients, happened)
    weights = np.concatenate(list(resampling.weights(30, seed=0)))
    found = RecalibrationStatistic(resampling, happened, x)(weights)
    for row, expected in zip(weights.astype(int)[:, resampling.patient], found, strict=True):
        oracle = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000)
        oracle.fit(np.repeat(x, row)[:, None], np.repeat(happened, row))
        assert expected[0] == pytest.approx(oracle.coef_[0, 0], rel=1e-4)
        assert expected[1] == pytest.approx(oracle.intercept_[0], abs=1e-4)


def test_the_same_case_of_a_patient_several_times_adds_nothing() -> None:
    single = stated(5, 90)
    owners = np.repeat(np.arange(90), 4)
    fourfold = Predictions(
        single.labels,
        single.positive,
        False,
        np.repeat(single.probabilities, 4, axis=0),
        np.repeat(single.reference, 4, axis=0),
        owners.astype(str),
    )
    alone, together = calibration_metrics(single, QUICK).estimates, calibration_metrics(fourfold, QUICK).estimates
    for name in CALIBRATION_NAMES:
        if "equal_mass" not in name:  # its bins part the cases elsewhere
            assert together[name].value == pytest.approx(alone[name].value)
            assert (together[name].low, together[name].high) == pytest.approx((alone[name].low, alone[name].high))


def test_the_order_of_cases_and_the_seed() -> None:
    predictions = stated(6, 200, images=2)
    order = np.random.default_rng(0).permutation(200)
    shuffled = rows_of(predictions, order)
    first, again = (as_document(calibration_metrics(one, QUICK, seed=1)) for one in (predictions, shuffled))
    for name in CALIBRATION_NAMES:
        for key in ("value", "low", "high"):
            assert first[name][key] == pytest.approx(again[name][key], rel=1e-9)
    assert as_document(calibration_metrics(predictions, QUICK, seed=2))["nll"]["low"] != first["nll"]["low"]


def test_labels_that_exclude_each_other_are_judged_by_the_top_one_and_each_by_itself() -> None:
    predictions = some_labels(n=300)
    estimates = calibration_metrics(predictions, QUICK)
    document = as_document(estimates)
    assert estimates.view == "top label"
    label = predictions.reference.argmax(axis=1)
    assert value(estimates, "nll") == pytest.approx(log_loss(label, predictions.probabilities))
    expected = np.square(predictions.probabilities - predictions.reference).sum(axis=1).mean()
    assert value(estimates, "brier") == pytest.approx(expected)
    assert "each label" in document["slope"]["reason"]
    top = predictions.probabilities.max(axis=1)
    right = predictions.probabilities.argmax(axis=1) == label
    curve = reliability_curve(right, top)
    gap = sum(one.n * abs(one.predicted - one.observed.value) for one in curve) / 300  # type: ignore[operator]
    assert value(estimates, "ece") == pytest.approx(gap)
    for column, name in enumerate(predictions.labels):
        own = estimates.per_label[name].estimates
        x = logit(predictions.probabilities[:, column])
        oracle = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(
            x[:, None], predictions.reference[:, column]
        )
        assert own["slope"].value == pytest.approx(oracle.coef_[0, 0], rel=1e-5)
        assert document["per_label"][name]["ece"]["value"] is not None


def test_several_labels_are_means_and_a_label_without_cases_says_what_it_lacks() -> None:
    predictions = some_multilabel(n=200)
    estimates = calibration_metrics(predictions, QUICK)
    document = as_document(estimates)
    assert (estimates.view, document["reliability"]) == ("mean over labels", None)
    for name in ("brier", "nll", "ece"):
        assert value(estimates, name) == pytest.approx(
            np.mean([one.estimates[name].value for one in estimates.per_label.values()])
        )
    assert document["per_label"]["never"]["slope"]["value"] is None
    assert "no case" in document["per_label"]["never"]["slope"]["reason"]


@pytest.mark.parametrize(
    ("happened", "said", "name", "reason"),
    [
        ([0, 0, 0, 1, 1, 1] * 4, [0.1, 0.2, 0.3, 0.7, 0.8, 0.9] * 4, "slope", "separate"),
        ([0, 1] * 12, [0.4] * 24, "slope", "same probability"),
        ([1] * 24, [0.4, 0.5] * 12, "slope", "every case"),
        ([0, 1] * 12, [0.0, 0.5] * 12, "slope", "probability of 0 or 1"),
        ([0, 1] * 12, [0.5, 0.0] * 12, "nll", "probability 0"),
        ([0, 1], [0.4, 0.6], "ece", "too few patients"),
        ([], [], "brier", "no cases"),
    ],
)
def test_what_does_not_exist_says_why(happened: list[int], said: list[float], name: str, reason: str) -> None:
    estimates = calibration_metrics(binary(happened, said), QUICK)
    estimate = estimates.estimates[name]
    assert estimate.value is None
    assert reason in str(estimate.reason)
    as_document(estimates)


def test_separated_probabilities_still_have_a_calibration_in_the_large() -> None:
    happened, said = np.arange(40) % 2 == 1, np.where(np.arange(40) % 2 == 1, 0.9, 0.05)
    estimates = calibration_metrics(binary(happened, said), QUICK).estimates
    assert estimates["in_the_large"].value is not None
    assert estimates["slope"].value is None


@pytest.mark.slow
@pytest.mark.parametrize(("sharpness", "images"), [(1.0, 1), (1.6, 1), (1.0, 4)])
def test_intervals_hold_the_truth_as_often_as_they_say(sharpness: float, images: int) -> None:
    many = stated(99, 400_000, sharpness, images=images)
    x = logit(many.probabilities[:, 1])
    truth_large = float(fit_intercept(x, many.reference[:, 1].astype(float), np.ones((1, x.size)))[0])
    truth = {"slope": 1 / sharpness, "intercept": 0.0, "in_the_large": truth_large}
    curve = reliability_curve(many.reference[:, 1], many.probabilities[:, 1])
    gaps = [one.n * abs(one.predicted - float(one.observed.value)) for one in curve]  # type: ignore[arg-type]
    truth["ece"] = sum(gaps) / x.size if sharpness != 1.0 else 0.0
    held = dict.fromkeys(truth, 0)
    for seed in range(150):
        estimates = calibration_metrics(stated(seed, 120 * images, sharpness, images=images), QUICK, seed).estimates
        for name, true in truth.items():
            held[name] += estimates[name].low <= true <= estimates[name].high  # type: ignore[operator]
    for name, times in held.items():
        assert times >= 0.88 * 150, (name, times)


def test_probabilities_near_certainty_keep_their_log_odds() -> None:
    # 1 - p would be 0 here: the slope is taken from the other label's own probability.
    generator = np.random.default_rng(0)
    x = generator.normal(size=200) * 20
    happened = generator.random(200) < expit(x / 40)
    both = softmax(np.stack([0 * x, x * 2], axis=1), axis=1)
    predictions = Predictions(
        ("well", "sick"), "sick", False, both, np.stack([~happened, happened], axis=1), np.arange(200).astype(str)
    )
    assert (both[:, 1] == 1).any()
    oracle = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(2 * x[:, None], happened)
    assert value(calibration_metrics(predictions, QUICK), "slope") == pytest.approx(oracle.coef_[0, 0], rel=1e-4)
