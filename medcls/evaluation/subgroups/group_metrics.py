"""The metrics of one group of cases, and of the gap between groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit, logit

from medcls.config.settings import EvaluationSettings
from medcls.evaluation.calibration.brier import brier
from medcls.evaluation.discrimination.auc import auc
from medcls.evaluation.discrimination.delong import placements
from medcls.evaluation.statistics.arrays import Bools, Floats, Indices, ratio
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.statistics.bootstrap_interval import NO_SPREAD, bootstrap_estimate
from medcls.evaluation.statistics.estimate import Estimate, Method, PointEstimate, Undefined
from medcls.evaluation.statistics.intervals import (
    Limits,
    auc_without_resampling,
    clopper_pearson,
    disjoint_pairs,
    expanded_tail,
    hoeffding,
)
from medcls.evaluation.statistics.patient_bootstrap import sum_by_patient
from medcls.evaluation.statistics.proportions import estimate_share

GROUP_FIGURES = ("auc", "sensitivity", "specificity", "brier", "calibration_in_the_large")
FEWEST = 10  # patients that a metric is shown for
_METHOD = Method.UNSTRATIFIED_BOOTSTRAP  # the mix of labels within a group is chance
_TOO_FEW = "suppressed: fewer than 10 patients"


@dataclass(frozen=True, eq=False)
class GroupView:
    """One label among the cases of one group of which it is known.

    Attributes:
        name: The group's name.
        positive: ``(m,)`` the reference.
        scores: ``(m,)`` the label's probability.
        called: ``(m,)`` the decision at the operating point.
        resampling: Which of the ``m`` cases is whose, among the group's patients.
        patients: The group's patients as places among all patients.
    """

    name: str
    positive: Bools
    scores: Floats
    called: Bools
    resampling: PatientResampling
    patients: Indices

    @classmethod
    def of(cls, name: str, cases: Bools, owners: Indices, positive: Bools, scores: Floats, called: Bools) -> GroupView:
        """The view of ``cases`` ``(n,)``; ``owners`` ``(n,)`` are places among all patients."""
        patients, place = np.unique(owners[cases], return_inverse=True)
        resampling = PatientResampling(place.astype(np.intp), (np.arange(patients.size),), patients.size)
        return cls(name, positive[cases], scores[cases], called[cases], resampling, patients.astype(np.intp))

    @cached_property
    def sizes(self) -> tuple[int, int, int]:
        """How many patients there are, with the label, and without it."""
        return (
            self.resampling.n_patients,
            self.resampling.count(self.positive),
            self.resampling.count(~self.positive),
        )

    def suppressed(self, metric: str) -> str | None:
        """Why a metric is not shown, if it is not."""
        everyone, ups, downs = self.sizes
        if everyone < FEWEST:
            return _TOO_FEW
        if ups < FEWEST and metric in ("auc", "sensitivity"):
            return f"{_TOO_FEW} with the label"
        return f"{_TOO_FEW} without the label" if downs < FEWEST and metric in ("auc", "specificity") else None

    def value(self, metric: str) -> PointEstimate:
        """One of :data:`GROUP_FIGURES`; the last is the mean probability minus the share with the label."""
        why = self.suppressed(metric)
        if why is not None:
            return Undefined(why)
        if metric == "auc":
            return auc(self.positive, self.scores)
        if metric == "brier":
            return brier(self.positive, self.scores)
        if metric == "calibration_in_the_large":
            return float(self.scores.mean() - self.positive.mean())
        right, cases = self._share(metric)
        return float(right[cases].mean())

    def by_patient(self) -> Floats:
        """``(9, patients)`` what each of the group's patients adds to the sums of :meth:`replicates`."""
        up, called = self.positive, self.called
        above, under = self._placements()
        cells = (up & called, up, ~up & ~called, ~up, np.square(self.scores - up), self.scores - up, up | ~up)
        columns = np.stack([*cells, above, under], axis=1).astype(np.float64)
        return sum_by_patient(self.resampling, columns).T

    def replicates(self, sums: Floats) -> dict[str, Floats]:
        """Every metric ``(b,)`` from weighted sums ``(9, b)`` of :meth:`by_patient`; NaN where undefined."""
        tp, ups, tn, downs, squares, bias, n, above, under = sums
        drawn = {
            "sensitivity": ratio(tp, ups),
            "specificity": ratio(tn, downs),
            "brier": ratio(squares, n),
            "calibration_in_the_large": ratio(bias, n),
        }
        area = self.value("auc")
        if not isinstance(area, Undefined):
            drawn["auc"] = _around(area, ratio(above, ups) + ratio(under, downs) - 2 * area)
        return drawn

    def estimate(self, metric: str, drawn: Floats | None, confidence: float) -> Estimate:
        """One metric with its interval, from its replicates."""
        value = self.value(metric)
        if isinstance(value, Undefined) or drawn is None:
            return Estimate.undefined(value.reason if isinstance(value, Undefined) else _TOO_FEW)
        if metric in ("sensitivity", "specificity"):
            return estimate_share(*self._share(metric), self.resampling, drawn, confidence, _TOO_FEW, _METHOD)
        everyone, ups, downs = self.sizes
        n_patients = min(ups, downs) if metric == "auc" else everyone

        def fallback() -> tuple[Limits, Method]:
            return self.conservative(metric, value, confidence)

        return bootstrap_estimate(value, drawn, n_patients, confidence, fallback, method=_METHOD)

    def conservative(self, metric: str, value: float, confidence: float) -> tuple[Limits, Method]:
        """An interval from a formula, by patient."""
        everyone, ups, downs = self.sizes
        if metric == "auc":
            both = ups + downs - everyone
            return auc_without_resampling(value, disjoint_pairs(ups - both, downs - both, both), confidence)
        if metric == "brier":
            return hoeffding(value, everyone, confidence), Method.HOEFFDING
        if metric == "calibration_in_the_large":
            low, high = hoeffding(value + 1, everyone, confidence, span=2.0)
            return (low - 1, high - 1), Method.HOEFFDING
        n = ups if metric == "sensitivity" else downs
        return clopper_pearson(value * n, n, confidence), Method.CLOPPER_PEARSON

    def _share(self, metric: str) -> tuple[Bools, Bools]:
        return (self.called, self.positive) if metric == "sensitivity" else (~self.called, ~self.positive)

    def _placements(self) -> tuple[Floats, Floats]:
        """``(m,)`` shares of negatives below each positive, and of positives above each negative; 0 elsewhere."""
        above, under = np.zeros(self.scores.size), np.zeros(self.scores.size)
        if self.positive.any() and not self.positive.all():
            ups, downs = placements(self.positive, self.scores[:, None])
            above[self.positive], under[~self.positive] = ups[:, 0], downs[:, 0]
        return above, under


