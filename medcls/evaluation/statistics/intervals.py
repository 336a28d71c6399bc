"""Intervals with a formula: proportions, bounded means, and the AUC where resampling has nothing to say.

``successes`` and ``n`` may be fractions: with several cases per patient, ``n`` is the number of patients and
``successes`` is the proportion times ``n``, so that a patient counts as one trial (after Korn and Graubard, Survey
Methodology 1998;24:193, with the most cautious effective sample size).
"""

from __future__ import annotations

import math
from statistics import NormalDist

from scipy.special import betaincinv, ndtr, stdtrit

from medcls.errors import UsageError
from medcls.evaluation.statistics.estimate import Method

Limits = tuple[float, float]
_MOST_LOG = 300.0  # beyond it limits are what the bounds are, and floats overflow


def wilson(successes: float, n: float, confidence: float = 0.95) -> Limits:
    """Wilson's score interval of a proportion (J Am Stat Assoc 1927;22:209), without continuity correction.

    Raises:
        UsageError: ``n`` is not positive, ``successes`` are outside 0 to ``n``, or the confidence outside 0 to 1.
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
    # Of all but no success, the quantile is not exact.
    return min(low, successes / n), max(high, successes / n)


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
    all disjoint pairs were ordered correctly, which has probability of at most ``AUC ** pairs``; so the lower limit is
    that of Clopper and Pearson for ``pairs`` of ``pairs``. Elsewhere Hoeffding's interval is taken.

    Raises:
        UsageError: There is no pair, or the AUC is outside 0 to 1.
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


def within_bounds(
    value: float, error: float, bounds: Limits, n_patients: int, confidence: float = 0.95, *, bias: float = 0.0
) -> Limits:
    """Student's t interval of a metric with bounds, made where the bounds are infinitely far away.

    That is the logit scale between two bounds, and the log scale above one: near a bound the interval becomes as lopsided
    as the figure's distribution, and never crosses it (for AUCs: Qin and Hotilovac, Stat Methods Med Res 2008;17:207).

    Args:
        value: The metric, strictly within the bounds.
        error: Its standard error, from a bootstrap: expanded by ``sqrt(n / (n - 1))``, which a bootstrap leaves out.
        bounds: The least and the greatest value that the metric can have; the greatest may be infinite.
        n_patients: How many patients are resampled, of the smaller group where two are compared; at least 2.
        confidence: Confidence level.
        bias: By how much the metric is too high on average, as a bootstrap shows it (Efron and Tibshirani, An Introduction
            to the Bootstrap, 1993, chapter 10); the interval is that much lower, at most half the way to a bound.
    """
    n = max(2, n_patients)
    low, high = bounds
    reach = float(stdtrit(n - 1, 0.5 + confidence / 2)) * math.sqrt(n / (n - 1)) * error
    centre = min(max(value - bias, (value + low) / 2), (value + high) / 2)
    if math.isinf(high):
        factor = math.exp(min(reach / (value - low), _MOST_LOG))
        return low + (centre - low) / factor, low + (centre - low) * factor
    factor = math.exp(min(reach * (high - low) / ((value - low) * (high - value)), _MOST_LOG))
    above, below = centre - low, high - centre
    return tuple(low + (high - low) * above / (above + below * by) for by in (factor, 1 / factor))  # type: ignore[return-value]


def expanded_tail(confidence: float, n_patients: int) -> float:
    """The share of replicates beyond each end of an expanded percentile interval.

    A bootstrap distribution is too narrow by the factor ``sqrt((n - 1) / n)``, and its spread is itself an estimate.
    Percentiles that make good for both, as Student's t does for a mean, are at ``Phi(-sqrt(n / (n - 1)) t)`` (Hesterberg,
    The American Statistician 2015;69:371, section 4.1). With many patients that is ``(1 - confidence) / 2``.

    Args:
        confidence: Confidence level.
        n_patients: How many patients are resampled, of the smaller group where two are compared; at least 2.
    """
    n = max(2, n_patients)
    quantile = float(stdtrit(n - 1, 0.5 + confidence / 2))
    return float(ndtr(-math.sqrt(n / (n - 1)) * quantile))


def _check(successes: float, n: float, confidence: float) -> None:
    if not (n > 0 and 0 <= successes <= n):
        raise UsageError(
            f"{successes} of {n} is not a proportion", remedy="Give counts with 0 <= successes <= n, n > 0"
        )
    if not 0 < confidence < 1:
        raise UsageError(f"a confidence of {confidence} is not between 0 and 1")
