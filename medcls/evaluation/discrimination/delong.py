"""DeLong's variance of AUCs (DeLong, DeLong and Clarke-Pearson, Biometrics 1988;44:837), by ranks.

It assumes independent cases. Where patients have several cases its intervals are far too narrow: use the patient
bootstrap, or :mod:`medcls.evaluation.discrimination.obuchowski`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from medcls.errors import UsageError
from medcls.evaluation.discrimination.auc import auc, below_and_upto
from medcls.evaluation.statistics.arrays import Bools, Floats, as_bools, as_floats, as_pair
from medcls.evaluation.statistics.estimate import Estimate, Method, PointEstimate, Undefined, missing_class
from medcls.evaluation.statistics.intervals import auc_without_resampling, normal_quantile


def delong_covariance(positive: ArrayLike, scores: ArrayLike) -> Floats | Undefined:
    """The covariance matrix of the AUCs of several scores on the same cases.

    Args:
        positive: ``(n,)`` booleans, the reference.
        scores: ``(n, k)`` numbers, one column for each score.

    Returns:
        ``(k, k)``: S10 / positives + S01 / negatives, with sample covariances (ddof 1) of the placements.

    Raises:
        UsageError: The shapes differ or a score is NaN.
    """
    reference, numbers = as_bools(positive, "the reference"), as_floats(scores, "the scores")
    if reference.ndim != 1 or numbers.ndim != 2 or reference.size != len(numbers):
        raise UsageError(f"the reference has shape {reference.shape} and the scores have {numbers.shape}")
    missing = missing_class(reference)
    if missing is not None:
        return missing
    n_positive = int(reference.sum())
    n_negative = reference.size - n_positive
    if min(n_positive, n_negative) < 2:
        return Undefined("a variance needs two cases with the label and two without")
    above, under = placements(reference, numbers)
    between = np.cov(above, rowvar=False, ddof=1) / n_positive + np.cov(under, rowvar=False, ddof=1) / n_negative
    return np.asarray(between, dtype=np.float64).reshape(numbers.shape[1], numbers.shape[1])


def delong_variance(positive: ArrayLike, scores: ArrayLike) -> PointEstimate:
    """The variance of one AUC; arguments and errors as :func:`medcls.evaluation.discrimination.auc.auc`."""
    reference, numbers = as_pair(positive, scores)
    covariance = delong_covariance(reference, numbers[:, None])
    return covariance if isinstance(covariance, Undefined) else float(covariance[0, 0])


def delong(positive: ArrayLike, scores: ArrayLike, confidence: float = 0.95) -> Estimate:
    """The AUC with its normal interval, cut at 0 and 1; one case for each patient.

    Without variance (perfect separation, or all scores equal) the normal interval would have no width; then a
    conservative one is given, and ``method`` and ``reason`` say so.

    Raises:
        UsageError: The shapes differ or a score is NaN.
    """
    reference, numbers = as_pair(positive, scores)
    value = auc(reference, numbers)
    if isinstance(value, Undefined):
        return Estimate.undefined(value.reason)
    n_positive = int(reference.sum())
    pairs = min(n_positive, reference.size - n_positive)
    return normal_auc_estimate(value, delong_variance(reference, numbers), pairs, confidence, Method.DELONG)


def normal_auc_estimate(
    value: float, variance: PointEstimate, pairs: int, confidence: float, method: Method
) -> Estimate:
    """The normal interval of an AUC, cut at 0 and 1; a conservative one where there is no variance to make it of.

    Args:
        value: The AUC.
        variance: Its variance, or why there is none.
        pairs: Disjoint pairs of a positive and a negative patient.
        confidence: Confidence level.
        method: Whose variance it is.
    """
    if isinstance(variance, Undefined) or variance <= 0.0:
        limits, conservative = auc_without_resampling(value, pairs, confidence)
        reason = variance.reason if isinstance(variance, Undefined) else "the AUC shows no variance on these cases"
        return Estimate.around(value, limits, conservative, reason)
    half = normal_quantile(confidence) * math.sqrt(variance)
    return Estimate.around(value, (max(0.0, value - half), min(1.0, value + half)), method)


def placements(positive: Bools, scores: Floats) -> tuple[Floats, Floats]:
    """Shares of negatives below each positive ``(m, k)``, and of positives above each negative ``(n - m, k)``."""
    ups, downs = scores[positive], scores[~positive]
    above, under = np.empty_like(ups), np.empty_like(downs)
    for column in range(scores.shape[1]):
        below, upto = below_and_upto(ups[:, column], downs[:, column])
        above[:, column] = (below + upto) / (2 * len(downs))
        below, upto = below_and_upto(downs[:, column], ups[:, column])
        under[:, column] = 1 - (below + upto) / (2 * len(ups))
    return above, under