def replicate_groups(
    views: Sequence[GroupView], resampling: PatientResampling, settings: EvaluationSettings, seed: int
) -> list[dict[str, Floats]]:
    """The replicates of every group that is large enough, all on the same draws of all patients."""
    large = [view for view in views if view.suppressed("brier") is None]
    if not large:
        return [{} for _ in views]
    # The labels of one group have its patients in common, which are looked up once for all of them.
    together: dict[bytes, list[GroupView]] = defaultdict(list)
    for view in large:
        together[view.patients.tobytes()].append(view)
    columns = {key: np.concatenate([view.by_patient() for view in group]) for key, group in together.items()}
    everyone = PatientResampling(resampling.patient, (np.arange(resampling.n_patients),), resampling.n_patients)
    chunks: dict[bytes, list[Floats]] = defaultdict(list)
    for weights in everyone.weights(settings.replicates, seed):
        by_row = np.ascontiguousarray(weights.T)  # so that a patient's weights are side by side
        for key, group in together.items():
            chunks[key].append(columns[key] @ by_row[group[0].patients])
    drawn = {}
    for key, group in together.items():
        sums = np.split(np.concatenate(chunks[key], axis=1), len(group))
        drawn.update({id(view): view.replicates(one) for view, one in zip(group, sums, strict=True)})
    return [drawn.get(id(view), {}) for view in views]


def gap_between(
    metric: str, views: Sequence[GroupView], drawn: Sequence[dict[str, Floats]], confidence: float
) -> tuple[str | None, str | None, Estimate]:
    """The groups with the highest and with the lowest metric, and the gap with limits that hold for all pairs."""
    shown = [
        (view, value, replicates[metric])
        for view, replicates in zip(views, drawn, strict=True)
        if not isinstance(value := view.value(metric), Undefined)
    ]
    if len(shown) < 2:
        return None, None, Estimate.undefined("fewer than two groups are large enough")
    values = np.array([value for _, value, _ in shown])
    gap = float(np.ptp(values))
    errors = np.stack([replicates for *_, replicates in shown], axis=1) - values
    errors = errors[np.isfinite(errors).all(axis=1)]
    names = shown[int(values.argmax())][0].name, shown[int(values.argmin())][0].name
    if 2 * len(errors) < len(shown[0][2]) or (np.ptp(errors, axis=0) <= NO_SPREAD).any():
        shared = 1 - (1 - confidence) / len(shown)
        lows, highs = zip(*(view.conservative(metric, value, shared)[0] for view, value, _ in shown), strict=True)
        limits = max(0.0, max(lows) - min(highs)), max(highs) - min(lows)
        reason = "a group shows no spread; a conservative interval is given"
        return *names, Estimate.around(gap, limits, Method.BONFERRONI, reason)
    fewest = min(_patients_for(metric, view) for view, *_ in shown)
    q = float(np.quantile(np.ptp(errors, axis=1), 1 - 2 * expanded_tail(confidence, fewest)))
    return *names, Estimate.around(gap, (max(0.0, gap - q), gap + q), _METHOD)


def _patients_for(metric: str, view: GroupView) -> int:
    everyone, ups, downs = view.sizes
    return {"auc": min(ups, downs), "sensitivity": ups, "specificity": downs}.get(metric, everyone)


def _around(area: float, change: Floats) -> Floats:
    """AUCs that are ``change`` from ``area`` to first order; on the logit scale, so that they stay within 0 and 1."""
    slope = area * (1 - area)
    return np.asarray(expit(logit(area) + change / slope)) if slope > 0 else np.full_like(change, area)
