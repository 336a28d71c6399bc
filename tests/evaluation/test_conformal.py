"""Conformal sets: they hold what they guarantee on simulated patients, and say so where they cannot."""

from __future__ import annotations

import json
import math
import re

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcls.config.settings import EvaluationSettings
from medcls.errors import ClassifierError, UsageError
from medcls.evaluation import Conformal, Method, Predictions, conformal_metrics, conformal_schema, fit_conformal
from tests.factories.predictions import ESTIMATE_SCHEMA, binary, some_binary, some_labels, some_multilabel

FAST = EvaluationSettings(replicates=200)
VALIDATOR = jsonschema.Draft202012Validator({**conformal_schema(), "$defs": {"estimate": ESTIMATE_SCHEMA}})


def patients(generator: np.random.Generator, n: int, cases: int, middle: float = 0.7) -> Predictions:
    """Patients with strongly alike cases of one label, and probabilities that are far too sure."""
    label = generator.random(n) < 0.3
    feature = np.repeat(generator.normal(size=n) + 1.5 * label, cases) + 0.3 * generator.normal(size=n * cases)
    scores = 1 / (1 + np.exp(-4.0 * (feature - middle)))
    return binary(np.repeat(label, cases), scores, np.repeat(np.arange(n), cases))


def one_case_each(predictions: Predictions, generator: np.random.Generator, cases: int) -> np.ndarray:
    return np.arange(0, predictions.n_cases, cases) + generator.integers(0, cases, predictions.n_cases // cases)


@pytest.mark.parametrize("cases", [1, 5])
@pytest.mark.parametrize("unit", ["case", "patient"])
def test_the_guarantee_holds_on_average_for_every_label(cases: int, unit: str) -> None:
    generator = np.random.default_rng(3)
    held: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(80):
        conformal = fit_conformal(patients(generator, 60, cases), alpha=0.2, unit=unit)  # type: ignore[arg-type]
        new = patients(generator, 200, cases)
        right = (conformal.sets(new.probabilities) & new.reference).any(axis=1)
        rows = one_case_each(new, generator, cases)
        if unit == "patient":
            right, rows = right.reshape(-1, cases).all(axis=1).repeat(cases), rows // cases * cases
        for label in held:
            held[label].append(float(right[rows][new.reference[rows, 1] == label].mean()))
    for label, shares in held.items():
        # At least 0.8, and not much more than 0.8 + 1 / (n + 1): the sets are not simply large. 4 standard errors.
        slack = 4 * np.std(shares) / math.sqrt(len(shares))
        n = 18 if label else 42
        assert 0.8 - slack <= np.mean(shares) <= 0.8 + 1 / n + (0.12 if unit == "case" and cases > 1 else 0.02) + slack


def test_marginal_sets_cover_over_all_but_not_each_label() -> None:
    generator = np.random.default_rng(5)
    tune, new = (patients(generator, 3000, 1, middle=1.5) for _ in range(2))
    marginal = conformal_metrics(fit_conformal(tune, alpha=0.1, guarantee="marginal"), new, FAST)
    each = conformal_metrics(fit_conformal(tune, alpha=0.1), new, FAST)
    assert marginal.coverage.value == pytest.approx(0.9, abs=0.025)
    assert marginal.per_label["sick"].value < 0.85  # the label that is missed pays  # type: ignore[operator]
    assert each.per_label["sick"].value == pytest.approx(0.9, abs=0.04)
    assert each.per_label["well"].value == pytest.approx(0.9, abs=0.03)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.sampled_from([0.05, 0.1, 0.2, 0.5]))
def test_the_limit_is_the_finite_sample_quantile(levels: list[int], alpha: float) -> None:
    scores = np.asarray(levels) / 20
    limit = fit_conformal(binary([True] * len(scores), scores), alpha=alpha).limits[1]
    rank = math.ceil((len(scores) + 1) * (1 - alpha) - 1e-9)
    if rank > len(scores):
        assert limit.least_probability == 0
        assert limit.reason is not None
    else:
        assert 1 - limit.least_probability == pytest.approx(np.sort(1 - scores)[rank - 1])
        assert limit.reason is None


