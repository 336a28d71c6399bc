"""Predictive values at stated prevalences: Bayes' theorem, and the 2x2 table where the prevalence is the sample's."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation import Counts, Method, Undefined, predictive_values, predictive_values_schema
from tests.factories.predictions import ESTIMATE_SCHEMA

FAST = EvaluationSettings(replicates=200)
VALIDATOR = jsonschema.Draft202012Validator({**predictive_values_schema(), "$defs": {"estimate": ESTIMATE_SCHEMA}})
cells = st.tuples(*[st.integers(0, 40)] * 4)
NAMES = ("ppv", "npv", "number_needed_to_read", "calls_per_1000", "missed_per_1000")


def table(tp: int, fp: int, fn: int, tn: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reference, decisions and patients of a 2x2 table, one case for each patient."""
    positive = np.repeat([True, False, True, False], [tp, fp, fn, tn])
    called = np.repeat([True, True, False, False], [tp, fp, fn, tn])
    return positive, called, np.arange(positive.size)


@settings(deadline=None, max_examples=80)
@given(cells)
def test_at_the_samples_prevalence_they_are_the_tables(counts: tuple[int, int, int, int]) -> None:
    tp, fp, fn, tn = counts
    assume(tp + fn and fp + tn)
    n = sum(counts)
    (values,) = predictive_values(*table(*counts), [(tp + fn) / n], FAST)
    for name in ("ppv", "npv"):
        expected, found = Counts(*counts).metric(name), getattr(values, name)
        if isinstance(expected, Undefined):
            assert found.value is None
            assert found.reason == expected.reason
        else:
            assert found.value == pytest.approx(expected, abs=1e-12)
    assert values.calls_per_1000.value == pytest.approx(1000 * (tp + fp) / n)
    assert values.missed_per_1000.value == pytest.approx(1000 * fn / n)
    VALIDATOR.validate(json.loads(json.dumps(values.to_json(), allow_nan=False)))


def test_by_hand() -> None:
    # Se 0.9, Sp 0.8: of 1,000 with 10 ill, 9 + 198 are called.
    (rare,) = predictive_values(*table(90, 20, 10, 80), [0.01], FAST)
    assert rare.ppv.value == pytest.approx(9 / 207)
    assert rare.npv.value == pytest.approx(792 / 793)
    assert rare.number_needed_to_read.value == pytest.approx(23)
    assert rare.calls_per_1000.value == pytest.approx(207)
    assert rare.missed_per_1000.value == pytest.approx(1)
    assert rare.number_needed_to_read.low == pytest.approx(1 / rare.ppv.high)  # type: ignore[operator]
    assert rare.ppv.method == Method.PATIENT_BOOTSTRAP


def test_a_call_means_more_where_the_disease_is_common() -> None:
    values = predictive_values(*table(30, 10, 10, 50), [0.01, 0.1, 0.3, 0.9], FAST)
    ppv, npv = ([getattr(one, name).value for one in values] for name in ("ppv", "npv"))
    assert ppv == sorted(ppv)
    assert npv == sorted(npv, reverse=True)


def test_the_interval_is_that_of_independent_binomials() -> None:
    # An oracle without patients: sensitivity and specificity drawn as binomial shares.
    generator = np.random.default_rng(0)
    se, sp = generator.binomial(100, 0.7, 200_000) / 100, generator.binomial(300, 0.9, 200_000) / 300
    low, high = np.quantile(se * 0.05 / (se * 0.05 + (1 - sp) * 0.95), [0.025, 0.975])
    (values,) = predictive_values(*table(70, 30, 30, 270), [0.05], EvaluationSettings(replicates=4000))
    assert values.ppv.low == pytest.approx(low, abs=0.01)
    assert values.ppv.high == pytest.approx(high, abs=0.015)


def test_ten_alike_cases_of_a_patient_are_no_more_than_one() -> None:
    positive, called, patients = table(30, 10, 10, 50)
    (once,) = predictive_values(positive, called, patients, [0.1], FAST, seed=1)
    (tenfold,) = predictive_values(*(np.repeat(one, 10) for one in (positive, called, patients)), [0.1], FAST, seed=1)
    for name in NAMES:
        one, ten = getattr(once, name), getattr(tenfold, name)
        assert (ten.low, ten.high) == pytest.approx((one.low, one.high))


def test_no_false_positive_does_not_mean_that_there_are_none() -> None:
    (values,) = predictive_values(*table(20, 0, 10, 30), [0.01], FAST)
    assert values.ppv.value == 1
    assert values.ppv.method == Method.BONFERRONI
    assert values.ppv.low < 0.1  # type: ignore[operator]
    assert values.calls_per_1000.high > 50  # type: ignore[operator]
    assert "conservative" in str(values.ppv.reason)


def test_what_is_undefined_says_why() -> None:
    (nobody,) = predictive_values(*table(0, 0, 10, 30), [0.1], FAST)
    assert nobody.ppv.reason == "no case is predicted positive"
    assert nobody.number_needed_to_read.reason == "no case is predicted positive"
    assert nobody.missed_per_1000.value == pytest.approx(100)
    (wrong,) = predictive_values(*table(0, 5, 10, 25), [0.1], FAST)
    assert wrong.ppv.value == 0
    assert wrong.number_needed_to_read.reason == "no positive prediction is right"
    (unknown,) = predictive_values(*table(0, 5, 0, 25), [0.1], FAST)
    assert {getattr(unknown, name).reason for name in NAMES} == {"no case has the label"}


@pytest.mark.parametrize("prevalence", [0.0, 1.0, 5.0, -0.1])
def test_what_is_no_prevalence_is_refused(prevalence: float) -> None:
    with pytest.raises(UsageError, match="prevalence"):
        predictive_values(*table(5, 5, 5, 5), [prevalence], FAST)
