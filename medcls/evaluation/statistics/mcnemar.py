"""McNemar's test of two decisions on the same cases (Psychometrika 1947;12:153).

Only the discordant pairs count: ``b`` cases that the first alone decided correctly and ``c`` that the second alone did.
If both are equally good, each of the ``b + c`` is as likely of the one kind as of the other. Pairs must be
independent: one case for each patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom, chi2

from medcls.errors import UsageError
from medcls.evaluation.statistics.arrays import as_bools

FEWEST_FOR_CHI2 = 25


@dataclass(frozen=True)
class McNemar:
    """The test's result.

    Attributes:
        b: Pairs that only the first decided correctly.
        c: Pairs that only the second decided correctly.
        method: ``exact`` (binomial) or ``chi2`` (one degree of freedom, corrected for continuity unless said).
        statistic: Chi-squared; ``None`` for the exact test.
        p_value: Two-sided.
    """

    b: int
    c: int
    method: Literal["exact", "chi2"]
    statistic: float | None
    p_value: float


def mcnemar(b: int, c: int, method: Literal["auto", "exact", "chi2"] = "auto", *, corrected: bool = True) -> McNemar:
    """Test whether two decisions are equally often right.

    Args:
        b: Pairs that only the first decided correctly.
        c: Pairs that only the second decided correctly.
        method: ``auto`` is exact with fewer than 25 discordant pairs, chi-squared else.
        corrected: Chi-squared with Edwards' continuity correction, (abs(b - c) - 1)^2 / (b + c).

    Raises:
        UsageError: A count is negative.
    """
    if min(b, c) < 0:
        raise UsageError("discordant pairs are counted: 0 or more")
    n = b + c
    if method == "exact" or (method == "auto" and n < FEWEST_FOR_CHI2) or not n:
        return McNemar(b, c, "exact", None, min(1.0, 2 * float(binom.cdf(min(b, c), n, 0.5))))
    statistic = max(0.0, abs(b - c) - (1.0 if corrected else 0.0)) ** 2 / n
    return McNemar(b, c, "chi2", statistic, float(chi2.sf(statistic, 1)))


def discordant(first_right: ArrayLike, second_right: ArrayLike) -> tuple[int, int]:
    """How many of ``n`` cases only the first, and only the second decided correctly; two ``(n,)`` booleans.

    Raises:
        UsageError: The shapes differ.
    """
    first, second = as_bools(first_right, "the first decisions"), as_bools(second_right, "the second decisions")
    if first.ndim != 1 or first.shape != second.shape:
        raise UsageError(f"decisions of shapes {first.shape} and {second.shape} cannot be paired")
    return int(np.count_nonzero(first & ~second)), int(np.count_nonzero(second & ~first))
