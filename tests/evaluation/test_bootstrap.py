"""The vectorised bootstrap by patient: equal to a plain loop, stratified, repeatable, and honest about clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcls.errors import UsageError
from medcls.evaluation import (
    Counts,
    PatientResampling,
    RankingStatistic,
    RocStatistic,
    Undefined,
    auc,
    average_precision,
    partial_auc,
    roc_curve,
)
from medcls.evaluation.metrics import RANKED
from medcls.evaluation.statistics import bootstrap
from medcls.evaluation.statistics.bootstrap import percentiles
from medcls.evaluation.thresholds.confusion import rates

NOTHING = np.empty(0)
RANKINGS = [row.drawn for row in RANKED.values()]


def cohort(seed: int, *, n_patients: int = 12, mixed: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Patients with one to four cases each, their reference, and scores with ties."""
    generator = np.random.default_rng(seed)
    owner = np.repeat(np.arange(n_patients), generator.integers(1, 5, size=n_patients))
    positive = generator.random(owner.size) < 0.4 if mixed else owner % 2 == 0
    positive[:2], positive[-2:] = True, False
    scores = np.round(generator.normal(size=owner.size) + positive, 1)
    return np.array([f"P{index:03d}" for index in owner]), positive, scores


def drawn_cases(resampling: PatientResampling, weights: np.ndarray) -> np.ndarray:
    """The indices of the cases that one replicate holds, each as often as its patient is drawn."""
    return np.repeat(np.arange(resampling.patient.size), weights[resampling.patient].astype(int))


@settings(deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_replicates_equal_a_plain_loop_with_the_same_weights(seed: int, mixed: bool) -> None:
    patients, positive, scores = cohort(seed, mixed=mixed)
    called = scores >= 0.5
    resampling = PatientResampling.of(patients, positive)
    grid = np.linspace(0, 1, 7)
    cells = np.stack([positive & called, ~positive & called, positive & ~called, ~positive & ~called], axis=1)
    statistics = [RankingStatistic(resampling, positive, scores, grid, RANKINGS), resampling.sums(cells.astype(float))]
    curves, sums = resampling.replicate(statistics, replicates=20, seed=seed)
    estimates = rates(*sums.T)
    weights = np.concatenate(list(resampling.weights(20, seed)))
    for row, replicate in enumerate(weights):
        cases = drawn_cases(resampling, replicate)
        expected = auc(positive[cases], scores[cases])
        if isinstance(expected, Undefined):
            assert np.isnan(curves[row]).all()
        else:
            assert curves[row, 0] == pytest.approx(expected, abs=1e-12)
            assert curves[row, 1] == pytest.approx(partial_auc(positive[cases], scores[cases]), abs=1e-12)
            assert curves[row, 2] == pytest.approx(average_precision(positive[cases], scores[cases]), abs=1e-12)
            curve = roc_curve(positive[cases], scores[cases])
            np.testing.assert_allclose(curves[row, 3:], np.interp(grid, curve.fpr, curve.tpr), atol=1e-9)  # type: ignore[union-attr]
        counts = Counts.of(positive[cases], called[cases])
        for name, values in estimates.items():
            value = counts.metric(name)
            assert np.isfinite(values[row]) == (not isinstance(value, Undefined))
            assert isinstance(value, Undefined) or values[row] == pytest.approx(value)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_every_replicate_keeps_the_number_of_patients_of_each_stratum(seed: int, mixed: bool) -> None:
    patients, positive, _ = cohort(seed, mixed=mixed)
    resampling = PatientResampling.of(patients, positive)
    assert sorted(np.concatenate(resampling.strata)) == list(range(resampling.n_patients))
    for weights in resampling.weights(30, seed):
        for stratum in resampling.strata:
            assert (weights[:, stratum].sum(axis=1) == stratum.size).all()


def test_patients_with_one_label_are_stratified_by_it() -> None:
    patients, positive, _ = cohort(3)
    resampling = PatientResampling.of(patients, positive)
    labels = [{bool(has) for has in positive[np.isin(resampling.patient, stratum)]} for stratum in resampling.strata]
    assert sorted(labels, key=str) == [{False}, {True}]


def test_a_patient_with_several_labels_belongs_to_the_rarest() -> None:
    patients = ["a", "a", "b", "c", "d", "e", "e"]
    reference = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]])
    resampling = PatientResampling.of(patients, reference)
    # Labels 0 and 1 have three patients each (the earlier counts as rarer), label 2 has one.
    assert sorted(stratum.tolist() for stratum in resampling.strata) == [[0, 1, 2], [3], [4]]


