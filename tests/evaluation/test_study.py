"""The study of a partition: every section from its own function, null with a reason where it does not apply."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import validate

from medcls.config.settings import EvaluationSettings
from medcls.evaluation import Predictions, choose_operating_point, evaluate_partition, fit_conformal, metrics_schema
from medcls.evaluation.partition.failures import FailedCases
from medcls.evaluation.partition.report import EvaluationInput, PartitionEvaluation, evaluate_in_full
from medcls.evaluation.partition.score_scale import RankScale
from tests.factories.predictions import half, rows_of, some_binary

SETTINGS = EvaluationSettings(replicates=100, prevalences=[0.02, 0.3])
SECTIONS = ("calibration", "clinical", "refer", "conformal", "subgroups", "failures")


def whole_study(predictions: Predictions, **changes: Any) -> PartitionEvaluation:
    n = predictions.n_cases
    given_: dict[str, Any] = {
        "uncalibrated": replace(predictions, probabilities=np.square(predictions.probabilities).clip(0, 1))
        if predictions.multilabel
        else sharpened(predictions),
        "conformal": fit_conformal(predictions),
        "covariates": {"sex": ["F", "M"] * (n // 2), "age": [str(20 + index % 60) for index in range(n)]},
        "names": [f"case {index}" for index in range(n)],
    }
    return evaluate_in_full(EvaluationInput(predictions, half(predictions), SETTINGS, 0, **(given_ | changes)))


def sharpened(predictions: Predictions) -> Predictions:
    powers = predictions.probabilities**3
    return replace(predictions, probabilities=powers / powers.sum(axis=1, keepdims=True))


def several(multilabel: bool, n: int = 150) -> Predictions:
    random = np.random.default_rng(3)
    reference = random.random((n, 3)) < 0.4 if multilabel else np.eye(3, dtype=bool)[np.arange(n) % 3]
    logits = random.normal(size=(n, 3)) + 1.5 * reference
    shares = 1 / (1 + np.exp(-logits)) if multilabel else np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions(("a", "b", "c"), None, multilabel, shares, reference, np.arange(n).astype(str))


@pytest.mark.parametrize("predictions", [some_binary(), some_binary(images=3), several(False), several(True)])
def test_every_section_is_there_and_the_document_keeps_its_schema(predictions: Predictions) -> None:
    document = whole_study(predictions).to_json()
    validate({"test": document}, metrics_schema())
    assert all(document[name] for name in SECTIONS)
    assert document["not_computed"] == {}
    labels = set(predictions.space.scored)
    assert set(document["clinical"]) == set(document["failures"]["labels"]) == labels
    assert [one["prevalence"] for one in document["clinical"][min(labels)]["predictive_values"]] == [0.02, 0.3]
    plain = evaluate_partition(predictions, half(predictions), SETTINGS).to_json()
    assert {name: document[name] for name in plain} == plain  # nothing that was there before is changed


def test_what_does_not_apply_is_null_and_says_why() -> None:
    predictions = some_binary()
    document = evaluate_in_full(EvaluationInput(predictions, half(predictions), SETTINGS)).to_json()
    validate({"test": document}, metrics_schema())
    assert [document[name] for name in ("conformal", "subgroups", "failures")] == [None] * 3
    assert document["calibration"]["before"] is None
    assert set(document["not_computed"]) == {"calibration.before", "conformal", "subgroups", "failures"}
    assert all(document["not_computed"].values())


def test_decisions_of_several_folds_leave_out_what_asks_for_one_threshold() -> None:
    predictions = some_binary()
    called = half(predictions, 0.3).decide(predictions.probabilities)
    document = whole_study(predictions, called=called).to_json()
    validate({"test": document}, metrics_schema())
    for section in ("refer", "subgroups", "failures"):
        assert document[section] is None
        assert "own fold" in document["not_computed"][section]
    other = whole_study(predictions).to_json()
    assert document["sensitivity"]["value"] > other["sensitivity"]["value"]
    assert document["calibration"] == other["calibration"]


def test_the_order_of_cases_changes_no_figure() -> None:
    predictions = some_binary(images=2)
    order = np.random.default_rng(0).permutation(predictions.n_cases)
    turned = rows_of(predictions, order)
    covariates = {"sex": np.array(["F", "M", "M"] * (predictions.n_cases // 3))}
    names = np.array([f"case {index}" for index in range(predictions.n_cases)])
    one = whole_study(predictions, covariates={"sex": covariates["sex"].tolist()}, names=names.tolist()).to_json()
    other = whole_study(
        turned, covariates={"sex": covariates["sex"][order].tolist()}, names=names[order].tolist()
    ).to_json()
    assert_same(one, other)


def assert_same(one: Any, other: Any) -> None:
    """Equal but for the rounding of sums in another order."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_same(one[name], other[name])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    elif isinstance(one, float):
        assert math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
    else:
        assert one == other


