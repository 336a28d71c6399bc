"""Brier's score (Monthly Weather Review 1950;78:1), with one definition for each kind of labels.

* one label (binary, or one label of several): the mean over cases of ``(p - y) ** 2``, 0 to 1. Not Brier's sum over
  both classes, which is twice as much.
* several exclusive labels: the mean over cases of the **sum** over labels of ``(p - y) ** 2``, 0 to 2.
* multi-label: the mean over labels of the binary score, 0 to 1.

These are scikit-learn's conventions for the first two.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from medcls.errors import UsageError
from medcls.evaluation.statistics.arrays import as_bools, as_floats
from medcls.evaluation.statistics.estimate import PointEstimate, Undefined


def brier(reference: ArrayLike, probabilities: ArrayLike, *, multilabel: bool = False) -> PointEstimate:
    """Brier's score, defined as at the head of this module.

    Args:
        reference: ``(n,)`` booleans for one label, ``(n, labels)`` for several.
        probabilities: The same shape, 0 to 1.
        multilabel: The labels do not exclude each other.

    Raises:
        UsageError: The shapes differ, or a probability is not one.
    """
    truth, numbers = as_bools(reference, "the reference"), as_floats(probabilities, "the probabilities")
    if truth.shape != numbers.shape or truth.ndim not in (1, 2):
        raise UsageError(f"the reference has shape {truth.shape} and the probabilities have {numbers.shape}")
    if numbers.size and not (numbers.min() >= 0 and numbers.max() <= 1):
        raise UsageError("Brier's score needs probabilities between 0 and 1")
    if not len(truth):
        return Undefined("there are no cases")
    losses = np.square(numbers - truth)
    if losses.ndim == 1 or multilabel:
        return float(losses.mean())
    return float(losses.sum(axis=1).mean())
