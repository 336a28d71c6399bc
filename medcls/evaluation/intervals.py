"""Intervals with a formula: proportions, bounded means, and the AUC where resampling has nothing to say.

``successes`` and ``n`` may be fractions: with several cases per patient, ``n`` is the number of patients and
``successes`` is the proportion times ``n``, so that a patient counts as one trial (after Korn and Graubard, Survey
Methodology 1998;24:193, with the most cautious effective sample size).
"""

from __future__ import annotations

import math
from statistics import NormalDist

from scipy.special import betaincinv

from medcls.errors import UsageError
from medcls.evaluation.estimate import Method

Limits = tuple[float, float]


def wilson(successes: float, n: float, confidence: float = 0.95) -> Limits:
    """Wilson's score interval of a proportion (J Am Stat Assoc 1927;22:209), without continuity correction.

    Raises:
        UsageError: ``n`` is not positive, ``successes`` lie outside 0 to ``n``, or the confidence outside 0 to 1.
    """
    _check(successes, n, confidence)
    z2 = normal_quantile(confidence) ** 2
    p = successes / n
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def clopper_pearson(successes: float, n: float, confidence: float = 0.95) -> Limits:
    """The exact binomial interval, by beta quantiles (Clopper and Pearson, Biometrika 1934;26:404).

    Raises:
        UsageError: As :func:`wilson`.
    """
    _check(successes, n, confidence)
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - tail))
    return low, high


def hoeffding(mean: float, n: float, confidence: float = 0.95, *, span: float = 1.0) -> Limits:
    """Interval of the mean of ``n`` independent values between 0 and ``span`` (Hoeffding, J Am Stat Assoc 1963;58:13).

    For an AUC, ``n`` is the number of disjoint pairs (section 5b there); it holds for any distribution and any ties.

    Raises:
        UsageError: As :func:`wilson`.
    """
    _check(mean, span, confidence)
    if n <= 0:
        raise UsageError("an interval needs at least one independent observation")
    half = span * math.sqrt(math.log(2 / (1 - confidence)) / (2 * n))
    return max(0.0, mean - half), min(span, mean + half)


def auc_without_resampling(auc: float, pairs: int, confidence: float = 0.95) -> tuple[Limits, Method]:
    """A conservative interval of an AUC from ``pairs`` disjoint pairs of a positive and a negative patient.

    Under perfect separation the bootstrap and DeLong give an interval of no width. But perfect separation means that
    all disjoint pairs were ordered rightly, which has probability of at most ``AUC ** pairs``; so the lower limit is
    that of Clopper and Pearson for ``pairs`` of ``pairs``. Elsewhere Hoeffding's interval is taken.

    Raises:
        UsageError: There is no pair, or the AUC lies outside 0 to 1.
    """
    if auc in (0.0, 1.0):
        return clopper_pearson(auc * pairs, pairs, confidence), Method.DISJOINT_PAIRS
    return hoeffding(auc, pairs, confidence), Method.HOEFFDING


def disjoint_pairs(only_positive: int, only_negative: int, both: int) -> int:
    """How many pairs of a patient with a positive and another with a negative case can be made, each patient used once.

    Args:
        only_positive: Patients whose cases are all positive.
        only_negative: Patients whose cases are all negative.
        both: Patients with cases of both kinds.
    """
    return min(only_positive + both, only_negative + both, (only_positive + only_negative + both) // 2)


def normal_quantile(confidence: float) -> float:
    """The two-sided normal quantile, 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _check(successes: float, n: float, confidence: float) -> None:
    if not (n > 0 and 0 <= successes <= n):
        raise UsageError(
            f"{successes} of {n} is not a proportion", remedy="Give counts with 0 <= successes <= n, n > 0"
        )
    if not 0 < confidence < 1:
        raise UsageError(f"a confidence of {confidence} is not between 0 and 1")
