"""Figures of one label, each with its interval.

Which interval a figure gets:

* a proportion (sensitivity, specificity, accuracy, PPV, NPV) whose cases all come from different patients: Wilson;
* every other figure, and proportions where patients have several cases: the bootstrap by patient, which gives the
  standard error; the interval is Student's on the logit scale between the figure's bounds (log scale for likelihood
  ratios), since percentiles alone hold the true figure too seldom for a good classifier
  (``docs/explanation/figures-and-intervals.md`` has the measured coverage);
* where the bootstrap says nothing (fewer than five patients to resample, no spread as under perfect separation, or most
  replicates undefined): a conservative interval from a formula, named in ``method``, explained in ``reason``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from medcls.evaluation.calibration.brier import brier
from medcls.evaluation.discrimination.auc import auc
from medcls.evaluation.discrimination.average_precision import average_precision, average_precision_limits
from medcls.evaluation.discrimination.partial_auc import MOST_FPR, partial_auc, partial_auc_limits, standardised
from medcls.evaluation.discrimination.ranking import RANKING_NAMES
from medcls.evaluation.predictions import LabelCases
from medcls.evaluation.statistics.arrays import Bools, Floats, ratio
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.statistics.bootstrap_interval import bootstrap_estimate
from medcls.evaluation.statistics.estimate import Estimate, Method, PointEstimate, Undefined
from medcls.evaluation.statistics.intervals import (
    Limits,
    auc_without_resampling,
    clopper_pearson,
    disjoint_pairs,
    hoeffding,
    wilson,
)
from medcls.evaluation.thresholds.confusion import RATE_NAMES, Counts, rates

FIGURE_NAMES = (*RANKING_NAMES, *RATE_NAMES, "brier")
LIKELIHOOD_RATIOS = ("lr_positive", "lr_negative")
PROPORTION_NAMES = ("sensitivity", "specificity", "accuracy", "ppv", "npv")


@dataclass(frozen=True, eq=False)
class LabelView:
    """One label against the rest, among the cases of which it is known.

    Attributes:
        name: The label.
        positive: ``(n,)`` the reference.
        scores: ``(n,)`` the label's probability.
        called: ``(n,)`` the decision at the operating point.
        resampling: Which case is whose.
        known: Which cases of the partition these are.
    """

    name: str
    positive: Bools
    scores: Floats
    called: Bools
    resampling: PatientResampling
    known: Bools

    @classmethod
    def of(cls, cases: LabelCases, called: Bools) -> LabelView:
        """The view of a label's cases and of all decisions ``(cases of the partition, labels)``."""
        return cls(cases.label, cases.positive, cases.scores, cases.of(called), cases.resampling, cases.known)

    @property
    def counts(self) -> Counts:
        """The 2x2 table."""
        return Counts.of(self.positive, self.called)

    def metric(self, name: str) -> PointEstimate:
        """One of :data:`FIGURE_NAMES`."""
        of_scores = _OF_SCORES.get(name)
        return self.counts.metric(name) if of_scores is None else of_scores(self.positive, self.scores)

    def columns(self) -> Floats:
        """``(n, 5)``: true and false positives, false and true negatives, squared error, for each case."""
        up, called = self.positive, self.called
        cells = (up & called, ~up & called, up & ~called, ~up & ~called, np.square(self.scores - up))
        return np.stack(cells, axis=1).astype(np.float64)

    def replicates(self, sums: Floats, ranking: Floats) -> dict[str, Floats]:
        """Every figure ``(b,)``, NaN where undefined.

        Args:
            sums: ``(b, 5)`` sums of :meth:`columns`.
            ranking: ``(b, 3)`` figures of :data:`medcls.evaluation.discrimination.ranking.RANKING_NAMES`.
        """
        tp, fp, fn, tn, error = sums.T
        drawn = rates(tp, fp, fn, tn)
        ranked = dict(zip(RANKING_NAMES, ranking.T, strict=True))
        return {**ranked, **drawn, **self._linear_ratios(drawn), "brier": ratio(error, tp + fp + fn + tn)}

    def _linear_ratios(self, drawn: Mapping[str, Floats]) -> dict[str, Floats]:
        """Replicates of the likelihood ratios, linear in sensitivity and specificity (the delta method on the log scale).

        The ratios themselves would be infinite in a replicate without false alarms.
        """
        found, spared = self.metric("sensitivity"), self.metric("specificity")
        linear = dict.fromkeys(LIKELIHOOD_RATIOS, np.full(drawn["sensitivity"].shape, np.nan))
        if isinstance(found, Undefined) or isinstance(spared, Undefined):
            return linear
        hits, quiet = drawn["sensitivity"] - found, drawn["specificity"] - spared
        if spared < 1:
            linear["lr_positive"] = (found + hits + found * quiet / (1 - spared)) / (1 - spared)
        if spared > 0:
            linear["lr_negative"] = (1 - found - hits - (1 - found) * quiet / spared) / spared
        return linear

    def denominator(self, name: str) -> Bools:
        """``(n,)`` the cases that a proportion is a share of."""
        everyone = np.ones(self.positive.size, dtype=np.bool_)
        cases = {"sensitivity": self.positive, "specificity": ~self.positive, "ppv": self.called, "npv": ~self.called}
        return cases.get(name, everyone)

    def patients_for(self, name: str) -> int:
        """How many patients the figure's spread rests on: of the smaller group, where it compares two."""
        if name in RANKING_NAMES or name in _OF_BOTH:
            return min(self.resampling.count(self.positive), self.resampling.count(~self.positive))
        return self.resampling.count(self.positive if name == "f1" else self.denominator(name))

    def without_resampling(self, name: str, value: float, confidence: float) -> tuple[Limits, Method]:
        """A conservative interval of the figure, which has this ``value`` here, from a formula, by patient."""
        if name in RANKING_NAMES:
            return self._ranking_without_resampling(name, confidence)
        if name == "brier":
            return hoeffding(value, self.resampling.n_patients, confidence), Method.HOEFFDING
        if name in _JOINED:
            parts, join = _JOINED[name]
            first, second = (self._exact(part, 1 - (1 - confidence) / 2) for part in parts)
            corners = [join(one, other, self.prevalence) for one in first for other in second]
            return (min(corners), max(corners)), Method.BONFERRONI
        return self._exact(name, confidence), Method.CLOPPER_PEARSON

    @property
    def prevalence(self) -> float:
        """The share of cases with the label; there must be cases."""
        return float(self.positive.mean())

    def _ranking_without_resampling(self, name: str, confidence: float) -> tuple[Limits, Method]:
        area = auc(self.positive, self.scores)
        known = 0.5 if isinstance(area, Undefined) else area
        limits, method = auc_without_resampling(known, self.pairs(), confidence)
        if name == "partial_auc":
            return partial_auc_limits(limits), method
        return (limits if name == "auc" else average_precision_limits(limits, self.prevalence)), method

    def pairs(self) -> int:
        """How many disjoint pairs of a positive and a negative patient there are."""
        ups, downs = self.resampling.count(self.positive), self.resampling.count(~self.positive)
        both = ups + downs - self.resampling.n_patients
        return max(1, disjoint_pairs(ups - both, downs - both, both))

    def _exact(self, name: str, confidence: float) -> Limits:
        value = self.metric(name)
        if isinstance(value, Undefined):  # a part of F1 or balanced accuracy of which nothing is known
            return 0.0, 1.0
        n = self.resampling.count(self.denominator(name))
        return clopper_pearson(value * n, n, confidence)


