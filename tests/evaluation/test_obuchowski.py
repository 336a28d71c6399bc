"""Obuchowski's variance: DeLong's without clusters, the paper's sums with them, pROC's tests of differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcls.errors import UsageError
from medcls.evaluation import (
    Method,
    PatientResampling,
    RocStatistic,
    Undefined,
    analytic_auc,
    auc,
    auc_difference,
    delong,
    delong_covariance,
    obuchowski,
    obuchowski_covariance,
    obuchowski_variance,
)

seeds = st.integers(0, 10_000)


def cohort(seed: int, n_patients: int = 20, mixed: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Patients with one to four cases each, their reference, and two scores with ties."""
    generator = np.random.default_rng(seed)
    owner = np.repeat(np.arange(n_patients), generator.integers(1, 5, size=n_patients))
    positive = generator.random(owner.size) < 0.4 if mixed else owner % 2 == 0
    positive[owner < 2], positive[owner >= n_patients - 2] = True, False
    shared = generator.normal(size=(n_patients, 2))[owner]
    return owner, positive, np.round(shared + generator.normal(size=(owner.size, 2)) + positive[:, None], 1)


def alone(seed: int, n: int = 30) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    positive = np.arange(n) % 3 == 0
    return positive, np.round(generator.normal(size=(n, 3)) + positive[:, None], 1)


@settings(deadline=None)
@given(seeds)
def test_with_one_case_a_patient_it_is_delongs(seed: int) -> None:
    positive, scores = alone(seed)
    patients = np.random.default_rng(seed).permutation(positive.size)
    clustered = obuchowski_covariance(positive, scores, patients)
    np.testing.assert_allclose(clustered, delong_covariance(positive, scores), rtol=1e-10, atol=1e-15)  # type: ignore[arg-type]
    assert analytic_auc(positive, scores[:, 0], patients) == delong(positive, scores[:, 0])


@settings(deadline=None)
@given(seeds, st.booleans())
def test_it_is_the_papers_sums_patient_by_patient(seed: int, mixed: bool) -> None:
    owner, positive, scores = cohort(seed, mixed=mixed)
    scores = scores[:, 0]
    ups, downs = scores[positive], scores[~positive]
    m, n, area = len(ups), len(downs), auc(positive, scores)
    s10 = s01 = s11 = 0.0
    for patient in np.unique(owner):
        own_ups, own_downs = scores[positive & (owner == patient)], scores[~positive & (owner == patient)]
        x = sum(np.mean((up > downs) + 0.5 * (up == downs)) for up in own_ups) - len(own_ups) * area
        y = sum(np.mean((ups > down) + 0.5 * (ups == down)) for down in own_downs) - len(own_downs) * area
        s10, s01, s11 = s10 + x * x, s01 + y * y, s11 + x * y
    i10, i01, i = (np.unique(owner[chosen]).size for chosen in (positive, ~positive, slice(None)))
    expected = i10 / ((i10 - 1) * m) * s10 / m + i01 / ((i01 - 1) * n) * s01 / n + 2 / (m * n) * i / (i - 1) * s11
    assert obuchowski_variance(positive, scores, owner) == pytest.approx(expected, rel=1e-9)


@settings(deadline=None)
@given(seeds)
def test_copies_of_a_patients_cases_make_nothing_surer(seed: int) -> None:
    owner, positive, scores = cohort(seed)
    order = np.repeat(np.arange(owner.size), 6)
    once, copies = (
        obuchowski_covariance(positive[chosen], scores[chosen], owner[chosen]) for chosen in (slice(None), order)
    )
    np.testing.assert_allclose(copies, once, rtol=1e-9)  # type: ignore[arg-type]
    naive, copied = (delong_covariance(positive[chosen], scores[chosen]) for chosen in (slice(None), order))
    assert isinstance(naive, np.ndarray)
    assert isinstance(copied, np.ndarray)
    assert copied[0, 0] < naive[0, 0] / 2  # which counts every copy as news


def test_it_agrees_with_the_bootstrap_by_patient() -> None:
    owner, positive, scores = cohort(3, n_patients=200)
    resampling = PatientResampling.of(owner, positive)
    drawn = resampling.replicate(
        [RocStatistic(resampling, positive, scores[:, 0], np.empty(0))], replicates=2000, seed=0
    )
    deviation = obuchowski_variance(positive, scores[:, 0], owner) ** 0.5  # type: ignore[operator]
    # Strata keep the mix of patients, which the formula lets vary: the bootstrap may be a little narrower.
    assert np.std(drawn[0]) == pytest.approx(deviation, rel=0.1)
    assert obuchowski(positive, scores[:, 0], owner).method == Method.OBUCHOWSKI
    assert analytic_auc(positive, scores[:, 0], owner) == obuchowski(positive, scores[:, 0], owner)


@pytest.mark.parametrize(
    ("other", "z", "p_value"), [("s100b", 2.208983591441, 0.027175782229), ("ndka", 2.797775918689, 0.005145579707)]
)
def test_differences_of_asah_are_procs(asah: dict[str, np.ndarray], other: str, z: float, p_value: float) -> None:
    result = auc_difference(asah["poor"], asah["wfns"], asah[other])
    assert (result.z, result.p_value) == (pytest.approx(z, rel=1e-9), pytest.approx(p_value, rel=1e-9))
    assert result.difference.value == auc(asah["poor"], asah["wfns"]) - auc(asah["poor"], asah[other])  # type: ignore[operator]
    assert result.difference.method == Method.DELONG
    assert result.difference.low > 0  # type: ignore[operator]
    turned = auc_difference(asah["poor"], asah[other], asah["wfns"])
    assert (turned.z, turned.p_value) == (-result.z, result.p_value)  # type: ignore[operator]


def test_a_difference_in_clusters_is_less_sure_than_by_case() -> None:
    owner, positive, scores = cohort(5, n_patients=60)
    first, second = scores.T
    clustered, naive = auc_difference(positive, first, second, owner), auc_difference(positive, first, second)
    assert clustered.difference.value == naive.difference.value
    assert clustered.difference.method == Method.OBUCHOWSKI
    order = np.repeat(np.arange(owner.size), 4)
    copies = auc_difference(positive[order], first[order], second[order], owner[order])
    assert copies.p_value == pytest.approx(clustered.p_value, rel=1e-6)


def test_what_has_no_variance_says_so() -> None:
    positive = np.repeat([True, False], 10)
    owner = np.arange(20) // 2
    perfect = obuchowski(positive, positive.astype(float), owner)
    assert (perfect.value, perfect.high, perfect.method) == (1.0, 1.0, Method.DISJOINT_PAIRS)
    assert perfect.low == pytest.approx(0.025 ** (1 / 5))  # five pairs of patients, not ten of cases
    same = auc_difference(positive, positive.astype(float), 2.0 * positive, owner)
    assert (same.z, same.p_value, same.difference.low) == (None, None, -1.0)
    assert "no variance" in str(same.difference.reason)
    assert isinstance(obuchowski_variance(positive, owner.astype(float), np.where(positive, 0, owner)), Undefined)
    assert obuchowski([True, True], [0.1, 0.2], ["p", "q"]).reason == "every case has the label"
    assert auc_difference([True, True], [0.1, 0.2], [0.1, 0.2]).difference.value is None


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError):
        obuchowski_covariance([True, False], [[0.1], [0.2]], ["p"])
    with pytest.raises(UsageError):
        auc_difference([True, False], [0.1, 0.2], [0.1])
