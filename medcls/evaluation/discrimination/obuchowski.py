"""Obuchowski's variance of AUCs where patients have several cases (Biometrics 1997;53:567), by sums over patients.

It needs no resampling, so it checks the bootstrap by patient. A patient may have cases with the label, without it, or
of both kinds. With one case for each patient it is DeLong's variance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from medcls.errors import UsageError
from medcls.evaluation.discrimination.auc import auc
from medcls.evaluation.discrimination.delong import delong, normal_auc_estimate, placements
from medcls.evaluation.statistics.arrays import Bools, Floats, as_bools, as_floats, as_pair
from medcls.evaluation.statistics.estimate import Estimate, Method, PointEstimate, Undefined, missing_class
from medcls.evaluation.statistics.intervals import disjoint_pairs, normal_quantile


@dataclass(frozen=True)
class AucDifference:
    """The difference of two AUCs on the same cases.

    Attributes:
        difference: First less second, -1 to 1, with its normal interval.
        z: The difference in standard errors; ``None`` where there is no standard error.
        p_value: Two-sided, for no difference; ``None`` where there is no standard error.
    """

    difference: Estimate
    z: float | None
    p_value: float | None

    def to_json(self) -> dict[str, Any]:
        """The difference as plain JSON."""
        return {"difference": self.difference.to_json(), "z": self.z, "p_value": self.p_value}


def obuchowski_covariance(positive: ArrayLike, scores: ArrayLike, patients: ArrayLike) -> Floats | Undefined:
    """The covariance matrix of the AUCs of several scores on the same clustered cases.

    With M positive and N negative cases, and sums over a patient's cases of the placements less the AUC, ``x`` over the
    positive and ``y`` over the negative ones: ``S10 / M + S01 / N + (S11 + S11') / (M N)``, where ``S10`` is the sum over
    patients of ``x x'`` times ``I / ((I - 1) M)`` with the I patients that have positive cases, ``S01`` the same of the
    negative cases, and ``S11`` the sum of ``x y'`` times ``I / (I - 1)`` with all patients.

    Args:
        positive: ``(n,)`` booleans, the reference.
        scores: ``(n, k)`` numbers, one column for each score.
        patients: ``(n,)`` identifiers.

    Returns:
        ``(k, k)``.

    Raises:
        UsageError: The shapes differ or a score is NaN.
    """
    reference, numbers = as_bools(positive, "the reference"), as_floats(scores, "the scores")
    names = np.asarray(patients)
    if reference.ndim != 1 or numbers.ndim != 2 or not len(reference) == len(numbers) == len(names):
        raise UsageError(f"reference {reference.shape}, scores {numbers.shape} and patients {names.shape} do not fit")
    missing = missing_class(reference)
    if missing is not None:
        return missing
    found, owner = np.unique(names, return_inverse=True)
    with_positive, with_negative = np.unique(owner[reference]).size, np.unique(owner[~reference]).size
    if min(with_positive, with_negative) < 2:
        return Undefined("a variance needs two patients with the label and two without")
    above, under = placements(reference, numbers)
    up = _by_patient(above - above.mean(axis=0), owner[reference], found.size)
    down = _by_patient(under - under.mean(axis=0), owner[~reference], found.size)
    n_up, n_down = len(above), len(under)
    mixed = up.T @ down * _unbiased(found.size) / (n_up * n_down)
    covariance = up.T @ up * _unbiased(with_positive) / n_up**2 + down.T @ down * _unbiased(with_negative) / n_down**2
    return np.asarray(covariance + mixed + mixed.T)


def obuchowski_variance(positive: ArrayLike, scores: ArrayLike, patients: ArrayLike) -> PointEstimate:
    """The variance of one AUC; arguments and errors as :func:`obuchowski`."""
    reference, numbers = as_pair(positive, scores)
    covariance = obuchowski_covariance(reference, numbers[:, None], patients)
    return covariance if isinstance(covariance, Undefined) else float(covariance[0, 0])


def obuchowski(positive: ArrayLike, scores: ArrayLike, patients: ArrayLike, confidence: float = 0.95) -> Estimate:
    """The AUC with its normal interval, cut at 0 and 1, for patients with several cases.

    Without variance (perfect separation, or all scores equal) a conservative interval is given instead; ``method`` and
    ``reason`` then say so.

    Args:
        positive: ``(n,)`` booleans, the reference.
        scores: ``(n,)`` numbers.
        patients: ``(n,)`` identifiers.
        confidence: Confidence level.

    Raises:
        UsageError: The shapes differ or a score is NaN.
    """
    reference, numbers = as_pair(positive, scores)
    value = auc(reference, numbers)
    if isinstance(value, Undefined):
        return Estimate.undefined(value.reason)
    variance = obuchowski_variance(reference, numbers, patients)
    pairs = _disjoint_pairs(reference, np.asarray(patients))
    return normal_auc_estimate(value, variance, pairs, confidence, Method.OBUCHOWSKI)


def analytic_auc(positive: ArrayLike, scores: ArrayLike, patients: ArrayLike, confidence: float = 0.95) -> Estimate:
    """The AUC with an interval that needs no resampling: DeLong's with one case for each patient, else Obuchowski's."""
    if np.unique(np.asarray(patients)).size == len(np.asarray(positive)):
        return delong(positive, scores, confidence)
    return obuchowski(positive, scores, patients, confidence)


def auc_difference(
    positive: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    patients: ArrayLike | None = None,
    confidence: float = 0.95,
) -> AucDifference:
    """The difference of the AUCs of two scores on the same cases, with a z test.

    Args:
        positive: ``(n,)`` booleans, the reference.
        first: ``(n,)`` numbers.
        second: ``(n,)`` numbers, of the same cases in the same order.
        patients: ``(n,)`` identifiers; without them every case is a patient's only one, and the test is DeLong's.
        confidence: Confidence level.

    Raises:
        UsageError: The shapes differ or a score is NaN.
    """
    (reference, one), (_, other) = as_pair(positive, first), as_pair(positive, second)
    owners = np.arange(reference.size) if patients is None else np.asarray(patients)
    areas = auc(reference, one), auc(reference, other)
    for area in areas:
        if isinstance(area, Undefined):
            return AucDifference(Estimate.undefined(area.reason), None, None)
    value = float(areas[0]) - float(areas[1])  # type: ignore[arg-type]
    covariance = obuchowski_covariance(reference, np.column_stack((one, other)), owners)
    if isinstance(covariance, Undefined):
        return AucDifference(_unknown_difference(value, covariance.reason), None, None)
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if variance <= _NO_VARIANCE:
        return AucDifference(_unknown_difference(value, "the difference shows no variance"), None, None)
    error = math.sqrt(variance)
    z, half = value / error, normal_quantile(confidence) * error
    alone = np.unique(owners).size == owners.size
    limits = max(-1.0, value - half), min(1.0, value + half)
    estimate = Estimate.around(value, limits, Method.DELONG if alone else Method.OBUCHOWSKI)
    return AucDifference(estimate, z, float(2 * ndtr(-abs(z))))


_NO_VARIANCE = 1e-18


def _unknown_difference(value: float, why: str) -> Estimate:
    return Estimate.around(value, (-1.0, 1.0), Method.HOEFFDING, f"{why}; nothing is known of the difference")


def _by_patient(values: Floats, owner: np.ndarray, n_patients: int) -> Floats:
    sums = np.zeros((n_patients, values.shape[1]))
    np.add.at(sums, owner, values)
    return sums


def _unbiased(n: int) -> float:
    return n / (n - 1)


def _disjoint_pairs(positive: Bools, patients: np.ndarray) -> int:
    ups, downs = set(patients[positive].tolist()), set(patients[~positive].tolist())
    both = len(ups & downs)
    return max(1, disjoint_pairs(len(ups) - both, len(downs) - both, both))
