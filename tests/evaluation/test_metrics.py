"""All metrics of a partition: complete, valid JSON, honest where there is little or nothing to count."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation import (
    METRICS,
    Method,
    PartitionMetrics,
    Predictions,
    choose_operating_point,
    evaluate_partition,
    metrics_schema,
)
from tests.factories.predictions import binary, half, rows_of, some_binary, some_labels, some_multilabel

FAST = EvaluationSettings(replicates=200)
VALIDATOR = jsonschema.Draft202012Validator(metrics_schema())
PROPORTIONS = ("sensitivity", "specificity", "accuracy", "ppv", "npv")


def evaluate(predictions: Predictions, seed: int = 0, options: EvaluationSettings = FAST) -> PartitionMetrics:
    return evaluate_partition(predictions, half(predictions), options, seed)


def as_document(metrics: PartitionMetrics) -> dict[str, Any]:
    """The metrics as a reader of the file gets them; strict JSON, valid under the schema."""
    document = json.loads(json.dumps(metrics.to_json(), allow_nan=False))
    VALIDATOR.validate({"test": document})
    return document


EMPTY = binary([], [])
ONE_PATIENT = binary([True, True, False], [0.9, 0.2, 0.4], ["p"] * 3)
EVERY_KIND = {
    "binary": some_binary(),
    "clusters": some_binary(images=4),
    "three labels": some_labels(),
    "an absent label": some_labels(labels=("a", "b", "c", "absent")),
    "multi-label": some_multilabel(),
    "only positive": binary([True] * 8, np.linspace(0.1, 0.9, 8)),
    "only negative": binary([False] * 8, np.linspace(0.1, 0.9, 8)),
    "perfect": binary([True] * 30 + [False] * 30, [0.9] * 30 + [0.1] * 30),
    "all the same": binary([True, False] * 20, [0.7] * 40),
    "one patient": ONE_PATIENT,
    "one case": binary([True], [0.9]),
    "no case": EMPTY,
    "one label of several": some_labels(present=1),
    "one multi-label label": Predictions(("x",), None, True, [[0.2], [0.9]], [[0], [1]], np.array(["p", "q"])),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_partition_gives_every_figure_as_valid_json(kind: str) -> None:
    predictions = EVERY_KIND[kind]
    document = as_document(evaluate(predictions))
    groups = [document, *document.get("per_class", {}).values()]
    for group in groups:
        for name in METRICS:
            metric = group[name]
            if metric["value"] is None:
                assert metric["reason"], name
            else:
                assert metric["low"] <= metric["value"] <= metric["high"], name
                assert metric["low"] < metric["high"], f"{name}: an interval without width says too much"
    assert ("per_class" in document) == (predictions.positive is None)
    assert (document["confusion_matrix"] is None) == predictions.multilabel
    assert sum(document["cases_per_label"].values()) == predictions.reference.sum()


def test_the_schema_is_a_schema_and_refuses_disguised_figures() -> None:
    jsonschema.Draft202012Validator.check_schema(metrics_schema())
    document = as_document(evaluate(some_binary()))
    for wrong in (
        {"value": None, "low": 0.1, "high": 0.2, "method": "wilson", "reason": None},
        {"value": None, "low": None, "high": None, "method": "none", "reason": None},
        {"value": 0.5, "low": None, "high": None, "method": "wilson", "reason": None},
        {"value": 0.5, "low": 0.4, "high": 0.6, "method": "guess", "reason": None},
        0.5,
    ):
        assert not VALIDATOR.is_valid({"test": {**document, "auc": wrong}})
    without = {key: value for key, value in document.items() if key != "npv"}
    assert not VALIDATOR.is_valid({"test": without})


def test_binary_figures_are_scikit_learns() -> None:
    predictions = some_binary()
    positive, scores = predictions.reference[:, 1], predictions.probabilities[:, 1]
    called = scores >= 0.5
    estimates = {name: estimate.value for name, estimate in evaluate(predictions).estimates.items()}
    assert estimates == {
        "auc": pytest.approx(oracle.roc_auc_score(positive, scores)),
        "partial_auc": pytest.approx(oracle.roc_auc_score(positive, scores, max_fpr=0.1)),
        "average_precision": pytest.approx(oracle.average_precision_score(positive, scores)),
        "sensitivity": pytest.approx(oracle.recall_score(positive, called)),
        "specificity": pytest.approx(oracle.recall_score(~positive, ~called)),
        "accuracy": pytest.approx(oracle.accuracy_score(positive, called)),
        "balanced_accuracy": pytest.approx(oracle.balanced_accuracy_score(positive, called)),
        "ppv": pytest.approx(oracle.precision_score(positive, called)),
        "npv": pytest.approx(oracle.precision_score(~positive, ~called)),
        "f1": pytest.approx(oracle.f1_score(positive, called)),
        "mcc": pytest.approx(oracle.matthews_corrcoef(positive, called)),
        "lr_positive": pytest.approx(oracle.class_likelihood_ratios(positive, called)[0]),
        "lr_negative": pytest.approx(oracle.class_likelihood_ratios(positive, called)[1]),
        "brier": pytest.approx(oracle.brier_score_loss(positive, scores)),
    }


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_figures_of_several_labels_are_scikit_learns(seed: int) -> None:
    predictions = some_labels(seed, labels=("a", "b", "c", "d"), present=4)
    label, predicted = predictions.reference.argmax(axis=1), predictions.probabilities.argmax(axis=1)
    metrics = evaluate(predictions, options=EvaluationSettings(replicates=100))
    estimates = {name: estimate.value for name, estimate in metrics.estimates.items()}
    assert estimates["auc"] == pytest.approx(
        oracle.roc_auc_score(label, predictions.probabilities, multi_class="ovr", average="macro")
    )
    assert estimates["accuracy"] == pytest.approx(oracle.accuracy_score(label, predicted))
    assert estimates["balanced_accuracy"] == pytest.approx(oracle.balanced_accuracy_score(label, predicted))
    assert estimates["sensitivity"] == estimates["balanced_accuracy"]
    assert estimates["f1"] == pytest.approx(oracle.f1_score(label, predicted, average="macro"))
    assert estimates["brier"] == pytest.approx(oracle.brier_score_loss(label, predictions.probabilities))
    if (np.bincount(predicted, minlength=4) > 0).all():
        assert estimates["ppv"] == pytest.approx(oracle.precision_score(label, predicted, average="macro"))
    np.testing.assert_array_equal(metrics.confusion, oracle.confusion_matrix(label, predicted, labels=range(4)))


def test_multi_label_figures_are_means_over_labels_with_cases() -> None:
    predictions = some_multilabel()
    metrics = evaluate(predictions)
    called = predictions.probabilities >= 0.5
    expected = oracle.f1_score(predictions.reference[:, :2], called[:, :2], average="macro")
    assert metrics.estimates["f1"].value == pytest.approx(expected)
    assert "never (no case has the label)" in str(metrics.estimates["f1"].reason)


def test_an_absent_label_shifts_nothing() -> None:
    with_it, without = some_labels(labels=("a", "b", "c", "absent")), some_labels()
    metrics = evaluate(with_it)
    absent = metrics.per_label["absent"].estimates
    for name in ("auc", "sensitivity", "balanced_accuracy", "ppv", "npv", "f1"):
        assert absent[name].value is None
        assert absent[name].reason == "no case has the label"
    assert absent["specificity"].value is not None  # its false alarms can be counted
    for name in ("auc", "sensitivity", "specificity", "f1"):
        mean = np.mean([metrics.per_label[label].estimates[name].value for label in "abc"])
        assert metrics.estimates[name].value == pytest.approx(mean)
        assert "3 of 4" in str(metrics.estimates[name].reason)
    confusion = as_document(metrics)["confusion_matrix"]
    assert confusion["labels"] == ["a", "b", "c", "absent"]
    assert confusion["counts"][3] == [0, 0, 0, 0]
    assert np.array(confusion["counts"]).sum() == with_it.n_cases == without.n_cases
    assert "no case has the reference label absent" in metrics.notes


def test_a_label_in_front_that_never_occurs_moves_no_figure_of_the_others() -> None:
    plain = some_labels()
    reference, scores = plain.reference, plain.probabilities
    nothing = np.zeros((plain.n_cases, 1))
    widened = Predictions(
        ("absent", *plain.labels),
        None,
        False,
        np.hstack([nothing, scores]),
        np.hstack([nothing.astype(bool), reference]),
        plain.patients,
    )
    first, second = evaluate(plain), evaluate(widened)
    for name in METRICS:
        assert second.estimates[name].value == pytest.approx(first.estimates[name].value)
        assert second.estimates[name].low == pytest.approx(first.estimates[name].low)
        for label in plain.labels:
            assert second.per_label[label].estimates[name] == first.per_label[label].estimates[name]


@pytest.mark.parametrize(
    ("predictions", "defined", "reason"),
    [
        (EVERY_KIND["only positive"], {"sensitivity", "accuracy", "f1", "brier"}, "every case has"),
        (EVERY_KIND["only negative"], {"specificity", "accuracy", "brier"}, "no case has"),
        (EMPTY, set(), "there are no cases"),
    ],
)
def test_a_partition_with_one_kind_of_cases_says_what_it_cannot_say(
    predictions: Predictions, defined: set[str], reason: str
) -> None:
    estimates = evaluate(predictions).estimates
    assert {name for name, estimate in estimates.items() if estimate.value is not None} == defined
    assert all(reason in str(estimates[name].reason) for name in set(estimates) - defined)


def test_methods_follow_the_clusters() -> None:
    alone, together = evaluate(some_binary(images=1)).estimates, evaluate(some_binary(images=2)).estimates
    for name in METRICS:
        assert alone[name].method == (Method.WILSON if name in PROPORTIONS else Method.PATIENT_BOOTSTRAP), name
        assert together[name].method == Method.PATIENT_BOOTSTRAP, name


def test_copies_of_a_case_make_nothing_surer() -> None:
    once = some_binary(n=150)
    copies = rows_of(once, np.repeat(np.arange(150), 6))
    options = EvaluationSettings(replicates=1000)
    first, second = evaluate(once, options=options).estimates, evaluate(copies, options=options).estimates
    for name in METRICS:
        assert second[name].value == pytest.approx(first[name].value)
        width = first[name].high - first[name].low  # type: ignore[operator]
        # Wilson's PPV, NPV and accuracy let the mix of labels vary, the stratified bootstrap keeps it. Taking copies for
        # patients would leave a width of 0.41.
        close = 0.3 if name in ("accuracy", "ppv", "npv") else 0.15
        assert second[name].high - second[name].low == pytest.approx(width, rel=close), name  # type: ignore[operator]


def test_perfect_separation_is_not_certainty() -> None:
    estimates = evaluate(EVERY_KIND["perfect"]).estimates
    assert (estimates["auc"].value, estimates["auc"].high) == (1.0, 1.0)
    assert estimates["auc"].low == pytest.approx(0.025 ** (1 / 30))
    assert estimates["auc"].method == Method.DISJOINT_PAIRS
    assert "no spread" in str(estimates["auc"].reason)
    assert estimates["sensitivity"].method == Method.WILSON
    for name in ("balanced_accuracy", "f1"):
        assert estimates[name].method == Method.BONFERRONI
        # Both parts at 97.5 %: sensitivity alone would be at least this.
        assert estimates[name].low == pytest.approx(0.0125 ** (1 / 30))


def test_a_mean_over_perfect_labels_shares_the_error_among_them() -> None:
    reference = np.repeat(np.eye(3, dtype=bool), 10, axis=0)
    probabilities = np.where(reference, 0.8, 0.1)
    predictions = Predictions(("a", "b", "c"), None, False, probabilities, reference, np.arange(30).astype(str))
    sensitivity = evaluate(predictions).estimates["sensitivity"]
    assert (sensitivity.value, sensitivity.high, sensitivity.method) == (1.0, 1.0, Method.BONFERRONI)
    assert sensitivity.low == pytest.approx((0.05 / 3 / 2) ** (1 / 10))


def test_the_other_figures_of_a_perfect_separation_know_their_worst() -> None:
    estimates = evaluate(EVERY_KIND["perfect"]).estimates
    worst = 0.0125 ** (1 / 30)  # sensitivity and specificity, both at 97.5 %
    assert estimates["mcc"].low == pytest.approx(2 * worst - 1)
    assert (estimates["lr_positive"].value, estimates["lr_negative"].value) == (None, 0.0)
    assert "infinite" in str(estimates["lr_positive"].reason)
    assert estimates["lr_negative"].high == pytest.approx((1 - worst) / worst)
    assert "no spread" in str(estimates["lr_negative"].reason)
    for name in ("partial_auc", "average_precision"):
        assert (estimates[name].value, estimates[name].high, estimates[name].method) == (
            1.0,
            1.0,
            Method.DISJOINT_PAIRS,
        )
        assert estimates[name].low < estimates["auc"].low, name  # type: ignore[operator]
        assert "no spread" in str(estimates[name].reason)


def test_intervals_of_likelihood_ratios_are_those_of_the_log_method() -> None:
    """With one case for each patient: Simel and others (J Clin Epidemiol 1991;44:763)."""
    metrics = evaluate(some_binary(n=600), options=EvaluationSettings(replicates=2000))
    counts, estimates = metrics.per_label["sick"].counts, metrics.estimates
    ups, downs = counts.tp + counts.fn, counts.fp + counts.tn
    for name, first, second in (("lr_positive", counts.tp, counts.fp), ("lr_negative", counts.fn, counts.tn)):
        reach = np.exp(1.96 * (1 / first - 1 / ups + 1 / second - 1 / downs) ** 0.5)
        value = estimates[name].value
        assert isinstance(value, float)
        assert (estimates[name].low, estimates[name].high) == pytest.approx((value / reach, value * reach), rel=0.02)


def test_a_likelihood_ratio_with_one_false_alarm_has_an_upper_limit() -> None:
    positive = np.arange(60) % 2 == 0
    scores = np.where(positive, 0.9, 0.1)
    scores[[1, 2, 4]] = 0.9, 0.1, 0.1
    metric = evaluate(binary(positive, scores)).estimates["lr_positive"]
    assert metric.value == pytest.approx((28 / 30) / (1 / 30))
    assert metric.low < 6  # type: ignore[operator]
    assert 100 < metric.high < 1000  # type: ignore[operator]


def test_the_aucs_formula_follows_the_clusters_and_agrees_with_the_bootstrap() -> None:
    for images, method in ((1, Method.DELONG), (3, Method.OBUCHOWSKI)):
        metrics = evaluate(some_binary(n=600, images=images), options=EvaluationSettings(replicates=1000))
        analytic, bootstrap = metrics.per_label["sick"].auc_analytic, metrics.estimates["auc"]
        assert (analytic.method, analytic.value) == (method, bootstrap.value)
        assert (analytic.low, analytic.high) == pytest.approx((bootstrap.low, bootstrap.high), abs=0.015)
        assert as_document(metrics)["auc_analytic"] == {"sick": analytic.to_json()}


def test_one_patient_tells_almost_nothing() -> None:
    estimates = evaluate(ONE_PATIENT).estimates
    assert estimates["auc"].low == 0.0
    assert estimates["auc"].high == 1.0
    assert estimates["sensitivity"].method == Method.CLOPPER_PEARSON
    assert estimates["sensitivity"].high - estimates["sensitivity"].low > 0.9  # type: ignore[operator]
    assert "too few patients" in str(estimates["auc"].reason)


def test_few_patients_are_flagged() -> None:
    few = some_binary(n=36)
    metrics = evaluate(few)
    assert "only 12 patients" in str(metrics.estimates["auc"].reason)
    assert any("sick (12)" in note for note in metrics.notes)
    assert evaluate(some_binary()).notes == ()


def test_scores_that_mean_the_opposite_are_doubted() -> None:
    right = some_binary()
    swapped = Predictions(
        right.labels, right.positive, False, right.probabilities[:, ::-1], right.reference, right.patients
    )
    doubt = "the higher, the rarer the label"
    assert [any(doubt in note for note in evaluate(one).notes) for one in (right, swapped)] == [False, True]


@pytest.mark.parametrize(
    ("factor", "doubts"), [(1.0, []), (0.01, ["separates hardly anything: 0 of 120 cases"]), (0.0, ["the same score"])]
)
def test_a_threshold_that_parts_nothing_is_doubted_and_a_score_that_is_always_the_same(
    factor: float, doubts: list[str]
) -> None:
    right = some_binary()
    score = right.probabilities[:, right.labels.index(right.positive or "")] * factor
    notes = evaluate(binary(right.reference[:, right.labels.index(right.positive or "")], score)).notes
    assert [
        one for one in ("separates hardly anything: 0 of 120 cases", "the same score") if one in " ".join(notes)
    ] == doubts


def test_the_order_of_cases_changes_nothing() -> None:
    predictions = some_binary(images=3)
    order = np.random.default_rng(1).permutation(predictions.n_cases)
    first, second = evaluate(predictions).estimates, evaluate(rows_of(predictions, order)).estimates
    for name in METRICS:
        for part in ("value", "low", "high"):
            assert getattr(first[name], part) == pytest.approx(getattr(second[name], part), rel=1e-12)


def test_naming_the_other_label_positive_turns_the_figures_round() -> None:
    sick = some_binary(images=2)
    well = Predictions(sick.labels, "well", False, sick.probabilities, sick.reference, sick.patients)
    first, second = evaluate(sick).estimates, evaluate(well).estimates
    for name, mirror in (("sensitivity", "specificity"), ("ppv", "npv"), ("auc", "auc"), ("brier", "brier")):
        assert second[mirror].value == pytest.approx(first[name].value)
        assert (second[mirror].low, second[mirror].high) == pytest.approx((first[name].low, first[name].high))


def test_the_seed_decides_the_bootstrap_and_nothing_else() -> None:
    predictions = some_binary()
    first, again, other = (evaluate(predictions, seed) for seed in (1, 1, 2))
    assert first.to_json() == again.to_json()
    assert first.estimates["auc"].low != other.estimates["auc"].low
    assert first.estimates["sensitivity"] == other.estimates["sensitivity"]


def test_a_higher_confidence_gives_wider_intervals() -> None:
    predictions = some_binary(images=2)
    usual = evaluate(predictions).estimates
    surer = evaluate(predictions, options=EvaluationSettings(replicates=200, confidence=0.99)).estimates
    for name in METRICS:
        assert surer[name].low <= usual[name].low, name  # type: ignore[operator]
        assert surer[name].high >= usual[name].high, name  # type: ignore[operator]


def test_the_roc_curve_lies_in_its_band_and_is_thin() -> None:
    document = as_document(evaluate(some_binary(n=900)))["roc"]["sick"]
    assert len(document["fpr"]) == len(document["tpr"]) == len(document["thresholds"]) <= 200
    assert document["thresholds"][0] is None
    assert (document["fpr"][0], document["tpr"][-1]) == (0, 1)
    band = document["band"]
    low, high = np.array(band["low"]), np.array(band["high"])
    assert (low <= high).all()
    assert 0 < (high - low).max() < 0.3
    inside = np.interp(document["fpr"], band["fpr"], high) + 0.02 >= document["tpr"]
    assert inside.all()


def test_without_a_bootstrap_there_is_no_band_and_without_both_kinds_no_curve() -> None:
    perfect = as_document(evaluate(EVERY_KIND["perfect"]))["roc"]["sick"]
    assert perfect["band"] is None
    assert perfect["fpr"] == [0, 0, 1]
    assert "no spread" in perfect["reason"]
    single = as_document(evaluate(EVERY_KIND["only positive"]))["roc"]["sick"]
    assert single["fpr"] is None
    assert single["reason"] == "every case has the label"


def test_the_operating_point_is_taken_as_it_is() -> None:
    tune, test = some_binary(seed=1), some_binary(seed=2)
    point = choose_operating_point(tune)
    metrics = evaluate_partition(test, point, FAST)
    called = test.probabilities[:, 1] >= point.thresholds[0]
    assert metrics.estimates["sensitivity"].value == pytest.approx(called[test.reference[:, 1]].mean())
    assert as_document(metrics)["operating_point"] == json.loads(json.dumps(point.to_json()))
    with pytest.raises(UsageError, match="other labels"):
        evaluate_partition(some_labels(), point)
