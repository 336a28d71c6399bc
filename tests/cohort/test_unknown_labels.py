"""Labels that are not known of some cases: no metric of a label sees them, whatever stands in their place."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, recall_score, roc_auc_score

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation import (
    Predictions,
    choose_operating_point,
    evaluate_partition,
    fit_calibration,
    fit_conformal,
    metrics_schema,
)
from medcls.evaluation.clinical.selective_prediction import selective_curve
from medcls.evaluation.comparison.compare import compare_predictions
from medcls.evaluation.discrimination.within_folds import auc_within_folds
from medcls.evaluation.partition.failed_cases import FailedCases
from medcls.evaluation.partition.report import EvaluationInput, evaluate_in_full
from medcls.evaluation.shift.cohort_summary import CohortMeasures, CohortSummary, summarise_cohort
from medcls.evaluation.shift.distribution_shift import cohort_shift
from medcls.evaluation.thresholds.confidence import certainty
from tests.factories.predictions import half

LABELS = ("a", "b", "c")
FAST = EvaluationSettings(replicates=100, prevalences=(0.1,))
OPEN = st.sampled_from([0.0, 0.2, 0.5, 0.9])


def partly_known(seed: int, share: float, n: int = 150, images: int = 2) -> Predictions:
    """Three labels, of which so great a share of 'a' and some of 'b' is not known; several cases for each patient."""
    random = np.random.default_rng(seed)
    reference = random.random((n, 3)) < [0.4, 0.5, 0.3]
    probabilities = 1 / (1 + np.exp(-random.normal(size=(n, 3)) - 1.5 * reference + 0.7))
    known = random.random((n, 3)) >= [share, 0.3, 0.0]
    patients = np.char.add("p", (np.arange(n) // images).astype(str))
    return Predictions(LABELS, None, True, probabilities, reference, patients, known)


def rewritten(predictions: Predictions, seed: int) -> Predictions:
    """The same with something else in the cells that are not known."""
    random = np.random.default_rng([seed, 1])
    other = np.where(predictions.known, predictions.reference, random.random(predictions.known.shape) < 0.5)
    return replace(predictions, reference=other)


def everything(predictions: Predictions, seed: int = 0) -> dict[str, Any]:
    """All that is said of a partition, and of a comparison on it."""
    n = predictions.n_cases
    sex = ["M" if patient[-1] in "02468" else "F" for patient in predictions.patients.tolist()]
    random = np.random.default_rng(5)
    refused = random.random((12, 3)) < 0.5
    study = evaluate_in_full(
        EvaluationInput(
            predictions,
            half(predictions),
            FAST,
            seed,
            conformal=fit_conformal(predictions, alpha=0.2),
            covariates={"sex": sex},
            names=[f"case {index}" for index in range(n)],
            refused=FailedCases(
                tuple(f"r{index}" for index in range(12)),
                refused,
                np.array([f"q{index}" for index in range(12)]),
                ("truncated",) * 12,
                random.random((12, 3)) < 0.7,
            ),
        )
    )
    other = replace(predictions, probabilities=np.sqrt(predictions.probabilities))
    compared = compare_predictions(predictions, other, half(predictions), half(other), FAST, seed)
    folds = np.array([int(patient[1:]) % 3 for patient in predictions.patients.tolist()])
    document = {
        **study.to_json(),
        "compared": compared.to_json(),
        "within": {label: one.to_json() for label, one in auc_within_folds(predictions, folds, FAST, seed).items()},
        "point": choose_operating_point(predictions).to_json(),
    }
    return json.loads(json.dumps(document, allow_nan=False))


def of_label(document: dict[str, Any], label: str) -> dict[str, Any]:
    """What a document says of one label alone."""
    counted = ("n_false_positive", "n_false_negative", "n_failed_positive", "n_failed_negative")
    return {
        "figures": document["per_class"][label],
        "analytic": document["auc_analytic"][label],
        "roc": document["roc"][label],
        "reliability": document["reliability"]["labels"][label],
        "calibration": document["calibration"]["after"]["per_label"][label],
        "clinical": document["clinical"][label],
        "conformal": document["conformal"]["per_label"][label],
        "subgroups": [covariate["labels"][label] for covariate in document["subgroups"]["facts"]],
        "failures": [document["failures"]["labels"][label][name] for name in (*counted, "complete_case", "worst_case")],
        "compared": [one for one in document["compared"]["differences"] if one["label"] == label],
        "within": document["within"][label],
        "threshold": [cut for cut in document["point"]["thresholds"] if cut["label"] == label],
        "counts": [document[name][label] for name in ("cases_per_label", "patients_per_label", "known_per_label")],
    }


def assert_alike(one: Any, other: Any) -> None:
    """Equal, numbers up to the last digits of sums in another order."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_alike(one[name], other[name])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            assert_alike(first, second)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-6, abs=1e-9)
    else:
        assert one == other


@given(seed=st.integers(0, 10_000), share=OPEN)
@settings(max_examples=5, deadline=None)
def test_what_stands_in_an_unknown_cell_changes_nothing(seed: int, share: float) -> None:
    predictions = partly_known(seed, share)
    other = rewritten(predictions, seed)
    assert everything(predictions) == everything(other)
    assert predictions.cases_hash() == other.cases_hash()


@given(seed=st.integers(0, 10_000), share=OPEN, images=st.sampled_from([1, 2]))
@settings(max_examples=5, deadline=None)
def test_a_labels_figures_are_those_of_the_table_without_the_rows_that_leave_it_open(
    seed: int, share: float, images: int
) -> None:
    predictions = partly_known(seed, share, images=images)
    whole = everything(predictions)
    for place, label in enumerate(LABELS):
        rows = everything(predictions.take(predictions.known[:, place]))
        assert_alike(of_label(whole, label), of_label(rows, label))


