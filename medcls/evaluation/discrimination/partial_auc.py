"""Partial AUC over the high-specificity end of the ROC curve, where a test that must not alarm in vain is used.

The range is a false-positive rate of 0 to 0.1 (specificity 0.9 to 1) unless another is named. The area under that piece
of the curve is standardised as by McClish (Med Decis Making 1989;9:190): 0.5 is guessing, 1 perfect, whatever the range.
A curve below the diagonal gives less than 0.5, down to :func:`standardised` of 0.
"""

from __future__ import annotations

from typing import overload

import numpy as np
from numpy.typing import ArrayLike

from medcls.errors import UsageError
from medcls.evaluation.discrimination.auc import roc_curve
from medcls.evaluation.statistics.arrays import Floats
from medcls.evaluation.statistics.estimate import PointEstimate, Undefined
from medcls.evaluation.statistics.intervals import Limits

MOST_FPR = 0.1


def partial_auc(positive: ArrayLike, scores: ArrayLike, most_fpr: float = MOST_FPR) -> PointEstimate:
    """The standardised area under the ROC curve from a false-positive rate of 0 to ``most_fpr``.

    The curve has straight lines through ties, so that the range may end within one.

    Args:
        positive: ``(n,)`` booleans, the reference.
        scores: ``(n,)`` numbers, higher for positive.
        most_fpr: Upper end of the range, above 0 and at most 1; 1 gives the AUC.

    Raises:
        UsageError: The shapes differ, a score is NaN, or there is no such range.
    """
    check_range(most_fpr)
    curve = roc_curve(positive, scores)
    if isinstance(curve, Undefined):
        return curve
    inside = curve.fpr < most_fpr
    fpr = np.append(curve.fpr[inside], most_fpr)
    last = int(np.count_nonzero(inside))  # the first point at or beyond the end of the range
    before, beyond = curve.fpr[last - 1], curve.fpr[last]
    share = (most_fpr - before) / (beyond - before)
    end = curve.tpr[last - 1] + share * (curve.tpr[last] - curve.tpr[last - 1])
    return standardised(float(np.trapezoid(np.append(curve.tpr[inside], end), fpr)), most_fpr)


@overload
def standardised(area: float, most_fpr: float) -> float: ...
@overload
def standardised(area: Floats, most_fpr: float) -> Floats: ...
def standardised(area: float | Floats, most_fpr: float) -> float | Floats:
    """McClish's standardisation of an area under the curve from 0 to ``most_fpr``."""
    guessing = most_fpr * most_fpr / 2
    return 0.5 * (1 + (area - guessing) / (most_fpr - guessing))


def partial_auc_limits(auc: Limits, most_fpr: float = MOST_FPR) -> Limits:
    """What limits of the whole AUC say of the standardised part, whatever the curve's shape.

    All that is missing to an AUC of 1 may be within the range, or all that is there; so the area of the range is
    between ``most_fpr - (1 - AUC)`` and the smaller of ``most_fpr`` and the AUC.
    """
    low, high = max(0.0, most_fpr - (1 - auc[0])), min(most_fpr, auc[1])
    return standardised(low, most_fpr), standardised(high, most_fpr)


def check_range(most_fpr: float) -> None:
    """Refuse a range that holds nothing.

    Raises:
        UsageError: So it is.
    """
    if not 0 < most_fpr <= 1:
        raise UsageError(f"a false-positive rate of 0 to {most_fpr} is no range", remedy="End it above 0 and at most 1")
