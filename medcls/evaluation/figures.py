"""Figures of one label, each with its interval.

Which interval a figure gets:

* a proportion (sensitivity, specificity, accuracy, PPV, NPV) whose cases all come from different patients: Wilson;
* every other figure, and proportions where patients have several cases: the bootstrap by patient;
* where the bootstrap says nothing (fewer than five patients to resample, no spread as under perfect separation, or most
  replicates undefined): a conservative interval from a formula, named in ``method``, explained in ``reason``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medcls.evaluation.arrays import Bools, Floats
from medcls.evaluation.auc import auc
from medcls.evaluation.bootstrap import PatientResampling, percentiles
from medcls.evaluation.brier import brier
from medcls.evaluation.counts import RATE_NAMES, Counts, rates, ratio
from medcls.evaluation.estimate import Estimate, Figure, Method, Undefined
from medcls.evaluation.intervals import (
    Limits,
    auc_without_resampling,
    clopper_pearson,
    disjoint_pairs,
    hoeffding,
    wilson,
)

FIGURE_NAMES = ("auc", *RATE_NAMES, "brier")
PROPORTION_NAMES = ("sensitivity", "specificity", "accuracy", "ppv", "npv")
FEWEST_PATIENTS = 5  # to resample at all
FEW_PATIENTS = 20  # below it the interval is given with a warning
_NO_SPREAD = 1e-12

Fallback = Callable[[], tuple[Limits, Method]]


@dataclass(frozen=True, eq=False)
class LabelView:
    """One label against the rest.

    Attributes:
        name: The label.
        positive: ``(n,)`` the reference.
        scores: ``(n,)`` the label's probability.
        called: ``(n,)`` the decision at the operating point.
        resampling: Which case is whose.
    """

    name: str
    positive: Bools
    scores: Floats
    called: Bools
    resampling: PatientResampling

    @property
    def counts(self) -> Counts:
        """The 2x2 table."""
        return Counts.of(self.positive, self.called)

    def figure(self, name: str) -> Figure:
        """One of :data:`FIGURE_NAMES`."""
        if name == "auc":
            return auc(self.positive, self.scores)
        return brier(self.positive, self.scores) if name == "brier" else self.counts.figure(name)

    def columns(self) -> Floats:
        """``(n, 5)``: true and false positives, false and true negatives, squared error, for each case."""
        up, called = self.positive, self.called
        cells = (up & called, ~up & called, up & ~called, ~up & ~called, np.square(self.scores - up))
        return np.stack(cells, axis=1).astype(np.float64)

    def replicates(self, sums: Floats, aucs: Floats) -> dict[str, Floats]:
        """Every figure ``(replicates,)`` from the sums of :meth:`columns` and the AUCs; NaN where undefined."""
        tp, fp, fn, tn, error = sums.T
        return {"auc": aucs, **rates(tp, fp, fn, tn), "brier": ratio(error, tp + fp + fn + tn)}

    def denominator(self, name: str) -> Bools:
        """``(n,)`` the cases that a proportion is a share of."""
        everyone = np.ones(self.positive.size, dtype=np.bool_)
        cases = {"sensitivity": self.positive, "specificity": ~self.positive, "ppv": self.called, "npv": ~self.called}
        return cases.get(name, everyone)

    def patients_for(self, name: str) -> int:
        """How many patients the figure's spread rests on: of the smaller group, where it compares two."""
        if name in ("auc", "balanced_accuracy"):
            return min(self.resampling.count(self.positive), self.resampling.count(~self.positive))
        return self.resampling.count(self.positive if name == "f1" else self.denominator(name))

    def without_resampling(self, name: str, value: float, confidence: float) -> tuple[Limits, Method]:
        """A conservative interval of the figure, which has this ``value`` here, from a formula, by patient."""
        if name == "auc":
            return auc_without_resampling(value, self.pairs(), confidence)
        if name == "brier":
            return hoeffding(value, self.resampling.n_patients, confidence), Method.HOEFFDING
        if name in ("balanced_accuracy", "f1"):
            other = "specificity" if name == "balanced_accuracy" else "ppv"
            parts = [self._exact(part, 1 - (1 - confidence) / 2) for part in ("sensitivity", other)]
            join = _mean if name == "balanced_accuracy" else _harmonic_mean
            return (join(parts[0][0], parts[1][0]), join(parts[0][1], parts[1][1])), Method.BONFERRONI
        return self._exact(name, confidence), Method.CLOPPER_PEARSON

    def pairs(self) -> int:
        """How many disjoint pairs of a positive and a negative patient there are."""
        ups, downs = self.resampling.count(self.positive), self.resampling.count(~self.positive)
        both = ups + downs - self.resampling.n_patients
        return max(1, disjoint_pairs(ups - both, downs - both, both))

    def _exact(self, name: str, confidence: float) -> Limits:
        value = self.figure(name)
        if isinstance(value, Undefined):  # a part of F1 or balanced accuracy of which nothing is known
            return 0.0, 1.0
        n = self.resampling.count(self.denominator(name))
        return clopper_pearson(value * n, n, confidence)


def estimate_figure(view: LabelView, name: str, replicates: Floats, confidence: float) -> Estimate:
    """One figure of one label with its interval, chosen as at the head of this module."""
    value = view.figure(name)
    if isinstance(value, Undefined):
        return Estimate.undefined(value.reason)
    if name in PROPORTION_NAMES:
        cases = view.denominator(name)
        n = int(cases.sum())
        if view.resampling.count(cases) == n:
            return Estimate.around(value, wilson(round(value * n), n, confidence), Method.WILSON)
    return bootstrap_estimate(
        value, replicates, view.patients_for(name), confidence, lambda: view.without_resampling(name, value, confidence)
    )


def bootstrap_estimate(
    value: float, replicates: Floats, n_patients: int, confidence: float, fallback: Fallback
) -> Estimate:
    """The percentile interval of the replicates, or the fallback where they say nothing.

    Args:
        value: The figure on the cases as they are.
        replicates: ``(b,)``, NaN where a replicate leaves the figure undefined.
        n_patients: How many patients the figure's spread rests on.
        confidence: Confidence level.
        fallback: Gives a conservative interval.
    """
    defined = replicates[np.isfinite(replicates)]
    why = None
    if n_patients < FEWEST_PATIENTS:
        why = f"too few patients to resample ({n_patients})"
    elif 2 * defined.size < replicates.size:
        why = "undefined in most bootstrap replicates"
    elif np.ptp(defined) <= _NO_SPREAD:
        why = "the bootstrap shows no spread"
    if why is not None:
        limits, method = fallback()
        return Estimate.around(value, limits, method, f"{why}; a conservative interval is given")
    notes = []
    if n_patients < FEW_PATIENTS:
        notes.append(f"only {n_patients} patients: the interval may be too narrow")
    if defined.size < replicates.size:
        notes.append(f"undefined in {replicates.size - defined.size} of {replicates.size} replicates, left out")
    limits = percentiles(defined, confidence)
    return Estimate.around(value, limits, Method.PATIENT_BOOTSTRAP, "; ".join(notes) or None)


def _mean(first: float, second: float) -> float:
    return (first + second) / 2


def _harmonic_mean(first: float, second: float) -> float:
    return 2 * first * second / (first + second) if first + second > 0 else 0.0