@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.0, 0.2, 0.5]))
@settings(max_examples=10, deadline=None)
def test_figures_are_scikit_learns_on_the_rows_that_are_known(seed: int, share: float) -> None:
    predictions = partly_known(seed, share)
    found = evaluate_partition(predictions, half(predictions), FAST)
    macro = {name: [] for name in ("auc", "average_precision", "brier", "sensitivity")}
    for place, label in enumerate(LABELS):
        rows = predictions.known[:, place]
        truth, scores = predictions.reference[rows, place], predictions.probabilities[rows, place]
        expected = {
            "auc": roc_auc_score(truth, scores),
            "average_precision": average_precision_score(truth, scores),
            "brier": brier_score_loss(truth, scores),
            "sensitivity": recall_score(truth, scores >= 0.5),
        }
        for name, value in expected.items():
            assert found.per_label[label].estimates[name].value == pytest.approx(value)
            macro[name].append(value)
        assert found.known_per_label is not None
        assert found.known_per_label[label] == rows.sum()
    for name, values in macro.items():
        estimate = found.estimates[name]
        assert estimate.value == pytest.approx(np.mean(values))
        assert estimate.low is not None
        assert estimate.low < np.mean(values) < estimate.high


def test_referral_counts_a_case_as_wrong_where_a_label_that_is_known_is() -> None:
    predictions = partly_known(3, 0.5)
    point = half(predictions)
    found = selective_curve(predictions, point, FAST)
    called = predictions.probabilities >= 0.5
    wrong = ((called != predictions.reference) & predictions.known).any(axis=1)
    sure = certainty(predictions, point)
    assert len(found.points) > 3
    for one in found.points:
        kept = sure >= one.least_certainty
        assert one.risk.value == pytest.approx(wrong[kept].mean())
        for place, label in enumerate(LABELS):
            rows = kept & predictions.known[:, place]
            truth, said = predictions.reference[rows, place], called[rows, place]
            assert one.per_label[label]["sensitivity"].value == pytest.approx(said[truth].mean())
            assert one.per_label[label]["specificity"].value == pytest.approx((~said)[~truth].mean())


def test_a_shift_of_labels_is_that_among_those_of_whom_they_are_known() -> None:
    def measures(seed: int, known: float) -> CohortMeasures:
        random = np.random.default_rng(seed)
        told = random.random((200, 1)) < known
        patients = np.arange(200).astype(str)
        return CohortMeasures({}, {}, {}, ("a",), (random.random((200, 1)) < 0.5) & told, patients, told)

    kept = CohortSummary.from_json(json.loads(json.dumps(summarise_cohort(measures(0, 0.4)).to_json())))
    external = measures(1, 0.8)
    row = cohort_shift(kept, external).of("a")
    assert row.training == pytest.approx(kept.labels["a"] / kept.known["a"])
    assert row.external == pytest.approx(external.reference.sum() / external.known.sum())
    assert row.verdict.value == "none"


def test_with_everything_known_nothing_is_other_than_without_a_word_of_it() -> None:
    predictions = partly_known(0, 0.0)
    whole = replace(predictions, known=np.ones_like(predictions.known))
    plain = Predictions(LABELS, None, True, whole.probabilities, whole.reference, whole.patients)
    assert everything(whole) == everything(plain)
    assert not any("known of fewer" in note for note in everything(plain)["notes"])


def test_a_label_that_is_known_of_nobody_has_no_figures_and_says_so() -> None:
    predictions = partly_known(1, 0.4)
    known = predictions.known.copy()
    known[:, 0] = False
    document = everything(replace(predictions, known=known))
    for name in ("compared", "within", "point"):
        document.pop(name)
    jsonschema.Draft202012Validator(metrics_schema()).validate({"test": document})
    assert document["known_per_label"]["a"] == 0
    assert {document["per_class"]["a"][name]["value"] for name in ("auc", "sensitivity", "brier")} == {None}
    assert document["auc"]["value"] is not None
    assert "a (" in document["auc"]["reason"]
    assert any("a (0)" in note for note in document["notes"])


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic"])
@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_a_calibration_sees_what_is_known_alone(method: Any, seed: int) -> None:
    predictions = partly_known(seed, 0.5)
    logits = 2 * np.log(predictions.probabilities / (1 - predictions.probabilities))
    changed = np.where(predictions.known, logits, np.random.default_rng(seed).normal(0, 9, logits.shape))
    first, second = (
        fit_calibration(one, two.reference, method, multilabel=True, known=predictions.known)
        for one, two in ((logits, predictions), (changed, rewritten(predictions, seed)))
    )
    assert first.to_json() == second.to_json()
    if method == "temperature":
        return  # one for all labels together
    for place in range(3):
        rows = predictions.known[:, place]
        alone = fit_calibration(logits[rows], predictions.reference[rows], method, multilabel=True)
        np.testing.assert_allclose(
            first.probabilities(logits)[:, place], alone.probabilities(logits)[:, place], atol=1e-9
        )


def test_an_exclusive_label_is_never_left_open() -> None:
    both = np.array([[0.2, 0.8], [0.6, 0.4]])
    known = np.array([[True, False], [True, True]])
    with pytest.raises(UsageError, match="leaves an exclusive label open"):
        Predictions(("well", "ill"), "ill", False, both, np.eye(2) > 0, np.array(["p", "q"]), known)


def test_cases_of_which_other_labels_are_known_are_other_cases() -> None:
    predictions = partly_known(2, 0.3)
    other = replace(predictions, known=np.ones_like(predictions.known))
    assert predictions.cases_hash() != other.cases_hash()
    with pytest.raises(UsageError, match="reference label"):
        compare_predictions(predictions, other, half(predictions), half(other), FAST)