def test_refused_cases_are_counted_in() -> None:
    predictions = some_binary()
    refused = FailedCases(
        ("x", "y"), np.array([[False, True]] * 2), np.array(["px", "py"]), ("truncated",) * 2, np.ones((2, 2))
    )
    failures = whole_study(predictions, refused=refused).to_json()["failures"]
    one = failures["labels"]["sick"]
    sick = int(predictions.reference[:, 1].sum())
    found = one["complete_case"]["sensitivity"]["value"] * sick
    assert one["worst_case"]["sensitivity"]["value"] == pytest.approx(found / (sick + 2))
    assert failures["failed_by_reason"] == {"truncated": 2}


SCORES = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=40)


@given(scores=SCORES, threshold=st.floats(-2e6, 2e6, allow_subnormal=False))
def test_ranks_keep_order_ties_and_every_decision(scores: list[float], threshold: float) -> None:
    scale = RankScale.of(scores)
    ranks = scale.ranked(scores)
    numbers = np.asarray(scores)
    assert ((ranks >= 0) & (ranks <= 1)).all()
    assert np.array_equal(numbers[:, None] < numbers, ranks[:, None] < ranks)
    assert np.array_equal(numbers >= threshold, ranks >= scale.ranked(threshold))
    assert np.allclose(scale.raw(ranks), numbers, rtol=1e-12)


@given(scores=SCORES)
def test_thresholds_that_are_scores_keep_every_decision(scores: list[float]) -> None:
    scale, numbers = RankScale.of(scores), np.asarray(scores)
    for threshold in scores:
        assert np.array_equal(numbers >= threshold, scale.ranked(scores) >= scale.ranked(threshold))


@pytest.mark.slow
def test_ten_thousand_cases_take_seconds() -> None:
    """Processor time, so that a busy machine does not count; 10 s is promised on two cores."""
    import time

    random = np.random.default_rng(0)
    positive = random.random(10_000) < 0.3
    up = 1 / (1 + np.exp(-random.normal(size=10_000) - 2 * positive + 1))
    reference = np.stack((~positive, positive), axis=1)
    predictions = Predictions(
        ("well", "sick"), "sick", False, np.stack((1 - up, up), axis=1), reference, np.arange(10_000).astype(str)
    )
    covariates = {
        "sex": ["F", "M"] * 5000,
        "site": ["a", "b", "c", "d"] * 2500,
        "age": [str(20 + index % 70) for index in range(10_000)],
    }
    start = time.process_time()
    evaluate_in_full(
        EvaluationInput(
            predictions,
            choose_operating_point(predictions),
            uncalibrated=sharpened(predictions),
            conformal=fit_conformal(predictions),
            covariates=covariates,
            names=[str(index) for index in range(10_000)],
        )
    )
    assert time.process_time() - start < 20


def estimates(node: Any, path: tuple[str, ...] = ()) -> Any:
    """Every estimate of a document, with the way to it."""
    if isinstance(node, dict):
        if {"value", "low", "high", "method"} <= node.keys():
            yield path, node
        for name, value in node.items():
            yield from estimates(value, (*path, name))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from estimates(value, (*path, str(index)))


@pytest.mark.parametrize("predictions", [some_binary(images=3), some_binary(), several(False), several(True)])
def test_a_figure_of_all_cases_has_one_interval_wherever_it_stands(predictions: Predictions) -> None:
    document = whole_study(predictions).to_json()
    tops = {None: document, **(document.get("per_class") or {})}
    met = 0
    for path, found in estimates({name: document[name] for name in ("calibration", "refer", "failures")}):
        if path[0] == "calibration" and path[1] == "before":
            continue
        label = next((part for part in path if part in predictions.labels), None)
        own = tops.get(label, document).get(path[-1])
        whole = path[0] != "refer" or path[1:3] == ("points", "0")
        if whole and own is not None and path[-1] in ("sensitivity", "specificity", "brier"):
            assert (found["value"], found["low"], found["high"], found["method"]) == (
                own["value"],
                own["low"],
                own["high"],
                own["method"],
            ), path
            met += 1
    assert met >= 5
