"""Failure analysis: the worst answers are the worst, and cases without a prediction are counted in."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation import (
    FailedCases,
    FailureAnalysis,
    Method,
    Predictions,
    failure_analysis,
    failures_schema,
    wilson,
)
from tests.factories.predictions import (
    ESTIMATE_SCHEMA,
    binary,
    half,
    rows_of,
    some_binary,
    some_labels,
    some_multilabel,
)

FAST = EvaluationSettings(replicates=200)
VALIDATOR = jsonschema.Draft202012Validator({**failures_schema(), "$defs": {"estimate": ESTIMATE_SCHEMA}})


def analyse(predictions: Predictions, refused: FailedCases | None = None) -> FailureAnalysis:
    names = [f"case {i:04d}" for i in range(predictions.n_cases)]
    found = failure_analysis(predictions, half(predictions), names, refused, settings=FAST)
    VALIDATOR.validate(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    return found


def failed(sick: list[bool], patients: list[str] | None = None) -> FailedCases:
    owners = [f"failed {i}" for i in range(len(sick))] if patients is None else patients
    reference = np.array([[not one, one] for one in sick], dtype=bool).reshape(-1, 2)
    return FailedCases(
        tuple(f"f{i}" for i in range(len(sick))),
        reference,
        np.array(owners),
        ("truncated",) * len(sick),
        np.ones_like(reference),
    )


def test_the_worst_come_first_with_their_names() -> None:
    found = analyse(binary([1, 1, 1, 0, 0, 0], [0.4, 0.1, 0.9, 0.6, 0.95, 0.2])).labels["sick"]
    assert [(one.name, one.probability) for one in found.false_negatives] == [("case 0001", 0.1), ("case 0000", 0.4)]
    assert [(one.name, one.probability) for one in found.false_positives] == [("case 0004", 0.95), ("case 0003", 0.6)]
    assert (found.false_positives[0].reference, found.false_positives[0].called) == (("well",), ("sick",))


def test_only_the_worst_are_named_but_all_are_counted() -> None:
    found = analyse(binary([True] * 30, np.linspace(0, 0.4, 30))).labels["sick"]
    assert (len(found.false_negatives), found.n_false_negative) == (10, 30)
    assert [one.name for one in found.false_negatives] == [f"case {i:04d}" for i in range(10)]


def test_worst_case_by_hand() -> None:
    predictions = binary([True] * 20 + [False] * 30, [0.9] * 18 + [0.1] * 2 + [0.1] * 27 + [0.9] * 3)
    found = analyse(predictions, failed([True] * 5 + [False] * 10))
    sick = found.labels["sick"]
    assert sick.complete_case["sensitivity"].value == pytest.approx(18 / 20)
    assert sick.worst_case["sensitivity"].value == pytest.approx(18 / 25)
    assert sick.worst_case["specificity"].value == pytest.approx(27 / 40)
    assert (sick.worst_case["sensitivity"].low, sick.worst_case["sensitivity"].high) == pytest.approx(wilson(18, 25))
    assert (found.n_answered, found.n_failed) == (50, 15)
    assert (sick.n_failed_positive, sick.n_failed_negative) == (5, 10)
    assert found.failed_by_reason == {"truncated": 15}


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000), st.lists(st.booleans(), max_size=20))
def test_the_worst_case_is_never_better(seed: int, sick: list[bool]) -> None:
    predictions = some_binary(seed, n=40)
    found = analyse(predictions, failed(sick)).labels["sick"]
    for name, kind in (("sensitivity", True), ("specificity", False)):
        complete, worst = found.complete_case[name].value, found.worst_case[name].value
        assert complete is not None
        assert worst is not None
        assert worst <= complete
        assert (worst == complete) == (kind not in sick or complete == 0)


def test_without_failed_cases_both_are_equal() -> None:
    for predictions in (some_binary(), some_binary(images=4), some_labels(), some_multilabel()):
        for label in analyse(predictions).labels.values():
            assert label.complete_case == label.worst_case


def test_a_failed_case_of_a_known_patient_is_no_new_patient() -> None:
    predictions = some_binary(n=60)
    own = analyse(predictions, failed([True] * 10, [str(predictions.patients[i * 3]) for i in range(10)])).labels[
        "sick"
    ]
    other = analyse(predictions, failed([True] * 10)).labels["sick"]
    assert own.worst_case["sensitivity"].value == other.worst_case["sensitivity"].value
    assert other.worst_case["sensitivity"].method == Method.WILSON
    assert own.worst_case["sensitivity"].method == Method.PATIENT_BOOTSTRAP


def test_failed_cases_without_a_reference_are_told_apart() -> None:
    refused = FailedCases(
        ("a", "b"), np.array([[0, 1], [0, 0]]), np.array(["p", "q"]), ("x", "y"), np.array([[1, 1], [0, 0]])
    )
    found = analyse(some_binary(), refused)
    assert (found.n_failed, found.n_unknown) == (2, 1)
    assert found.labels["sick"].n_failed_positive + found.labels["sick"].n_failed_negative == 1


def test_multilabel_cases_without_a_label_are_negative_for_each() -> None:
    refused = FailedCases(("a",), np.zeros((1, 3)), np.array(["new"]), ("x",), np.ones((1, 3)))
    found = analyse(some_multilabel(), refused)
    assert found.n_unknown == 0
    assert {label.n_failed_negative for label in found.labels.values()} == {1}


def test_the_order_of_cases_does_not_matter() -> None:
    plain = some_binary(n=90, images=3)
    predictions = binary(plain.reference[:, 1], plain.probabilities[:, 1].round(1), plain.patients)  # with ties
    names = [f"n{i}" for i in range(90)]
    order = np.random.default_rng(0).permutation(90)
    moved = rows_of(predictions, order)
    point = half(predictions)
    straight = failure_analysis(predictions, point, names, settings=FAST)
    shuffled = failure_analysis(moved, point, [names[i] for i in order], settings=FAST)
    assert straight.to_json() == shuffled.to_json()


def test_nothing_but_failed_cases() -> None:
    found = analyse(binary([], []), failed([True] * 8)).labels["sick"]
    assert found.complete_case["sensitivity"].value is None
    assert found.worst_case["sensitivity"].value == 0
    assert found.worst_case["specificity"].reason == "every case has the label"


def test_what_does_not_fit_is_refused() -> None:
    predictions = some_binary()
    with pytest.raises(UsageError, match="names"):
        failure_analysis(predictions, half(predictions), ["a"])
    with pytest.raises(UsageError, match="other labels"):
        analyse(predictions, FailedCases.none(3))
    with pytest.raises(UsageError, match="each"):
        FailedCases(("a",), np.zeros((2, 2)), np.array(["p"]), ("x",), np.ones((2, 2)))
    with pytest.raises(UsageError, match="each"):
        FailedCases(("a",), np.zeros((1, 2)), np.array(["p"]), ("x",), np.ones((1, 3)))
