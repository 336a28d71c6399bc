"""AUC and the ROC curve, by counting: ties count one half."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from medcls.errors import UsageError
from medcls.evaluation.statistics.arrays import Floats, as_bools, as_floats, as_pair
from medcls.evaluation.statistics.estimate import PointEstimate, Undefined, macro, missing_class


def auc(positive: ArrayLike, scores: ArrayLike) -> PointEstimate:
    """The probability that a positive case scores above a negative one, ties counting one half.

    This is the Mann–Whitney statistic (Hanley and McNeil, Radiology 1982;143:29) and equals the area under the ROC
    curve with straight lines through ties.

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
    below, upto = below_and_upto(numbers[reference], numbers[~reference])
    n_positive = int(reference.sum())
    # Integers until the last division, so that swapping the labels gives the exact complement.
    return int(below.sum() + upto.sum()) / (2 * n_positive * (reference.size - n_positive))


def one_vs_rest(reference: ArrayLike, scores: ArrayLike, known: ArrayLike | None = None) -> tuple[PointEstimate, ...]:
    """The AUC of each label against all others.

    Args:
        reference: ``(n, labels)`` booleans.
        scores: ``(n, labels)`` numbers.
        known: ``(n, labels)`` booleans, whether the reference is known; by default all is.

    Raises:
        UsageError: The shapes differ or a score is NaN.
    """
    references, numbers = as_bools(reference, "the reference"), as_floats(scores, "the scores")
    if references.ndim != 2 or references.shape != numbers.shape:
        raise UsageError(f"the reference has shape {references.shape} and the scores have {numbers.shape}")
    told = np.ones_like(references) if known is None else as_bools(known, "what is known")
    return tuple(auc(one[rows], own[rows]) for one, own, rows in zip(references.T, numbers.T, told.T, strict=True))


def macro_auc(reference: ArrayLike, scores: ArrayLike, known: ArrayLike | None = None) -> PointEstimate:
    """The mean of the one-vs-rest AUCs that are defined (not Hand and Till's pairwise mean).

    Raises:
        UsageError: As :func:`one_vs_rest`.
    """
    return macro(one_vs_rest(reference, scores, known))


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Points of a ROC curve, from nobody called to everybody called.

    Attributes:
        fpr: ``(k,)`` 1 - specificity, rising from 0 to 1.
        tpr: ``(k,)`` sensitivity, rising from 0 to 1.
        thresholds: ``(k,)`` the label is predicted when the score is at least this; the first is infinite.
    """

    fpr: Floats
    tpr: Floats
    thresholds: Floats

    def thinned(self, most: int) -> RocCurve:
        """The curve with at most ``most`` points: corners first, then evenly along the curve. For drawing."""
        keep = _corners(self.fpr, self.tpr)
        if keep.size > most:
            along = np.concatenate(([0.0], np.cumsum(np.diff(self.fpr[keep]) + np.diff(self.tpr[keep]))))
            keep = keep[np.unique(np.searchsorted(along, np.linspace(0.0, along[-1], most)).clip(0, keep.size - 1))]
        return RocCurve(self.fpr[keep], self.tpr[keep], self.thresholds[keep])


def roc_curve(positive: ArrayLike, scores: ArrayLike) -> RocCurve | Undefined:
    """Sensitivity and 1 - specificity at every observed score, decision 'score >= threshold'.

    Raises:
        UsageError: The shapes differ or a score is NaN.
    """
    reference, numbers = as_pair(positive, scores)
    missing = missing_class(reference)
    if missing is not None:
        return missing
    thresholds = np.unique(numbers)[::-1]
    tpr = _at_least(numbers[reference], thresholds)
    fpr = _at_least(numbers[~reference], thresholds)
    start = np.zeros(1)
    return RocCurve(
        np.concatenate((start, fpr)), np.concatenate((start, tpr)), np.concatenate((start + np.inf, thresholds))
    )


def below_and_upto(scores: Floats, others: Floats) -> tuple[np.ndarray, np.ndarray]:
    """For each score, how many of ``others`` are below it, and how many below or at it: two ``(n,)`` integer arrays."""
    ordered = np.sort(others)
    return np.searchsorted(ordered, scores, side="left"), np.searchsorted(ordered, scores, side="right")


def _at_least(scores: Floats, thresholds: Floats) -> Floats:
    below = np.searchsorted(np.sort(scores), thresholds, side="left")
    return np.asarray((scores.size - below) / scores.size, dtype=np.float64)


def _corners(fpr: Floats, tpr: Floats) -> np.ndarray:
    step_x, step_y = np.diff(fpr), np.diff(tpr)
    turns = np.abs(step_x[:-1] * step_y[1:] - step_x[1:] * step_y[:-1]) > 1e-15
    return np.flatnonzero(np.concatenate(([True], turns, [True])))
