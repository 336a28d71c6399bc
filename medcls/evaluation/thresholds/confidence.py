"""How certain a decision is: the order in which cases are referred to a reader, the least certain first."""

from __future__ import annotations

import numpy as np

from medcls.evaluation.predictions import Predictions
from medcls.evaluation.statistics.arrays import Bools, Floats
from medcls.evaluation.thresholds.operating_point import OperatingPoint

DISTANCE = "distance from the threshold, as a share of the way to certainty"
GREATEST = "the greatest probability"
LEAST_LABEL = "that of the case's least certain label: distance from its threshold, as a share of the way to certainty"


def certainty_rule(point: OperatingPoint) -> str:
    """How :func:`certainty` is measured, in words."""
    if point.multilabel:
        return LEAST_LABEL
    return DISTANCE if point.positive is not None else GREATEST


def certainty(predictions: Predictions, point: OperatingPoint) -> Floats:
    """``(n,)`` from 0 (undecided) to 1.

    With a threshold ``t`` a called case has (p - t) / (1 - t), another one (t - p) / t, so that both sides reach 1; at
    0.5 that is the order of the greatest probability. Without one it is the greatest probability itself.
    """
    probabilities = predictions.probabilities
    if point.multilabel:
        sides = [_distance(probabilities[:, i], cut) for i, cut in enumerate(point.thresholds)]
        return np.asarray(np.min(sides, axis=0))
    if point.positive is None:
        return np.asarray(probabilities.max(axis=1, initial=0.0))
    return _distance(probabilities[:, point.labels.index(point.positive)], point.thresholds[0])


def decided_wrongly(predictions: Predictions, called: Bools) -> Bools:
    """``(n,)`` whether a case got another label than its reference (multi-label: any wrong decision where it is known)."""
    return np.asarray(((called != predictions.reference) & predictions.known).any(axis=1))


def check_same_labels(predictions: Predictions, point: OperatingPoint) -> None:
    """Refuse an operating point of another classifier.

    Raises:
        UsageError: Its labels are not those of the predictions.
    """
    point.space.check_same(
        predictions.space, ("the operating point", "the predictions"), "Take the one of the same classifier"
    )


def _distance(probabilities: Floats, threshold: float) -> Floats:
    room = np.where(probabilities >= threshold, 1 - threshold, threshold)
    apart = np.abs(probabilities - threshold)
    return np.asarray(np.divide(apart, room, out=np.ones_like(apart), where=room > 0).clip(max=1.0))
