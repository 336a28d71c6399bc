"""Calibration slope and intercept, and calibration-in-the-large (Cox, Biometrika 1958;45:562).

The reference is regressed on the stated log-odds x: ``logit(P) = intercept + slope * x``. Calibrated probabilities have
slope 1 and intercept 0. A slope below 1 says that they are too extreme, above 1 too timid. Calibration-in-the-large is
the intercept with the slope held at 1: above 0 the label occurs more often than was said (Van Calster et al., BMC Medicine
2019;17:230).
"""

from __future__ import annotations

import numpy as np

from medcls.evaluation.statistics.arrays import Bools, Floats, Indices
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.statistics.estimate import PointEstimate, Undefined, missing_class
from medcls.evaluation.statistics.logistic import fit_intercept, fit_logistic, overlaps

RECALIBRATION_NAMES = ("slope", "intercept", "in_the_large")
_CELLS = 256


def stated_log_odds(label: Floats, others: Floats) -> Floats:
    """``log(p / (1 - p))``, ``(n,)``, from the probability of a label and of all others together; infinite at 0 and 1."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(label) - np.log(others))


def recalibration(positive: Bools, log_odds: Floats) -> dict[str, PointEstimate]:
    """The metrics of :data:`RECALIBRATION_NAMES`, each a number or why there is none.

    Args:
        positive: ``(n,)`` the reference.
        log_odds: ``(n,)`` what was stated; may be infinite.
    """
    nothing = why_not(positive, log_odds)
    if nothing is not None:
        return dict.fromkeys(RECALIBRATION_NAMES, nothing)
    targets, ones = positive.astype(np.float64), np.ones((1, positive.size))
    in_the_large = float(fit_intercept(log_odds, targets, ones)[0])
    if not overlaps(log_odds, targets, ones)[0]:
        alike = np.ptp(log_odds) == 0
        why = Undefined(
            "all cases have the same probability: there is no slope"
            if alike
            else "the probabilities separate the cases with the label from the others: the slope is infinite"
        )
        return {"slope": why, "intercept": why, "in_the_large": in_the_large}
    slope, intercept = fit_logistic(log_odds, targets, ones)[0].tolist()
    return {"slope": slope, "intercept": intercept, "in_the_large": in_the_large}


def why_not(positive: Bools, log_odds: Floats) -> Undefined | None:
    """Why none of the metrics exists, or ``None``."""
    missing = missing_class(positive)
    if missing is not None:
        return missing
    infinite = int((~np.isfinite(log_odds)).sum())
    if infinite:
        return Undefined(f"{infinite} case(s) have a probability of 0 or 1, whose log-odds are infinite")
    return None


class RecalibrationStatistic:
    """The metrics of :data:`RECALIBRATION_NAMES` as functions of patients' weights.

    Cases with and without the label are each sorted by log-odds and gathered into at most 256 cells, each of which stands
    at its mean: cells of many cases in the middle, where log-odds are close, of one or few at both ends. With fewer cases
    every case is its own cell, and the fit is exact; beyond, it differs by far less than replicates do from each other (a
    test holds them against exact ones).

    Args:
        resampling: Which case is whose.
        positive: ``(n,)`` booleans, with both values.
        log_odds: ``(n,)`` finite numbers.
    """

    def __init__(self, resampling: PatientResampling, positive: Bools, log_odds: Floats) -> None:
        self._groups: list[tuple[Indices, Indices]] = []
        stands, targets = [], []
        for target, cases in ((1.0, np.flatnonzero(positive)), (0.0, np.flatnonzero(~positive))):
            order = cases[np.argsort(log_odds[cases], kind="stable")]
            starts = _starts(order.size)
            sizes = np.diff(np.append(starts, order.size))
            stands.append(np.add.reduceat(log_odds[order], starts) / sizes)
            targets.append(np.full(starts.size, target))
            self._groups.append((resampling.patient[order], starts))
        self._log_odds, self._targets = np.concatenate(stands), np.concatenate(targets)
        own = self._fit(np.ones((1, resampling.n_patients)), None, 0.0)[0]
        self._line = (float(own[0]), float(own[1])) if np.isfinite(own).all() else None
        self._large = float(own[2])

    def __call__(self, weights: Floats) -> Floats:
        """``(b, 3)`` for weights ``(b, patients)``; NaN where a replicate has no finite fit."""
        return self._fit(weights, self._line, self._large)

    def _fit(self, weights: Floats, line: tuple[float, float] | None, large: float) -> Floats:
        cells = self._cells(weights)
        lines = fit_logistic(self._log_odds, self._targets, cells, line)
        return np.column_stack((lines, fit_intercept(self._log_odds, self._targets, cells, large)))

    def _cells(self, weights: Floats) -> Floats:
        """How much each cell counts, ``(b, cells)``."""
        parts = [np.add.reduceat(weights[:, owner], starts, axis=1) for owner, starts in self._groups]
        return np.concatenate(parts, axis=1)


def _starts(n: int) -> Indices:
    """Where each cell begins among ``n`` sorted cases."""
    if n <= _CELLS:
        return np.arange(n)
    return np.unique((n * np.square(np.sin(np.pi / 2 * np.arange(_CELLS) / _CELLS))).astype(np.intp))
