"""Partial AUC, average precision and Hand and Till's AUC, against scikit-learn, pROC and themselves."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation import (
    HandTillStatistic,
    Method,
    OperatingPoint,
    PartitionMetrics,
    PatientResampling,
    Predictions,
    Threshold,
    Undefined,
    auc,
    average_precision,
    evaluate_partition,
    hand_till,
    macro_auc,
    partial_auc,
)
from medcls.evaluation.discrimination.average_precision import average_precision_limits
from medcls.evaluation.discrimination.partial_auc import partial_auc_limits
from medcls.values.label_space import LabelSpace

# Few levels, so that ties are the rule.
scored_cases = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=40).filter(
    lambda cases: len({positive for positive, _ in cases}) == 2
)
seeds = st.integers(0, 10_000)


def arrays(cases: list[tuple[bool, int]]) -> tuple[np.ndarray, np.ndarray]:
    positive, scores = zip(*cases, strict=True)
    return np.array(positive), np.array(scores, dtype=float)


def labelled(seed: int, n_labels: int = 3, n: int = 40, digits: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Labels that all occur, and probabilities with ties."""
    generator = np.random.default_rng(seed)
    label = np.concatenate((np.arange(n_labels), generator.integers(0, n_labels, size=n - n_labels)))
    scores = np.round(generator.dirichlet(np.ones(n_labels), size=n), digits)
    return label, scores / scores.sum(axis=1, keepdims=True)


def one_hot(label: np.ndarray, n_labels: int) -> np.ndarray:
    return np.asarray(label[:, None] == np.arange(n_labels))


def evaluate(label: np.ndarray, scores: np.ndarray, patients: Any = None) -> PartitionMetrics:
    names = tuple("abcdefgh"[: scores.shape[1]])
    owners = np.arange(label.size) if patients is None else patients
    predictions = Predictions(names, None, False, scores, one_hot(label, len(names)), np.asarray(owners).astype(str))
    point = OperatingPoint(LabelSpace(names), "argmax", (), "tune", "0" * 64)
    return evaluate_partition(predictions, point, EvaluationSettings(replicates=200))


@settings(deadline=None)
@given(scored_cases, st.sampled_from([0.05, 0.1, 0.33, 0.9]))
def test_partial_auc_is_scikit_learns(cases: list[tuple[bool, int]], most_fpr: float) -> None:
    positive, scores = arrays(cases)
    expected = oracle.roc_auc_score(positive, scores, max_fpr=most_fpr)
    assert partial_auc(positive, scores, most_fpr) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(scored_cases)
def test_the_partial_auc_of_the_whole_range_is_the_auc(cases: list[tuple[bool, int]]) -> None:
    positive, scores = arrays(cases)
    assert partial_auc(positive, scores, 1.0) == pytest.approx(auc(positive, scores), abs=1e-12)


def test_partial_auc_looks_at_the_top_of_the_ranking_only() -> None:
    generator = np.random.default_rng(0)
    positive = np.arange(200) % 2 == 0
    scores = generator.normal(size=200) + positive
    lowest = np.sort(scores[~positive])[50]
    scrambled = np.where(scores < lowest, generator.uniform(-9, lowest - 1e-9, size=200), scores)
    assert auc(positive, scrambled) != auc(positive, scores)
    assert partial_auc(positive, scrambled) == partial_auc(positive, scores)


@pytest.mark.parametrize("most_fpr", [0.0, -0.1, 1.1])
def test_a_range_that_is_none_is_refused(most_fpr: float) -> None:
    with pytest.raises(UsageError, match="range"):
        partial_auc([True, False], [1, 0], most_fpr)


@settings(deadline=None)
@given(scored_cases)
def test_average_precision_is_scikit_learns(cases: list[tuple[bool, int]]) -> None:
    positive, scores = arrays(cases)
    expected = oracle.average_precision_score(positive, scores)
    assert average_precision(positive, scores) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", [auc, partial_auc, average_precision])
