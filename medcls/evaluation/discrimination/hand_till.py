"""Hand and Till's AUC for three or more exclusive labels (Machine Learning 2001;45:171).

``A(i|j)`` is the probability that a case with label i has a higher probability of i than a case with label j. The metric
is the mean of ``A(i|j)`` over all ordered pairs of different labels. Other than the macro mean of one-vs-rest AUCs, it
does not depend on how common the labels are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from medcls.errors import UsageError
from medcls.evaluation.discrimination.auc import auc
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.statistics.arrays import Bools, Floats, as_bools, as_floats, ratio
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.statistics.bootstrap_interval import bootstrap_estimate
from medcls.evaluation.statistics.estimate import Estimate, Method, PointEstimate, Undefined
from medcls.evaluation.statistics.intervals import Limits, auc_without_resampling, disjoint_pairs


def hand_till(reference: ArrayLike, scores: ArrayLike) -> PointEstimate:
    """The mean over ordered pairs of labels that have cases.

    Args:
        reference: ``(n, labels)`` booleans, one true for each case.
        scores: ``(n, labels)`` numbers, higher for the label.

    Raises:
        UsageError: The shapes differ, a score is NaN, or a case has not exactly one label.
    """
    truth, numbers = _checked(reference, scores)
    present = np.flatnonzero(truth.any(axis=0))
    if present.size < 2:
        return Undefined("there are no cases" if not len(truth) else "every case has one and the same label")
    areas = [_pair_auc(truth, numbers, one, other) for one, other in itertools.permutations(present.tolist(), 2)]
    return math.fsum(areas) / len(areas)


class HandTillStatistic:
    """Hand and Till's AUC as a function of patients' weights, over the labels that have cases.

    Args:
        resampling: Which case is whose.
        reference: ``(n, labels)`` booleans, one true for each case, and at least two labels with cases.
        scores: ``(n, labels)`` numbers.

    Called with weights ``(b, patients)`` it gives ``(b,)``, NaN where one of the labels is not drawn.
    """

    def __init__(self, resampling: PatientResampling, reference: Bools, scores: Floats) -> None:
        truth, numbers = _checked(reference, scores)
        present = np.flatnonzero(truth.any(axis=0))
        label = truth[:, present].argmax(axis=1)
        by_label = np.argsort(label, kind="stable")
        # Cases are label by label, so that one sum over each stretch compares a label with all others at once.
        self._patients = resampling.patient[by_label]
        counts = np.bincount(label, minlength=present.size)
        self._starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
        self._columns = []
        for place, column in enumerate(present):
            values = -numbers[by_label, column]
            own = slice(self._starts[place], self._starts[place] + counts[place])
            order = np.argsort(values[own], kind="stable")
            ranked = values[own][order]
            above, upto = (np.searchsorted(ranked, values, side=side) for side in ("left", "right"))
            self._columns.append((order + own.start, above, upto if (above != upto).any() else above))

    def __call__(self, weights: Floats) -> Floats:
        """Hand and Till's AUC ``(b,)`` for weights ``(b, patients)``."""
        drawn = np.take(weights, self._patients, axis=1)
        totals = np.add.reduceat(drawn, self._starts, axis=1)
        n_labels = len(self._columns)
        total = np.zeros(len(weights))
        won, more = np.empty_like(drawn), np.empty_like(drawn)
        for place, (order, above, upto) in enumerate(self._columns):
            sums = np.zeros((len(weights), order.size + 1))
            np.cumsum(drawn[:, order], axis=1, out=sums[:, 1:])
            np.take(sums, above, axis=1, out=won, mode="clip")
            if upto is not above:
                # Cases that score the same win half: the mean of those strictly above and those above or level.
                won += np.take(sums, upto, axis=1, out=more, mode="clip")
                won /= 2
            won *= drawn
            areas = ratio(np.add.reduceat(won, self._starts, axis=1), totals[:, [place]] * totals)
            areas[:, place] = 0.0
            total += areas.sum(axis=1)
        return total / (n_labels * (n_labels - 1))


def hand_till_estimate(
    predictions: Predictions, resampling: PatientResampling, replicates: Floats, confidence: float
) -> Estimate:
    """The metric of three or more exclusive labels with its interval by patient.

    Labels without cases are left out, and the reason says so.

    Args:
        predictions: The cases.
        resampling: Which case is whose.
        replicates: ``(b,)`` from :class:`HandTillStatistic`; not looked at where the metric is undefined.
        confidence: Confidence level.
    """
    truth, scores = predictions.reference, predictions.probabilities
    value = hand_till(truth, scores)
    if isinstance(value, Undefined):
        return Estimate.undefined(value.reason)
    present = np.flatnonzero(truth.any(axis=0))

    def fallback() -> tuple[Limits, Method]:
        limits = _conservative(truth, scores, resampling, present.tolist(), confidence)
        return limits, Method.BONFERRONI

    n_patients = min(resampling.count(truth[:, label]) for label in present)
    estimate = bootstrap_estimate(value, replicates, n_patients, confidence, fallback, (0.0, 1.0))
    if present.size == truth.shape[1]:
        return estimate
    absent = [label for place, label in enumerate(predictions.labels) if place not in present]
    return estimate.noted(f"over {present.size} of {truth.shape[1]} labels, without cases: {', '.join(absent)}")


def _conservative(
    truth: Bools, scores: Floats, resampling: PatientResampling, present: Sequence[int], confidence: float
) -> Limits:
    pairs = list(itertools.permutations(present, 2))
    shared = 1 - (1 - confidence) / len(pairs)
    limits = []
    for one, other in pairs:
        first, second = truth[:, one], truth[:, other]
        together = resampling.count(first | second)
        both = resampling.count(first) + resampling.count(second) - together
        n = disjoint_pairs(resampling.count(first) - both, resampling.count(second) - both, both)
        area = _pair_auc(truth, scores, one, other)
        limits.append(auc_without_resampling(area, max(1, n), shared)[0])
    return tuple(math.fsum(ends) / len(pairs) for ends in zip(*limits, strict=True))  # type: ignore[return-value]


def _pair_auc(truth: Bools, scores: Floats, one: int, other: int) -> float:
    cases = truth[:, one] | truth[:, other]
    area = auc(truth[cases, one], scores[cases, one])
    if isinstance(area, Undefined):
        raise UsageError(f"labels {one} and {other} cannot be compared: {area.reason}")
    return area


def _checked(reference: ArrayLike, scores: ArrayLike) -> tuple[Bools, Floats]:
    truth, numbers = as_bools(reference, "the reference"), as_floats(scores, "the scores")
    if truth.ndim != 2 or truth.shape != numbers.shape:
        raise UsageError(f"the reference has shape {truth.shape} and the scores have {numbers.shape}")
    if not (truth.sum(axis=1) == 1).all():
        raise UsageError("Hand and Till's AUC needs exactly one label for each case")
    return truth, numbers
