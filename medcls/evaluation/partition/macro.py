"""Figures over several labels, each with its interval.

They are unweighted (macro) means over the labels that have cases and leave the metric defined. Exclusive labels have
three metrics of their own: accuracy is the share of cases with the right label, balanced accuracy the mean
sensitivity, and Brier's score the sum over labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medcls.evaluation.calibration.brier import brier
from medcls.evaluation.discrimination.hand_till import HandTillStatistic, hand_till_estimate
from medcls.evaluation.discrimination.ranking import RankingStatistic
from medcls.evaluation.metrics import METRICS, RANKED
from medcls.evaluation.metrics.metric import Metric
from medcls.evaluation.partition.curves import BAND_FPR
from medcls.evaluation.partition.label_metrics import CELLS, LabelView
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.statistics.arrays import Bools, Floats, ratio
from medcls.evaluation.statistics.bootstrap import PatientResampling, Statistic
from medcls.evaluation.statistics.bootstrap_interval import bootstrap_estimate
from medcls.evaluation.statistics.estimate import Estimate, Method, Undefined
from medcls.evaluation.statistics.intervals import Limits, clopper_pearson, hoeffding, wilson

_RANKED = len(RANKED)


@dataclass(frozen=True, eq=False)
class Replicates:
    """Bootstrap replicates of everything, NaN where undefined.

    Attributes:
        estimates: By label and metric, ``(b,)``, each label's on the patients of whom it is known.
        together: The same on one draw of all patients, for means over labels; where all labels are known, the same.
        bands: By label, ``(b, 101)`` sensitivities at :data:`medcls.evaluation.partition.curves.BAND_FPR`.
        accuracy: ``(b,)`` share of cases with the right one of several exclusive labels.
        brier: ``(b,)`` Brier's score summed over labels.
        hand_till: ``(b,)`` Hand and Till's AUC; NaN but for three or more exclusive labels.
    """

    estimates: Mapping[str, Mapping[str, Floats]]
    together: Mapping[str, Mapping[str, Floats]]
    bands: Mapping[str, Floats]
    accuracy: Floats
    brier: Floats
    hand_till: Floats


@dataclass(frozen=True, eq=False)
class MacroMetrics:
    """The labels of a partition together: replicates on the same draws, means over labels, metrics over all labels.

    Attributes:
        predictions: The partition's cases.
        called: ``(n, labels)`` decisions at the operating point.
        views: The labels that get metrics.
        confidence: Confidence level of all intervals.
    """

    predictions: Predictions
    called: Bools
    views: tuple[LabelView, ...]
    confidence: float

    @property
    def resampling(self) -> PatientResampling:
        """Which case is whose."""
        return self.predictions.resampling

    @property
    def right(self) -> Bools:
        """Whether each case of an exclusive labelling got its reference label."""
        return np.asarray((self.called & self.predictions.reference).any(axis=1))

    @property
    def has_hand_till(self) -> bool:
        """Whether Hand and Till's AUC is asked: three or more exclusive labels."""
        return self.predictions.space.kind == "exclusive"

    def replicate(self, replicates: int, seed: int) -> Replicates:
        """All replicates, on the same draws, in one pass; again for each label that is not known of all cases, on its own."""
        pairwise = self._pairwise()
        whole: list[Statistic] = [self.resampling.sums(self._whole()), *pairwise]
        together, others = _drawn(self.views, self.resampling, whole, replicates, seed)
        own = dict(together)
        for view in self.views:
            if not view.known.all():
                own |= _drawn(
                    (replace(view, known=np.ones_like(view.positive)),), view.resampling, [], replicates, seed
                )[0]
        right, error, n = others[0].T
        return Replicates(
            estimates={name: one for name, (one, _) in own.items()},
            together={name: one for name, (one, _) in together.items()},
            bands={name: band for name, (_, band) in own.items()},
            accuracy=ratio(right, n),
            brier=ratio(error, n),
            hand_till=others[1] if pairwise else np.full(replicates, np.nan),
        )

    def _whole(self) -> Floats:
        """Three columns of all labels: correctly decided, error summed over labels, one."""
        errors = np.square(self.predictions.probabilities - self.predictions.reference).sum(axis=1)
        return np.stack((self.right.astype(np.float64), errors, np.ones_like(errors)), axis=1)

    def _pairwise(self) -> list[Statistic]:
        reference = self.predictions.reference
        if not self.has_hand_till or np.count_nonzero(reference.any(axis=0)) < 2:
            return []
        return [HandTillStatistic(self.resampling, reference, self.predictions.probabilities)]

    def hand_till(self, replicates: Replicates) -> Estimate | None:
        """Hand and Till's AUC of three or more exclusive labels; ``None`` for others."""
        if not self.has_hand_till:
            return None
        return hand_till_estimate(self.predictions, self.resampling, replicates.hand_till, self.confidence)

    def over_labels(self, replicates: Replicates) -> dict[str, Estimate]:
        """The metrics over all labels, where there is no positive one."""
        estimates = {name: self.macro(metric, replicates) for name, metric in self.views[0].metrics.items()}
        if not self.predictions.multilabel:
            estimates["accuracy"] = self.accuracy(replicates.accuracy)
            estimates["balanced_accuracy"] = estimates["sensitivity"]
            estimates["brier"] = self.brier(replicates.brier)
        return estimates

    def macro(self, metric: Metric, replicates: Replicates) -> Estimate:
        """The mean of one metric over the labels that have cases and leave it defined."""
        used: list[tuple[LabelView, float]] = []
        left_out: list[str] = []
        for view in self.views:
            absent = None if view.positive.any() else METRICS["sensitivity"].value(view)
            value = metric.value(view)
            undefined = absent if isinstance(absent, Undefined) else value
            if isinstance(undefined, Undefined):
                left_out.append(f"{view.name} ({undefined.reason})")
            else:
                used.append((view, undefined))
        if not used:
            return Estimate.undefined(f"undefined for every label: {'; '.join(left_out)}")

        def fallback() -> tuple[Limits, Method]:
            shared = 1 - (1 - self.confidence) / len(used)
            limits = [metric.conservative(view, value, shared)[0] for view, value in used]
            return (_mean([low for low, _ in limits]), _mean([high for _, high in limits])), Method.BONFERRONI

        drawn = np.mean([replicates.together[view.name][metric.name] for view, _ in used], axis=0)
        n_patients = min(metric.patients(view) for view, _ in used)
        mean = _mean([value for _, value in used])
        estimate = bootstrap_estimate(mean, drawn, n_patients, self.confidence, fallback, metric.bounds)
        if not left_out:
            return estimate
        note = f"mean over {len(used)} of {len(self.views)} labels, left out: {', '.join(left_out)}"
        return estimate.noted(note)

    def accuracy(self, replicates: Floats) -> Estimate:
        """The share of cases with the right one of several exclusive labels."""
        n, n_patients = self.predictions.n_cases, self.resampling.n_patients
        if not n:
            return Estimate.undefined("there are no cases")
        right = int(self.right.sum())
        if n_patients == n:
            return Estimate.around(right / n, wilson(right, n, self.confidence), Method.WILSON)

        def fallback() -> tuple[Limits, Method]:
            return clopper_pearson(right / n * n_patients, n_patients, self.confidence), Method.CLOPPER_PEARSON

        return bootstrap_estimate(right / n, replicates, n_patients, self.confidence, fallback, (0.0, 1.0))

    def brier(self, replicates: Floats) -> Estimate:
        """Brier's score summed over exclusive labels, 0 to 2."""
        value = brier(self.predictions.reference, self.predictions.probabilities)
        if isinstance(value, Undefined):
            return Estimate.undefined(value.reason)
        n_patients = self.resampling.n_patients

        def fallback() -> tuple[Limits, Method]:
            return hoeffding(value, n_patients, self.confidence, span=2.0), Method.HOEFFDING

        return bootstrap_estimate(value, replicates, n_patients, self.confidence, fallback, (0.0, 2.0))