def test_perfect_is_one_and_rising_maps_change_nothing(metric: Any) -> None:
    positive = np.array([False, False, True, True])
    assert metric(positive, [0.1, 0.2, 0.3, 0.4]) == 1.0
    scores = np.array([0.1, 0.6, 0.3, 0.9])
    assert metric(positive, np.exp(3 * scores)) == metric(positive, scores)


@pytest.mark.parametrize("metric", [partial_auc, average_precision])
@pytest.mark.parametrize(
    ("positive", "reason"),
    [([], "no cases"), ([False, False], "no case has the label"), ([True, True], "every case has the label")],
)
def test_without_both_kinds_of_cases_both_are_undefined(metric: Any, positive: list[bool], reason: str) -> None:
    value = metric(np.array(positive, dtype=bool), np.arange(len(positive), dtype=float))
    assert isinstance(value, Undefined)
    assert reason in value.reason


@settings(deadline=None)
@given(seeds, st.floats(-1, 4), st.integers(1, 9))
def test_limits_from_the_auc_hold_whatever_the_curve(seed: int, shift: float, tenths: int) -> None:
    generator = np.random.default_rng(seed)
    positive = np.arange(2000) % 10 < tenths
    spread = generator.choice([0.2, 1.0, 5.0])
    scores = generator.normal(size=2000) * np.where(positive, spread, 1.0) + shift * positive
    area = auc(positive, scores)
    assert isinstance(area, float)
    low, high = partial_auc_limits((area, area))
    assert low - 1e-12 <= partial_auc(positive, scores) <= high + 1e-12  # type: ignore[operator]
    low, high = average_precision_limits((area, area), float(positive.mean()))
    # The limit is that of a whole population; 200 positive cases or more step around it by a little.
    assert low - 0.01 <= average_precision(positive, scores) <= high  # type: ignore[operator]


@pytest.mark.parametrize("tenths", [1, 5, 9])
def test_the_limit_of_average_precision_is_exact_for_the_worst_ranking_and_the_best(tenths: int) -> None:
    positive = np.arange(100_000) % 10 < tenths
    worst = average_precision_limits((0.0, 0.0), tenths / 10)[0]
    assert worst == pytest.approx(average_precision(positive, -1.0 * positive - np.linspace(0, 0.5, 100_000)), abs=1e-3)
    assert average_precision_limits((1.0, 1.0), tenths / 10)[0] == pytest.approx(1.0)
    limits = [average_precision_limits((area, area), tenths / 10)[0] for area in (0.0, 0.5, 0.9, 1.0)]
    assert limits == sorted(limits)


@settings(deadline=None)
@given(seeds, st.integers(2, 5))
def test_hand_till_is_scikit_learns(seed: int, n_labels: int) -> None:
    label, scores = labelled(seed, max(3, n_labels))
    expected = oracle.roc_auc_score(label, scores, multi_class="ovo", average="macro")
    assert hand_till(one_hot(label, scores.shape[1]), scores) == pytest.approx(expected, abs=1e-12)


