"""McNemar's test and Holm's correction, against published values and exact sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from medcls.errors import UsageError
from medcls.evaluation import discordant, holm, mcnemar


def test_published_values() -> None:
    few = mcnemar(1, 9)
    assert (few.method, few.statistic) == ("exact", None)
    assert few.p_value == pytest.approx(0.021484375)
    many = mcnemar(121, 59)
    assert many.method == "chi2"
    assert many.statistic == pytest.approx(20.67222, abs=5e-6)
    assert mcnemar(121, 59, "chi2", corrected=False).statistic == pytest.approx(21.35556, abs=5e-6)
    assert mcnemar(121, 59, "exact").p_value == pytest.approx(4.4344e-6, rel=1e-4)


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(0, 30))
def test_the_exact_test_is_scipys_and_symmetric(b: int, c: int) -> None:
    expected = binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar(b, c, "exact").p_value == pytest.approx(expected, abs=1e-12)
    assert mcnemar(b, c).p_value == mcnemar(c, b).p_value


def test_exact_below_25_pairs_only() -> None:
    assert mcnemar(12, 12).method == "exact"
    assert mcnemar(12, 13).method == "chi2"
    assert mcnemar(0, 0).p_value == 1


def test_discordant_pairs() -> None:
    assert discordant([1, 1, 0, 0, 1], [1, 0, 1, 0, 0]) == (2, 1)
    with pytest.raises(UsageError, match="paired"):
        discordant([1, 0], [1])
    with pytest.raises(UsageError, match="0 or more"):
        mcnemar(-1, 2)


def test_holm_by_hand() -> None:
    # 4 * 0.005, 3 * 0.01, then 2 * 0.03, and 0.04 may not be less than that.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([]) == ()
    with pytest.raises(UsageError):
        holm([0.1, 1.2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.5))
def test_holm_finds_what_the_step_down_procedure_finds(values: list[float], level: float) -> None:
    rejected = np.zeros(len(values), dtype=bool)
    for step, index in enumerate(np.argsort(values, kind="stable")):
        if values[index] * (len(values) - step) > level:
            break
        rejected[index] = True
    assert (np.asarray(holm(values)) <= level).tolist() == rejected.tolist()


def test_holm_keeps_the_chance_of_any_false_finding() -> None:
    generator = np.random.default_rng(0)
    found = [min(holm(generator.random(6))) <= 0.05 for _ in range(2000)]
    assert np.mean(found) < 0.065