def estimate_metric(view: LabelView, name: str, replicates: Floats, confidence: float) -> Estimate:
    """One figure of one label with its interval, chosen as at the head of this module."""
    value = view.metric(name)
    if isinstance(value, Undefined):
        return Estimate.undefined(value.reason)
    if name in PROPORTION_NAMES:
        cases = view.denominator(name)
        n = int(cases.sum())
        if view.resampling.count(cases) == n:
            return Estimate.around(value, wilson(round(value * n), n, confidence), Method.WILSON)
    return bootstrap_estimate(
        value,
        replicates,
        view.patients_for(name),
        confidence,
        lambda: view.without_resampling(name, value, confidence),
        BOUNDS[name],
    )


def _mean(first: float, second: float, _: float) -> float:
    return (first + second) / 2


def _harmonic_mean(first: float, second: float, _: float) -> float:
    return 2 * first * second / (first + second) if first + second > 0 else 0.0


def _mcc(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Matthews' coefficient of a 2x2 table with these rates; it rises with both."""
    called = prevalence * sensitivity + (1 - prevalence) * (1 - specificity)
    if not 0 < called < 1:
        return 0.0
    spread = (prevalence * (1 - prevalence)) / (called * (1 - called))
    return (sensitivity + specificity - 1) * math.sqrt(spread)


def _lr_positive(sensitivity: float, specificity: float, _: float) -> float:
    return sensitivity / (1 - specificity)


def _lr_negative(sensitivity: float, specificity: float, _: float) -> float:
    return (1 - sensitivity) / specificity


_OF_SCORES: Mapping[str, Callable[[Bools, Floats], PointEstimate]] = {
    "auc": auc,
    "partial_auc": partial_auc,
    "average_precision": average_precision,
    "brier": brier,
}
BOUNDS: Mapping[str, Limits] = {
    **dict.fromkeys(FIGURE_NAMES, (0.0, 1.0)),
    "partial_auc": (standardised(0.0, MOST_FPR), 1.0),
    "mcc": (-1.0, 1.0),
    "lr_positive": (0.0, math.inf),
    "lr_negative": (0.0, math.inf),
}
"""The least and the greatest value that each figure of a label can have."""
_RATES_OF_BOTH = ("sensitivity", "specificity")
_OF_BOTH = ("balanced_accuracy", "mcc", *LIKELIHOOD_RATIOS)
# Figures made of two proportions: which, and how from these and the prevalence; monotone in each.
_JOINED: Mapping[str, tuple[tuple[str, str], Callable[[float, float, float], float]]] = {
    "balanced_accuracy": (_RATES_OF_BOTH, _mean),
    "f1": (("sensitivity", "ppv"), _harmonic_mean),
    "mcc": (_RATES_OF_BOTH, _mcc),
    "lr_positive": (_RATES_OF_BOTH, _lr_positive),
    "lr_negative": (_RATES_OF_BOTH, _lr_negative),
}
