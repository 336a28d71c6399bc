"""Average precision: the precision (PPV) at each case with the label, going down the ranking, averaged.

It depends on how common the label is: guessing gives the prevalence, not 0.5. Steps are not joined by lines, which would
flatter (Davis and Goadrich, ICML 2006); this is scikit-learn's definition.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from medcls.evaluation.statistics.arrays import as_pair
from medcls.evaluation.statistics.estimate import PointEstimate, missing_class
from medcls.evaluation.statistics.intervals import Limits

_STEPS = 2000


def average_precision(positive: ArrayLike, scores: ArrayLike) -> PointEstimate:
    """The mean over cases with the label of the precision at their score; cases at a tie are called together.

    Without cases of both kinds it is undefined: without negative ones it would be 1 whatever the scores are.

    Args:
        positive: ``(n,)`` booleans, the reference.
        scores: ``(n,)`` numbers, higher for positive.

    Raises:
        UsageError: The shapes differ or a score is NaN.
    """
    reference, numbers = as_pair(positive, scores)
    missing = missing_class(reference)
    if missing is not None:
        return missing
    ups, everyone = np.sort(numbers[reference]), np.sort(numbers)
    found = ups.size - np.searchsorted(ups, ups, side="left")
    called = everyone.size - np.searchsorted(everyone, ups, side="left")
    return float((found / called).mean())


def average_precision_limits(auc: Limits, prevalence: float) -> Limits:
    """What limits of the AUC say of the average precision at this prevalence, whatever the curve's shape.

    Let ``F(u)`` be the false-positive rate where a share ``u`` of the positives is found. ``F`` rises and its mean is
    ``1 - AUC``, so ``F(u) <= (1 - AUC) / (1 - u)``; the lower limit is the average precision of that worst curve. No
    upper limit below 1 follows.
    """
    found = (np.arange(_STEPS) + 0.5) / _STEPS
    false = np.minimum(1.0, (1 - auc[0]) / (1 - found))
    precision = prevalence * found / (prevalence * found + (1 - prevalence) * false)
    return float(precision.mean()), 1.0
