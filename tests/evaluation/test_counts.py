"""Confusion matrix, rates and Brier's score, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from medcls.errors import UsageError
from medcls.evaluation import RATE_NAMES, Counts, Undefined, brier, confusion_matrix

decided_cases = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30)
label_pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


def one_hot(labels: np.ndarray | list[int], n: int) -> np.ndarray:
    return np.asarray(labels)[:, None] == np.arange(n)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@settings(deadline=None)
@given(decided_cases)
def test_rates_are_scikit_learns_where_they_are_defined(cases: list[tuple[bool, bool]]) -> None:
    positive, called = (np.array(column) for column in zip(*cases, strict=True))
    counts = Counts.of(positive, called)
    expected = {
        "sensitivity": lambda: oracle.recall_score(positive, called),
        "specificity": lambda: oracle.recall_score(~positive, ~called),
        "accuracy": lambda: oracle.accuracy_score(positive, called),
        "balanced_accuracy": lambda: oracle.balanced_accuracy_score(positive, called),
        "ppv": lambda: oracle.precision_score(positive, called),
        "npv": lambda: oracle.precision_score(~positive, ~called),
        "f1": lambda: oracle.f1_score(positive, called),
        "mcc": lambda: oracle.matthews_corrcoef(positive, called),
        "lr_positive": lambda: oracle.class_likelihood_ratios(positive, called)[0],
        "lr_negative": lambda: oracle.class_likelihood_ratios(positive, called)[1],
    }
    assert set(expected) == set(RATE_NAMES)
    for name, compute in expected.items():
        value = counts.metric(name)
        if not isinstance(value, Undefined):
            assert value == pytest.approx(compute(), abs=1e-12), name


def test_rates_by_hand() -> None:
    counts = Counts(tp=26, fp=14, fn=15, tn=58)
    assert counts.metric("sensitivity") == 26 / 41
    assert counts.metric("specificity") == 58 / 72
    assert counts.metric("accuracy") == 84 / 113
    assert counts.metric("ppv") == 26 / 40
    assert counts.metric("npv") == 58 / 73
    assert counts.metric("f1") == 52 / 81
    assert counts.metric("balanced_accuracy") == pytest.approx((26 / 41 + 58 / 72) / 2)
    assert counts.metric("mcc") == pytest.approx((26 * 58 - 14 * 15) / (40 * 41 * 72 * 73) ** 0.5)
    assert counts.metric("lr_positive") == pytest.approx((26 / 41) / (14 / 72))
    assert counts.metric("lr_negative") == pytest.approx((15 / 41) / (58 / 72))


@pytest.mark.parametrize(
    ("counts", "undefined", "reason"),
    [
        (Counts(0, 0, 0, 0), set(RATE_NAMES), "there are no cases"),
        (Counts(0, 2, 0, 3), set(RATE_NAMES) - {"specificity", "accuracy"}, "no case has the label"),
        (Counts(2, 0, 3, 0), set(RATE_NAMES) - {"sensitivity", "accuracy", "f1"}, "every case has the label"),
        (Counts(0, 0, 3, 2), {"ppv", "mcc", "lr_positive"}, "no case is predicted positive"),
        (Counts(3, 2, 0, 0), {"npv", "mcc", "lr_negative"}, "every case is predicted positive"),
        (Counts(3, 0, 1, 2), {"lr_positive"}, "there is no false positive: the ratio is infinite"),
        (Counts(3, 2, 1, 0), {"lr_negative"}, "there is no true negative: the ratio is infinite"),
    ],
)
def test_undefined_rates_say_why_and_are_never_zero(counts: Counts, undefined: set[str], reason: str) -> None:
    values = {name: counts.metric(name) for name in RATE_NAMES}
    assert {name for name, value in values.items() if isinstance(value, Undefined)} == undefined
    assert {value.reason for value in values.values() if isinstance(value, Undefined)} == {reason}


def test_f1_is_zero_when_no_case_with_the_label_is_called() -> None:
    assert Counts(tp=0, fp=0, fn=3, tn=2).metric("f1") == 0.0


def test_unknown_rate_is_refused() -> None:
    with pytest.raises(UsageError, match="sensitivity"):
        Counts(1, 1, 1, 1).metric("recall")


@settings(deadline=None)
@given(label_pairs)
def test_confusion_matrix_is_scikit_learns_and_keeps_absent_labels(pairs: list[tuple[int, int]]) -> None:
    reference, predicted = zip(*pairs, strict=True)
    matrix = confusion_matrix(one_hot(reference, 4), one_hot(predicted, 4))
    np.testing.assert_array_equal(matrix, oracle.confusion_matrix(reference, predicted, labels=range(4)))


def test_confusion_matrix_has_reference_in_rows() -> None:
    matrix = confusion_matrix(one_hot([0, 0, 1], 3), one_hot([1, 1, 1], 3))
    assert matrix.tolist() == [[0, 2, 0], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("reference", "predicted"), [([[1, 1]], [[1, 0]]), ([[1, 0]], [[0, 0]]), ([[1, 0]], [[1, 0], [0, 1]])]
)
def test_confusion_matrix_needs_one_label_a_case(reference: list[list[int]], predicted: list[list[int]]) -> None:
    with pytest.raises(UsageError):
        confusion_matrix(reference, predicted)


def test_binary_brier_is_the_mean_and_several_labels_are_summed() -> None:
    assert brier([1, 0], [0.8, 0.6]) == pytest.approx(0.2)
    assert brier([[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]]) == pytest.approx(0.4)
    assert brier([[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]], multilabel=True) == pytest.approx(0.2)


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_brier_is_scikit_learns(seed: int) -> None:
    generator = np.random.default_rng(seed)
    label = np.concatenate(([0, 1, 2], generator.integers(0, 3, size=10)))
    probabilities = generator.dirichlet(np.ones(3), size=13)
    assert brier(one_hot(label, 3), probabilities) == pytest.approx(oracle.brier_score_loss(label, probabilities))
    expected = oracle.brier_score_loss(label == 1, probabilities[:, 1])
    assert brier(label == 1, probabilities[:, 1]) == pytest.approx(expected)


def test_brier_is_undefined_without_cases_and_refuses_logits() -> None:
    assert isinstance(brier([], []), Undefined)
    with pytest.raises(UsageError, match="between 0 and 1"):
        brier([True], [3.2])
    with pytest.raises(UsageError):
        brier([True, False], [0.1])