def test_patients_without_any_label_are_a_stratum() -> None:
    resampling = PatientResampling.of(["a", "b", "c"], np.array([[1, 0], [0, 0], [0, 0]]))
    assert sorted(stratum.tolist() for stratum in resampling.strata) == [[0], [1, 2]]


def test_the_order_of_cases_and_the_size_of_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    patients, positive, scores = cohort(5)

    def replicates(order: np.ndarray) -> np.ndarray:
        resampling = PatientResampling.of(patients[order], positive[order])
        statistic = RankingStatistic(resampling, positive[order], scores[order], NOTHING, RANKINGS)
        return resampling.replicate([statistic], replicates=50, seed=1)[0]

    straight = replicates(np.arange(positive.size))
    np.testing.assert_array_equal(replicates(np.random.default_rng(0).permutation(positive.size)), straight)
    monkeypatch.setattr(bootstrap, "_CHUNK", 1)
    np.testing.assert_array_equal(replicates(np.arange(positive.size)), straight)


def test_the_seed_decides() -> None:
    patients, positive, _ = cohort(5)
    resampling = PatientResampling.of(patients, positive)
    first, again, other = (np.concatenate(list(resampling.weights(10, seed))) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_thinned_curve_keeps_the_exact_auc_and_nearly_the_band() -> None:
    generator = np.random.default_rng(0)
    positive = generator.random(3000) < 0.4
    scores = generator.normal(size=3000) + positive
    resampling = PatientResampling.of(np.arange(3000), positive)
    grid = np.linspace(0, 1, 11)
    values = RocStatistic(resampling, positive, scores, grid)(np.ones((1, 3000)))[0]
    curve = roc_curve(positive, scores)
    assert values[0] == pytest.approx(auc(positive, scores), abs=1e-12)
    np.testing.assert_allclose(values[1:], np.interp(grid, curve.fpr, curve.tpr), atol=0.01)  # type: ignore[union-attr]


def test_arrays_of_different_length_are_refused() -> None:
    with pytest.raises(UsageError):
        PatientResampling.of(["a", "b"], [True])


def correlated_scores(
    generator: np.random.Generator, n_patients: int, images: int, icc: float
) -> tuple[np.ndarray, ...]:
    """Two labels of ``n_patients`` each, scores of a patient's images correlated by ``icc``, AUC Phi(1.2 / sqrt 2)."""
    patients = np.repeat(np.arange(2 * n_patients), images)
    positive = patients < n_patients
    shared = np.repeat(generator.normal(size=2 * n_patients), images)
    own = generator.normal(size=patients.size)
    return patients, positive, 1.2 * positive + np.sqrt(icc) * shared + np.sqrt(1 - icc) * own


@pytest.mark.slow
def test_clusters_are_covered_by_patient_and_not_by_image() -> None:
    """40 patients a label, five strongly correlated images each: 95 % must mean about 95 %."""
    generator = np.random.default_rng(20)
    true_auc, true_sensitivity = 0.80193, 0.72575  # Phi(1.2 / sqrt 2); P(1.2 + Z >= 0.6) = Phi(0.6)
    covered = {"patient auc": 0, "image auc": 0, "patient sensitivity": 0}
    simulations = 300
    for seed in range(simulations):
        patients, positive, scores = correlated_scores(generator, 40, 5, 0.6)
        called = positive & (scores >= 0.6)
        for unit, owners in (("patient", patients), ("image", np.arange(patients.size))):
            resampling = PatientResampling.of(owners, positive)
            sums = resampling.sums(np.stack([called, positive], axis=1).astype(float))
            curves, counts = resampling.replicate(
                [RocStatistic(resampling, positive, scores, NOTHING), sums], replicates=500, seed=seed
            )
            low, high = percentiles(curves[:, 0], 0.95, 40)
            covered[f"{unit} auc"] += low <= true_auc <= high
            if unit == "patient":
                low, high = percentiles(counts[:, 0] / counts[:, 1], 0.95, 40)
                covered["patient sensitivity"] += low <= true_sensitivity <= high
    # With 300 simulations a coverage of 0.94 is measured within 0.90 and 0.98 (three standard errors).
    assert 0.90 <= covered["patient auc"] / simulations <= 0.98
    assert 0.90 <= covered["patient sensitivity"] / simulations <= 0.98
    assert covered["image auc"] / simulations <= 0.85