def test_too_few_patients_put_every_label_into_every_set_and_say_so() -> None:
    # 80 cases, but 8 patients: what counts is the patients.
    tune = binary([True] * 40 + [False] * 40, np.linspace(0, 1, 80), np.arange(80) // 10)
    conformal = fit_conformal(tune, alpha=0.1)
    assert conformal.sets(tune.probabilities).all()
    assert "4 patients are fewer than the 9" in str(conformal.limits[0].reason)
    assert fit_conformal(tune, alpha=0.1, guarantee="marginal").limits[0].reason is not None
    assert fit_conformal(tune, alpha=0.2, guarantee="marginal").limits[0].reason is None


def test_repeating_a_patients_cases_changes_nothing() -> None:
    once = some_binary(n=60)
    rows = np.repeat(np.arange(60), np.arange(60) % 4 + 1)
    again = Predictions(
        once.labels, once.positive, False, once.probabilities[rows], once.reference[rows], once.patients[rows]
    )
    for guarantee in ("marginal", "class-conditional"):
        first, second = (fit_conformal(one, guarantee=guarantee) for one in (once, again))  # type: ignore[arg-type]
        assert first.limits == second.limits
        estimates = [conformal_metrics(first, one, FAST) for one in (once, again)]
        assert estimates[0].coverage == estimates[1].coverage
        assert estimates[0].single == estimates[1].single


def test_the_guarantee_about_a_whole_patient_is_stricter() -> None:
    tune = patients(np.random.default_rng(0), 80, 6)
    each, whole = (fit_conformal(tune, unit=unit) for unit in ("case", "patient"))  # type: ignore[arg-type]
    assert all(a.least_probability >= b.least_probability for a, b in zip(each.limits, whole.limits, strict=True))
    assert (each.sets(tune.probabilities) <= whole.sets(tune.probabilities)).all()


@pytest.mark.parametrize("guarantee", ["marginal", "class-conditional"])
@pytest.mark.parametrize(
    "predictions", [some_labels(), some_labels(labels=("a", "b", "c", "never")), some_multilabel(), binary([], [])]
)
def test_every_kind_of_labels_gives_valid_json_and_comes_back(predictions: Predictions, guarantee: str) -> None:
    conformal = fit_conformal(predictions, guarantee=guarantee)  # type: ignore[arg-type]
    assert Conformal.from_json(json.loads(json.dumps(conformal.to_json()))) == conformal
    estimates = conformal_metrics(conformal, predictions, FAST)
    VALIDATOR.validate(json.loads(json.dumps(estimates.to_json(), allow_nan=False)))
    shares = [estimates.empty.value, estimates.single.value, estimates.several.value]
    assert None in shares or sum(shares) == pytest.approx(1)  # type: ignore[arg-type]


def test_a_label_without_cases_is_in_every_set() -> None:
    tune = some_labels(labels=("a", "b", "c", "never"))
    assert fit_conformal(tune).sets(tune.probabilities)[:, 3].all()


def test_multilabel_marginal_sets_hold_all_labels_of_a_case() -> None:
    tune = some_multilabel(n=400)
    sets = fit_conformal(tune, guarantee="marginal", alpha=0.2, unit="patient").sets(tune.probabilities)
    held = (sets | ~tune.reference).all(axis=1).reshape(-1, 2).all(axis=1)
    assert 0.8 <= held.mean() < 0.83


def test_one_case_a_patient_gets_wilsons_interval() -> None:
    estimates = conformal_metrics(fit_conformal(some_binary(1)), some_binary(2), FAST)
    assert estimates.coverage.method == Method.WILSON
    assert estimates.mean_size.method == Method.PATIENT_BOOTSTRAP


@pytest.mark.parametrize("change", [{"alpha": 1.5}, {"limits": []}, {"guarantee": "hope"}, {"method": "x"}])
def test_damaged_sets_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ClassifierError):
        Conformal.from_json({**fit_conformal(some_binary()).to_json(), **change})


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(UsageError, match="alpha"):
        fit_conformal(some_binary(), alpha=1.0)
    with pytest.raises(UsageError, match="unit"):
        fit_conformal(some_binary(), unit="slice")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="other labels"):
        conformal_metrics(fit_conformal(some_binary()), some_labels())


def test_sets_from_a_handful_of_patients_promise_nothing() -> None:
    few, many = (fit_conformal(some_binary(n=n)) for n in (12, 1200))
    assert few.statement.startswith("The sets say nothing: every label is in every one of them, because")
    assert "at least 0.9" not in few.statement
    assert "at least 0.9" in many.statement


def test_the_spread_of_the_coverage_is_that_of_a_simulation() -> None:
    n, alpha = 60, 0.1
    generator = np.random.default_rng(0)
    draws = np.sort(generator.random((4000, n)), axis=1)
    held = 1 - draws[:, int((n + 1) * alpha + 1e-9) - 1]  # uniform scores: what a new one has above the limit
    low, high = np.quantile(held, [0.025, 0.975])
    sets = fit_conformal(some_binary(n=n), alpha=alpha, guarantee="marginal")
    said = [float(share) / 100 for share in re.findall(r"(\d+) to (\d+) %", sets.statement)[0]]
    assert said == pytest.approx([low, high], abs=0.015)
    few = fit_conformal(some_binary(n=27), alpha=alpha, guarantee="class-conditional")
    assert "66 to 100 %" in few.statement
