"""Intervals with a formula, against published values, scikit-free exact sums, and themselves."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, norm, t

from medcls.errors import UsageError
from medcls.evaluation import Estimate, Method, Undefined, clopper_pearson, hoeffding, macro, wilson
from medcls.evaluation.statistics.intervals import auc_without_resampling, disjoint_pairs, expanded_tail, within_bounds

proportions = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("successes", "n", "limits"),
    [(26, 41, (0.48121, 0.76410)), (10, 10, (0.72247, 1)), (0, 10, (0, 0.27753)), (81, 263, (0.25529, 0.36621))],
)
def test_wilson_published(successes: int, n: int, limits: tuple[float, float]) -> None:
    assert wilson(successes, n) == pytest.approx(limits, abs=5e-6)


@pytest.mark.parametrize(
    ("successes", "n", "limits"), [(26, 41, (0.46936, 0.77877)), (10, 10, (0.69150, 1)), (0, 10, (0, 0.30850))]
)
def test_clopper_pearson_published(successes: int, n: int, limits: tuple[float, float]) -> None:
    assert clopper_pearson(successes, n) == pytest.approx(limits, abs=5e-6)


@settings(deadline=None)
@given(proportions, st.sampled_from([0.8, 0.95, 0.99]))
def test_both_are_scipys_and_hold_the_proportion(proportion: tuple[int, int], confidence: float) -> None:
    successes, n = proportion
    for interval, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        limits = interval(successes, n, confidence)
        expected = binomtest(successes, n).proportion_ci(confidence, method=method)
        assert limits == pytest.approx((expected.low, expected.high), abs=1e-9)
        assert 0 <= limits[0] <= successes / n <= limits[1] <= 1


def test_all_and_none_reach_the_end_exactly() -> None:
    for interval in (wilson, clopper_pearson):
        assert interval(7, 7)[1] == 1.0
        assert interval(0, 7)[0] == 0.0


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(1, 100))
def test_a_patient_as_one_trial_holds_the_proportion(share: float, n_patients: int) -> None:
    low, high = clopper_pearson(share * n_patients, n_patients)
    assert low <= share + 1e-12
    assert share <= high + 1e-12


@pytest.mark.parametrize("p", [0.02, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("n", [10, 40])
def test_exact_intervals_cover_at_least_what_they_say(p: float, n: int) -> None:
    for interval in (clopper_pearson, lambda k, n: hoeffding(k / n, n)):
        covered = [k for k in range(n + 1) if interval(k, n)[0] <= p <= interval(k, n)[1]]
        assert binom.pmf(covered, n, p).sum() >= 0.95


@pytest.mark.parametrize("call", [wilson, clopper_pearson])
@pytest.mark.parametrize(("successes", "n", "confidence"), [(1, 0, 0.95), (3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0)])
def test_what_is_no_proportion_is_refused(call: object, successes: int, n: int, confidence: float) -> None:
    with pytest.raises(UsageError):
        call(successes, n, confidence)  # type: ignore[operator]


def test_hoeffding_by_hand() -> None:
    half = math.sqrt(math.log(40) / 200)
    assert hoeffding(0.5, 100) == pytest.approx((0.5 - half, 0.5 + half))
    assert hoeffding(1.0, 100, span=2.0) == pytest.approx((1 - 2 * half, 1 + 2 * half))
    assert hoeffding(0.01, 100)[0] == 0.0
    with pytest.raises(UsageError):
        hoeffding(0.5, 0)


@pytest.mark.parametrize(
    ("only_positive", "only_negative", "both", "pairs"), [(3, 5, 0, 3), (0, 5, 2, 2), (0, 0, 5, 2), (1, 1, 1, 1)]
)
def test_disjoint_pairs(only_positive: int, only_negative: int, both: int, pairs: int) -> None:
    assert disjoint_pairs(only_positive, only_negative, both) == pairs


def test_perfect_separation_is_limited_by_its_pairs() -> None:
    assert auc_without_resampling(1.0, 10) == ((pytest.approx(0.025**0.1), 1.0), Method.DISJOINT_PAIRS)
    assert auc_without_resampling(0.0, 10) == ((0.0, pytest.approx(1 - 0.025**0.1)), Method.DISJOINT_PAIRS)
    assert auc_without_resampling(0.7, 10)[1] == Method.HOEFFDING


@pytest.mark.parametrize(
    "parts",
    [
        (math.nan, 0.0, 1.0, "wilson", None),
        (0.5, 0.6, 0.7, "wilson", None),
        (0.5, 0.1, math.inf, "wilson", None),
        (None, None, None, "none", None),
        (None, 0.1, 0.2, "none", "why"),
        (0.5, None, 0.7, "wilson", None),
    ],
)
def test_an_estimate_cannot_lie(parts: tuple[float | None, float | None, float | None, str, str | None]) -> None:
    with pytest.raises(ValueError):
        Estimate(*parts)


def test_an_estimate_as_json() -> None:
    assert Estimate.undefined("no cases").to_json() == {
        "value": None,
        "low": None,
        "high": None,
        "method": "none",
        "reason": "no cases",
    }
    widened = Estimate.around(0.5, (0.6, 0.7), Method.WILSON)
    assert (widened.low, widened.value, widened.high) == (0.5, 0.5, 0.7)


def test_macro_leaves_the_undefined_out() -> None:
    assert macro([0.5, Undefined("why"), 0.9]) == pytest.approx(0.7)
    assert isinstance(macro([Undefined("why")]), Undefined)
    assert isinstance(macro([]), Undefined)


@settings(deadline=None)
@given(st.floats(0.001, 0.999), st.floats(1e-6, 5), st.integers(5, 500))
def test_a_bounded_interval_stays_within_its_bounds_and_mirrors(share: float, error: float, n: int) -> None:
    low, high = within_bounds(share, error, (0.0, 1.0), n)
    assert 0 <= low < share < high <= 1
    assert within_bounds(1 - share, error, (0.0, 1.0), n) == pytest.approx((1 - high, 1 - low), abs=1e-9)
    stretched = within_bounds(2 * share - 1, 2 * error, (-1.0, 1.0), n)
    assert stretched == pytest.approx((2 * low - 1, 2 * high - 1), abs=1e-9)
    above = within_bounds(share, error, (0.0, math.inf), n)
    assert 0 <= above[0] < share < above[1] < math.inf


def test_an_interval_is_freed_from_bias_but_not_carried_to_a_bound() -> None:
    plain, lower = (within_bounds(0.9, 0.02, (0.0, 1.0), 50, bias=bias) for bias in (0.0, 0.01))
    assert lower[0] < plain[0] - 0.005
    assert lower[1] < plain[1] - 0.005
    for bias in (-5.0, 5.0):
        low, high = within_bounds(0.9, 0.02, (0.0, 1.0), 50, bias=bias)
        assert 0 < low < high < 1


def test_far_from_its_bounds_and_with_many_patients_an_interval_is_the_normal_one() -> None:
    half = 1.959964 * 1e-3
    assert within_bounds(0.5, 1e-3, (0.0, 1.0), 10**6) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-7)
    assert within_bounds(0.5, 1e-3, (0.0, math.inf), 10**6) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-5)
    assert expanded_tail(0.95, 10**6) == pytest.approx(0.025, abs=1e-6)


def test_few_patients_expand_an_interval_as_students_t_does() -> None:
    assert expanded_tail(0.95, 20) == pytest.approx(norm.sf(math.sqrt(20 / 19) * t.ppf(0.975, 19)))
    reach = math.sqrt(20 / 19) * t.ppf(0.975, 19) * 1e-4
    assert within_bounds(0.5, 1e-4, (0.0, 1.0), 20) == pytest.approx((0.5 - reach, 0.5 + reach), abs=1e-7)
    widths = [high - low for low, high in (within_bounds(0.8, 0.05, (0.0, 1.0), n) for n in (5, 20, 80))]
    assert widths[0] > widths[1] > widths[2]
