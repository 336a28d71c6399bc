"""Two classifiers on the same cases: published tests, simulated nulls, and what cannot be compared."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation import (
    Comparison,
    Method,
    Predictions,
    compare_predictions,
    compare_several,
    comparison_schema,
    delong_covariance,
    holm,
    mcnemar,
    with_holm,
)
from tests.factories.predictions import ESTIMATE_SCHEMA, binary, half, some_binary, some_labels, some_multilabel

FAST = EvaluationSettings(replicates=400)
VALIDATOR = jsonschema.Draft202012Validator({**comparison_schema(), "$defs": {"estimate": ESTIMATE_SCHEMA}})


def compare(first: Predictions, second: Predictions, options: EvaluationSettings = FAST, seed: int = 0) -> Comparison:
    comparison = compare_predictions(first, second, half(first), half(second), options, seed)
    VALIDATOR.validate(json.loads(json.dumps(comparison.to_json(), allow_nan=False)))
    return comparison


def two_raters(seed: int, patients: int, images: int, gain: float = 0.0) -> tuple[Predictions, Predictions]:
    """Two classifiers that err in part together; the second sees ``gain`` more. Cases of a patient are much alike."""
    generator = np.random.default_rng(seed)
    sick = np.arange(patients) % 2 == 0
    owner = np.repeat(np.arange(patients), images)
    shared = generator.normal(size=patients)
    case_predictions = []
    for shift in (0.0, gain):
        own = generator.normal(size=patients)[owner] + 0.5 * generator.normal(size=owner.size)
        case_predictions.append(1 / (1 + np.exp(-(shared[owner] + own + (1.2 + shift) * (2 * sick[owner] - 1)))))
    return binary(sick[owner], case_predictions[0], owner), binary(sick[owner], case_predictions[1], owner)


def other(predictions: Predictions, **change: object) -> Predictions:
    fields = {name: getattr(predictions, name) for name in Predictions.__dataclass_fields__}
    return Predictions(**{**fields, **change})


@pytest.fixture(scope="module")
def asah(asah: dict[str, np.ndarray]) -> dict[str, Predictions]:
    return {name: binary(asah["poor"], values / values.max()) for name, values in asah.items() if name != "poor"}


@pytest.mark.parametrize(
    ("second", "z", "p"), [("s100b", 2.208983591441, 0.027175782229), ("ndka", 2.797775918689, 0.005145579707)]
)
def test_paired_delong_is_procs(asah: dict[str, Predictions], second: str, z: float, p: float) -> None:
    found = compare(asah["wfns"], asah[second]).of("auc")
    assert found.statistic == pytest.approx(z, rel=1e-9)
    assert found.p_value == pytest.approx(p, rel=1e-9)
    assert found.test == "delong"
    assert found.difference.method == Method.DELONG
    assert found.difference.low > 0  # type: ignore[operator]
    other_way = compare(asah[second], asah["wfns"]).of("auc")
    assert other_way.statistic == pytest.approx(-z, rel=1e-9)
    assert other_way.difference.high == pytest.approx(-found.difference.low)  # type: ignore[operator]


def test_one_case_a_patient_gets_mcnemar_on_its_own_cases() -> None:
    positive = [True] * 60 + [False] * 60
    first = binary(positive, [0.9] * 50 + [0.1] * 10 + [0.1] * 60)
    second = binary(positive, [0.9] * 45 + [0.1] * 5 + [0.9] * 1 + [0.1] * 9 + [0.9] * 30 + [0.1] * 30)
    comparison = compare(first, second)
    sensitivity, specificity = comparison.of("sensitivity"), comparison.of("specificity")
    assert sensitivity.p_value == mcnemar(5, 1).p_value
    assert sensitivity.test == "mcnemar-exact"
    assert (sensitivity.first, sensitivity.second) == pytest.approx((50 / 60, 46 / 60))
    assert sensitivity.difference.value == pytest.approx(4 / 60)
    assert specificity.test == "mcnemar-chi2"
    assert specificity.statistic == mcnemar(30, 0).statistic
    assert (specificity.first, specificity.second, specificity.difference.value) == pytest.approx((1.0, 0.5, 0.5))


def test_several_cases_of_a_patient_get_the_bootstrap_everywhere() -> None:
    comparison = compare(*two_raters(0, 40, 5))
    assert {one.test for one in comparison.differences} == {"patient-bootstrap"}
    assert {one.metric for one in comparison.differences} == {"auc", "sensitivity", "specificity", "accuracy"}


def test_tenfold_copies_of_a_patients_case_are_no_evidence() -> None:
    first, second = two_raters(1, 60, 1, gain=0.5)
    rows = np.repeat(np.arange(60), 10)
    copies = [
        other(one, probabilities=one.probabilities[rows], reference=one.reference[rows], patients=one.patients[rows])
        for one in (first, second)
    ]
    once, tenfold = compare(first, second), compare(copies[0], copies[1])
    for metric in ("auc", "sensitivity", "specificity"):
        one, ten = once.of(metric), tenfold.of(metric)
        assert ten.difference.value == pytest.approx(one.difference.value)
        assert ten.p_value > one.p_value / 3  # as of 60 cases, not of 600  # type: ignore[operator]
        widths = [each.difference.high - each.difference.low for each in (one, ten)]  # type: ignore[operator]
        assert widths[1] == pytest.approx(widths[0], rel=0.3)


@pytest.mark.parametrize("images", [1, 5])
def test_equal_classifiers_differ_by_chance_about_as_often_as_stated(images: int) -> None:
    options = EvaluationSettings(replicates=200)
    runs = [compare_pair(seed, images, options) for seed in range(150)]
    for metric in ("auc", "sensitivity"):
        found = np.mean([run.of(metric).p_value <= 0.05 for run in runs])  # type: ignore[operator]
        assert found <= 0.11, metric  # 0.05 and 3.4 standard errors
        covered = np.mean([one.low <= 0 <= one.high for one in (run.of(metric).difference for run in runs)])  # type: ignore[operator]
        assert covered >= 0.89, metric


def compare_pair(seed: int, images: int, options: EvaluationSettings) -> Comparison:
    first, second = two_raters(seed, 60, images)
    return compare_predictions(first, second, half(first), half(second), options, seed)


def test_a_better_classifier_is_found() -> None:
    for images in (1, 5):
        found = compare(*two_raters(3, 200, images, gain=1.0)).of("auc")
        assert found.p_value < 0.01  # type: ignore[operator]
        assert found.difference.high < 0  # type: ignore[operator]


def test_a_classifier_does_not_differ_from_itself() -> None:
    for predictions in (some_binary(), some_binary(images=4), some_labels(), some_multilabel()):
        for one in compare(predictions, predictions).differences:
            if one.difference.value is not None:
                assert (one.difference.low, one.difference.value, one.difference.high) == (0, 0, 0)
                assert (one.test, one.p_value) == ("none", None)
                assert "identical predictions" in str(one.reason)
    scores = some_binary().probabilities[:, 1]
    covariance = delong_covariance(some_binary().reference[:, 1], np.stack((scores, scores), axis=1))
    assert covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1] == pytest.approx(0)  # type: ignore[index]


def test_what_only_coincides_on_these_cases_keeps_an_interval() -> None:
    first = some_binary()
    other_scores = binary(first.reference[:, 1], first.probabilities[:, 1] ** 2)
    same_ranks = compare(first, other_scores).of("auc").difference
    assert same_ranks.low < same_ranks.value == 0 < same_ranks.high  # type: ignore[operator]


def test_several_exclusive_labels_get_accuracy_and_macro_auc() -> None:
    comparison = compare(some_labels(1), some_labels(2))
    assert [(one.metric, one.label) for one in comparison.differences] == [("macro_auc", None), ("accuracy", None)]
    assert comparison.of("macro_auc").test == "patient-bootstrap"
    assert comparison.of("accuracy").test == "mcnemar-chi2"
    absent = ("a", "b", "c", "never")
    reason = compare(some_labels(1, labels=absent), some_labels(2, labels=absent)).of("macro_auc").reason
    assert "left out: never" in str(reason)


def test_multilabel_gets_each_label_and_says_which_are_undefined() -> None:
    first = some_multilabel(1)
    second = Predictions(first.labels, None, True, first.probabilities**2, first.reference, first.patients)
    comparison = compare(first, second)
    assert comparison.of("auc", "a").difference.value == 0  # squares keep the order
    assert comparison.of("sensitivity", "a").difference.value > 0  # type: ignore[operator]
    assert comparison.of("auc", "never").reason == "no case has the label"
    assert comparison.of("macro_auc").difference.value == 0
    with pytest.raises(UsageError, match="no metric"):
        comparison.of("f1")


def test_perfect_separation_by_both_has_no_p_value() -> None:
    first = binary([True] * 9 + [False] * 9, [0.9] * 9 + [0.1] * 9)
    second = binary([True] * 9 + [False] * 9, [0.1] * 9 + [0.9] * 9)
    found = compare(first, second).of("auc")
    assert (found.p_value, found.test) == (None, "none")
    assert "no variance" in str(found.reason)
    assert found.difference.value == 1
    assert found.difference.method == Method.BONFERRONI


def test_several_classifiers_are_adjusted_by_holm_figure_by_figure() -> None:
    one, two = two_raters(0, 60, 1, gain=0.4)
    three = binary(one.reference[:, 1], two_raters(9, 60, 1, gain=0.8)[1].probabilities[:, 1])
    comparisons = compare_several(
        [(name, each, half(each)) for name, each in zip("abc", (one, two, three), strict=True)]
    )
    assert [comparison.names for comparison in comparisons] == [("a", "b"), ("a", "c"), ("b", "c")]
    for metric in ("auc", "sensitivity"):
        found = [comparison.of(metric) for comparison in comparisons]
        adjusted = holm([each.p_value for each in found])  # type: ignore[misc]
        assert [each.p_adjusted for each in found] == pytest.approx(adjusted)
    for comparison in comparisons:
        VALIDATOR.validate(json.loads(json.dumps(comparison.to_json(), allow_nan=False)))
    (alone,) = with_holm([compare(one, two)])
    assert alone.of("auc").p_adjusted == alone.of("auc").p_value


def test_what_is_not_about_the_same_cases_is_one_clear_error() -> None:
    first = some_binary()
    moved = first.patients.copy()
    moved[6] = "someone-else"
    with pytest.raises(UsageError, match="1 of 120 rows, first in row 7"):
        compare(first, other(first, patients=moved))
    with pytest.raises(UsageError, match="120 of 120 rows, first in row 1") as refused:
        compare(first, other(first, reference=first.reference[:, ::-1]))
    assert "\n" not in str(refused.value)
    with pytest.raises(UsageError, match="120 and 60"):
        compare(first, some_binary(n=60))
    with pytest.raises(UsageError, match="other labels"):
        compare(first, some_labels(n=120))
    names = [str(i) for i in range(120)]
    with pytest.raises(UsageError, match="first in row 1"):
        compare_predictions(first, first, half(first), half(first), FAST, cases=(names, names[::-1]))
    with pytest.raises(UsageError, match="two classifiers"):
        compare_several([("a", first, half(first))])


def test_no_case_at_all() -> None:
    assert {one.p_value for one in compare(binary([], []), binary([], [])).differences} == {None}
