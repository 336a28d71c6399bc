"""The difference of two metrics on the same cases: its interval and its test."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum

import numpy as np
from scipy.stats import norm

from medcls.evaluation.discrimination.auc import auc
from medcls.evaluation.discrimination.delong import delong_covariance
from medcls.evaluation.statistics.arrays import Bools, Floats
from medcls.evaluation.statistics.bootstrap_interval import NO_SPREAD, bootstrap_estimate, why_unusable
from medcls.evaluation.statistics.estimate import Estimate, Method, Undefined
from medcls.evaluation.statistics.intervals import Limits, auc_without_resampling, clopper_pearson, normal_quantile
from medcls.evaluation.statistics.mcnemar import McNemar

_EXTREME = "an AUC of exactly 0 or 1 shows no variance: the p-value rests on the other one"


class Test(StrEnum):
    """Where a p-value comes from.

    Attributes:
        DELONG: The difference of two AUCs over its standard error by DeLong's covariance, two-sided normal.
        MCNEMAR_EXACT: McNemar's exact test.
        MCNEMAR_CHI2: McNemar's test, chi-squared with continuity correction.
        PATIENT_BOOTSTRAP: Twice the smaller share of replicates on one side of 0, as if there were one more on each:
            the level at which the percentile interval just reaches 0.
        NONE: There is no p-value.
    """

    __test__ = False  # pytest would take it for a test

    DELONG = "delong"
    MCNEMAR_EXACT = "mcnemar-exact"
    MCNEMAR_CHI2 = "mcnemar-chi2"
    PATIENT_BOOTSTRAP = "patient-bootstrap"
    NONE = "none"


def test_of(result: McNemar) -> Test:
    """Which of McNemar's tests it was."""
    return Test.MCNEMAR_EXACT if result.method == "exact" else Test.MCNEMAR_CHI2


def paired_delong(
    positive: Bools, first: Floats, second: Floats, pairs: int, confidence: float
) -> tuple[Estimate, float | None, float | None, str | None]:
    """The difference of two AUCs of independent cases: estimate, z, p-value, and a reason.

    DeLong, DeLong and Clarke-Pearson, Biometrics 1988;44:837.

    Args:
        positive: ``(n,)`` with both values.
        first: ``(n,)`` scores.
        second: ``(n,)`` scores.
        pairs: How many disjoint pairs of a positive and a negative patient there are.
        confidence: Confidence level.
    """
    scores = np.stack((first, second), axis=1)
    areas = [float(area) for area in (auc(positive, column) for column in scores.T) if not isinstance(area, Undefined)]
    difference = areas[0] - areas[1]
    covariance = delong_covariance(positive, scores)
    variance = 0.0
    if not isinstance(covariance, Undefined):
        variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if variance <= NO_SPREAD**2:
        flat = covariance.reason if isinstance(covariance, Undefined) else "the difference shows no variance"
        limits = difference_of(*[auc_without_resampling(a, pairs, (1 + confidence) / 2)[0] for a in areas])
        estimate = Estimate.around(difference, limits, Method.BONFERRONI, f"{flat}; a conservative interval is given")
        return estimate, None, None, flat
    z = difference / math.sqrt(variance)
    half = normal_quantile(confidence) * math.sqrt(variance)
    limits = max(-1.0, difference - half), min(1.0, difference + half)
    reason = _EXTREME if {0.0, 1.0} & set(areas) else None
    return Estimate.around(difference, limits, Method.DELONG, reason), z, float(2 * norm.sf(abs(z))), reason


def bootstrap_difference(
    difference: float, drawn: Floats, n_patients: int, confidence: float, conservative: Callable[[], Limits]
) -> Estimate:
    """A difference with its percentile interval, or a conservative one where resampling says nothing."""
    return bootstrap_estimate(difference, drawn, n_patients, confidence, lambda: (conservative(), Method.BONFERRONI))


def bootstrap_p(drawn: Floats, n_patients: int) -> tuple[float | None, str | None]:
    """The two-sided p-value of replicates ``(b,)`` of a difference, or why there is none.

    It cannot be smaller than 2 / (b + 1).
    """
    defined = drawn[np.isfinite(drawn)]
    why = why_unusable(drawn, n_patients)
    if why is not None:
        return None, why
    if np.ptp(defined) <= NO_SPREAD and abs(defined[0]) > NO_SPREAD:
        return None, "the bootstrap shows no spread"
    side = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    return min(1.0, 2 * (1 + side) / (defined.size + 1)), None


def share_difference_limits(only_first: float, only_second: float, n_patients: int, confidence: float) -> Limits:
    """Conservative limits of a difference of two paired shares, from the shares that only one of them got right.

    Args:
        only_first: Share of cases that only the first decided correctly.
        only_second: The same for the second.
        n_patients: How many patients the shares rest on; each counts as one trial.
        confidence: Of the difference; each share gets half the error.
    """
    shares = (
        clopper_pearson(share * n_patients, n_patients, (1 + confidence) / 2) for share in (only_first, only_second)
    )
    return difference_of(*shares)


def difference_of(first: Limits, second: Limits) -> Limits:
    """The limits of a difference, from limits of both that hold together."""
    return first[0] - second[1], first[1] - second[0]