def test_the_mean_over_pairs_of_asah_is_procs(shared_data: Path) -> None:
    """pROC's multiclass.roc(gos6 ~ s100b) takes each pair of labels in the direction of its medians."""
    with (shared_data / "reference" / "asah.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    label, marker = np.array([int(row["gos6"]) for row in rows]), np.array([float(row["s100b"]) for row in rows])
    areas = []
    for low, high in itertools.combinations(np.unique(label), 2):
        either = (label == low) | (label == high)
        falls = np.median(marker[label == low]) > np.median(marker[label == high])
        areas.append(auc(label[either] == (low if falls else high), marker[either]))
    assert np.mean(areas) == pytest.approx(0.6539999352, abs=1e-10)


@settings(deadline=None)
@given(seeds)
def test_hand_till_does_not_depend_on_how_common_labels_are_and_the_macro_mean_does(seed: int) -> None:
    label, scores = labelled(seed)
    order = np.repeat(np.arange(label.size), np.where(label == 0, 7, 1))
    once, often = (one_hot(label[chosen], 3) for chosen in (slice(None), order))
    assert hand_till(often, scores[order]) == pytest.approx(hand_till(once, scores))
    assert macro_auc(often, scores[order]) != pytest.approx(macro_auc(once, scores), abs=1e-9) or label.size < 5


@settings(deadline=None)
@given(seeds, st.integers(3, 4), st.booleans())
def test_replicates_of_hand_till_equal_a_plain_loop(seed: int, n_labels: int, ties: bool) -> None:
    label, scores = labelled(seed, n_labels, digits=1 if ties else 6)
    reference = np.hstack((one_hot(label, n_labels), np.zeros((label.size, 1), dtype=bool)))  # and one absent label
    scores = np.hstack((scores, np.zeros((label.size, 1))))
    patients = np.random.default_rng(seed).integers(0, 15, size=label.size)
    resampling = PatientResampling.of(patients, reference)
    statistic = HandTillStatistic(resampling, reference, scores)
    values = resampling.replicate([statistic], replicates=10, seed=seed)[0]
    for weights, value in zip(np.concatenate(list(resampling.weights(10, seed))), values, strict=True):
        cases = np.repeat(np.arange(label.size), weights[resampling.patient].astype(int))
        if len(np.unique(label[cases])) < n_labels:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(hand_till(reference[cases], scores[cases]), abs=1e-12)


def test_hand_till_is_there_for_three_exclusive_labels_and_only_then() -> None:
    label, scores = labelled(1, n=90)
    metrics = evaluate(label, scores)
    assert metrics.hand_till is not None
    assert metrics.hand_till.value == hand_till(one_hot(label, 3), scores)
    assert metrics.hand_till.method == Method.PATIENT_BOOTSTRAP
    assert metrics.to_json()["hand_till"] == metrics.hand_till.to_json()
    reference = one_hot(label, 3)
    multi = Predictions(("a", "b"), None, True, scores[:, :2], reference[:, :2], np.arange(90).astype(str))
    cuts = tuple(Threshold(name, 0.5, None, None) for name in "ab")
    point = OperatingPoint(LabelSpace(("a", "b"), multilabel=True), "youden", cuts, "tune", "0" * 64)
    assert "hand_till" not in evaluate_partition(multi, point, EvaluationSettings(replicates=100)).to_json()


def test_hand_till_leaves_absent_labels_out_and_says_so() -> None:
    label, scores = labelled(2, n=90)
    with_absent = np.hstack((scores, np.zeros((90, 1))))
    first, second = evaluate(label, scores).hand_till, evaluate(label, with_absent).hand_till
    assert first is not None
    assert second is not None
    assert (second.value, second.low) == (pytest.approx(first.value), pytest.approx(first.low))
    assert "over 3 of 4 labels, without cases: d" in str(second.reason)
    alone = evaluate(np.zeros(9, dtype=int), np.full((9, 3), 1 / 3)).hand_till
    assert alone is not None
    assert alone.value is None
    assert alone.reason == "every case has one and the same label"


def test_perfectly_told_apart_labels_are_no_certainty() -> None:
    label = np.repeat(np.arange(3), 10)
    estimate = evaluate(label, np.where(one_hot(label, 3), 0.8, 0.1)).hand_till
    assert estimate is not None
    assert (estimate.value, estimate.high, estimate.method) == (1.0, 1.0, Method.BONFERRONI)
    assert estimate.low == pytest.approx((0.05 / 6 / 2) ** (1 / 10))  # six ordered pairs share the error
    assert "no spread" in str(estimate.reason)


def test_what_is_not_one_label_a_case_is_refused() -> None:
    with pytest.raises(UsageError, match="exactly one label"):
        hand_till([[1, 1], [0, 1]], [[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(UsageError, match="shape"):
        hand_till([[1, 0]], [[0.5, 0.5, 0.0]])
