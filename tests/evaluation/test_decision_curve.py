"""Decision curves: net benefit against the formula by hand, dcurves where it is installed, and what must always hold."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation import decision_curve, decision_curve_schema

FAST = EvaluationSettings(replicates=200)
VALIDATOR = jsonschema.Draft202012Validator(decision_curve_schema())


def cohort(seed: int = 0, n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A calibrated cohort: each case has the label with its own probability."""
    generator = np.random.default_rng(seed)
    probabilities = generator.beta(0.6, 1.4, n)
    return generator.random(n) < probabilities, probabilities, np.arange(n)


def by_hand(positive: np.ndarray, probabilities: np.ndarray, t: float) -> float:
    called = probabilities >= t
    n = positive.size
    return (called & positive).sum() / n - (called & ~positive).sum() / n * t / (1 - t)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 1000), st.integers(4, 60), st.integers(1, 4))
def test_net_benefit_by_hand(seed: int, n: int, images: int) -> None:
    generator = np.random.default_rng(seed)
    positive = generator.random(n) < 0.4
    positive[:2] = True, False
    probabilities = generator.integers(0, 21, n) / 20  # ties, and probabilities at the thresholds themselves
    curve = decision_curve(positive, probabilities, np.arange(n) // images, settings=FAST)
    assert curve.net_benefit is not None
    assert curve.treat_all is not None
    expected = [by_hand(positive, probabilities, t) for t in curve.thresholds]
    assert curve.net_benefit == pytest.approx(expected, abs=1e-12)
    assert curve.treat_all == pytest.approx([by_hand(positive, np.ones(n), t) for t in curve.thresholds], abs=1e-12)
    if curve.low is not None and curve.high is not None:
        assert (curve.low <= curve.net_benefit).all()
        assert (curve.net_benefit <= curve.high).all()
    VALIDATOR.validate(json.loads(json.dumps(curve.to_json(), allow_nan=False)))


@pytest.mark.parametrize("prevalence", [None, 0.05])
def test_as_dcurves(prevalence: float | None) -> None:
    dcurves = pytest.importorskip("dcurves")
    pandas = pytest.importorskip("pandas")
    positive, probabilities, patients = cohort()
    # dcurves calls above the threshold, not at it: keep probabilities off the thresholds.
    curve = decision_curve(positive, probabilities, patients, prevalence=prevalence, settings=FAST)
    frame = pandas.DataFrame({"y": positive.astype(int), "p": probabilities})
    table = dcurves.dca(
        data=frame, outcome="y", modelnames=["p"], thresholds=curve.thresholds, prevalence=prevalence
    ).set_index("model")
    assert curve.net_benefit == pytest.approx(table.loc["p", "net_benefit"].to_numpy(), abs=1e-9)
    assert curve.treat_all == pytest.approx(table.loc["all", "net_benefit"].to_numpy(), abs=1e-9)


def test_the_samples_prevalence_stated_changes_nothing() -> None:
    positive, probabilities, patients = cohort()
    own = decision_curve(positive, probabilities, patients, settings=FAST)
    stated = decision_curve(positive, probabilities, patients, prevalence=float(positive.mean()), settings=FAST)
    assert stated.net_benefit == pytest.approx(own.net_benefit)
    assert stated.low == pytest.approx(own.low)
    assert (own.prevalence_stated, stated.prevalence_stated) == (False, True)


def test_a_stated_prevalence_undoes_sampling_by_design() -> None:
    # Thrice as many of the negative cases, then the prevalence stated as it was: the same curve.
    positive, probabilities, _ = cohort()
    rows = np.concatenate((np.arange(positive.size), np.repeat(np.flatnonzero(~positive), 2)))
    whole = decision_curve(positive, probabilities, np.arange(positive.size), settings=FAST)
    thinned = decision_curve(
        positive[rows], probabilities[rows], np.arange(rows.size), prevalence=float(positive.mean()), settings=FAST
    )
    assert thinned.net_benefit == pytest.approx(whole.net_benefit)


def test_who_knows_nothing_is_never_useful_and_who_knows_all_always() -> None:
    positive, probabilities, patients = cohort()
    know_nothing = decision_curve(positive, np.full(positive.size, positive.mean()), patients, settings=FAST)
    assert know_nothing.useful == ()
    know_all = decision_curve(positive, positive.astype(float), patients, settings=FAST)
    assert know_all.net_benefit == pytest.approx(np.full(99, positive.mean()))
    assert know_all.useful == ((0.01, 0.99),)
    assert "no width" in str(know_all.reason)
    model = decision_curve(positive, probabilities, patients, settings=FAST)
    assert any(low <= 0.3 <= high for low, high in model.useful)


def test_the_band_is_that_of_independent_binomials() -> None:
    positive, probabilities, patients = cohort(n=600)
    curve = decision_curve(
        positive, probabilities, patients, thresholds=[0.3], settings=EvaluationSettings(replicates=4000)
    )
    generator = np.random.default_rng(1)
    called, p = probabilities >= 0.3, positive.mean()
    tpr = generator.binomial(positive.sum(), called[positive].mean(), 100_000) / positive.sum()
    fpr = generator.binomial((~positive).sum(), called[~positive].mean(), 100_000) / (~positive).sum()
    low, high = np.quantile(tpr * p - fpr * (1 - p) * 0.3 / 0.7, [0.025, 0.975])
    assert curve.low == pytest.approx([low], abs=0.004)
    assert curve.high == pytest.approx([high], abs=0.004)


def test_images_of_a_patient_do_not_narrow_the_band() -> None:
    positive, probabilities, patients = cohort()
    once = decision_curve(positive, probabilities, patients, settings=FAST)
    tenfold = decision_curve(*(np.repeat(one, 10) for one in (positive, probabilities, patients)), settings=FAST)
    assert tenfold.low == pytest.approx(once.low)


def test_no_curve_and_no_band_say_why() -> None:
    one_class = decision_curve([True] * 5, [0.5] * 5, range(5), settings=FAST)
    assert (one_class.net_benefit, one_class.reason) == (None, "every case has the label")
    VALIDATOR.validate(json.loads(json.dumps(one_class.to_json(), allow_nan=False)))
    few = decision_curve([True, True, False, False], [0.9, 0.4, 0.5, 0.1], range(4), settings=FAST)
    assert few.net_benefit is not None
    assert few.low is None
    assert "too few patients" in str(few.reason)


@pytest.mark.parametrize("wrong", [{"thresholds": [0.0, 0.5]}, {"thresholds": []}, {"prevalence": 1.0}])
def test_what_has_no_meaning_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        decision_curve([True, False], [0.5, 0.2], range(2), settings=FAST, **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="probabilities"):
        decision_curve([True, False], [1.5, 0.2], range(2), settings=FAST)