def _drawn(
    views: Sequence[LabelView], resampling: PatientResampling, others: Sequence[Statistic], replicates: int, seed: int
) -> tuple[dict[str, tuple[dict[str, Floats], Floats]], list[Floats]]:
    """By label its figures' replicates and its band's, and the replicates of other statistics, all on the same draws."""
    columns = np.zeros((resampling.patient.size, len(views), CELLS))
    for place, view in enumerate(views):
        columns[view.known, place] = view.columns()
    curved = [view for view in views if view.positive.any() and not view.positive.all()]
    statistics: list[Statistic] = [resampling.sums(columns.reshape(len(columns), CELLS * len(views)))]
    ranked = [row.drawn for row in RANKED.values()]
    statistics += [
        RankingStatistic(resampling.within(one.known), one.positive, one.scores, BAND_FPR, ranked) for one in curved
    ]
    alone = {
        (view.name, name): statistic
        for view in views
        for name, metric in view.metrics.items()
        if (statistic := metric.statistic(view, resampling.within(view.known))) is not None
    }
    statistics += [*alone.values(), *others]
    sums, *values = resampling.replicate(statistics, replicates=replicates, seed=seed)
    roc = dict.fromkeys((view.name for view in views), np.full((replicates, _RANKED + BAND_FPR.size), np.nan))
    roc |= {view.name: one for view, one in zip(curved, values, strict=False)}
    found = {
        view.name: (view.replicates(part, roc[view.name][:, :_RANKED]), roc[view.name][:, _RANKED:])
        for view, part in zip(views, np.split(sums, len(views), axis=1), strict=True)
    }
    for (label, name), one in zip(alone, values[len(curved) :], strict=False):
        found[label][0][name] = one
    return found, values[len(curved) + len(alone) :]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
