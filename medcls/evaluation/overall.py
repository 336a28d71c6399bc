"""Figures over several labels, each with its interval.

They are unweighted (macro) means over the labels that have cases and leave the figure defined. Exclusive labels have
three figures of their own: accuracy is the share of cases with the right label, balanced accuracy the mean
sensitivity, and Brier's score the sum over labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medcls.evaluation.arrays import Bools, Floats
from medcls.evaluation.bootstrap import PatientResampling, Statistic
from medcls.evaluation.brier import brier
from medcls.evaluation.counts import ratio
from medcls.evaluation.curves import BAND_FPR
from medcls.evaluation.estimate import Estimate, Method, Undefined
from medcls.evaluation.figures import BOUNDS, FIGURE_NAMES, LabelView
from medcls.evaluation.hand_till import HandTillStatistic, hand_till_estimate
from medcls.evaluation.intervals import Limits, clopper_pearson, hoeffding, wilson
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.ranking import RANKING_NAMES, RankingStatistic
from medcls.evaluation.resampled import bootstrap_estimate

_RANKED = len(RANKING_NAMES)


@dataclass(frozen=True, eq=False)
class Replicates:
    """Bootstrap replicates of everything, NaN where undefined.

    Attributes:
        figures: By label and figure, ``(b,)``.
        bands: By label, ``(b, 101)`` sensitivities at :data:`medcls.evaluation.curves.BAND_FPR`.
        accuracy: ``(b,)`` share of cases with the right one of several exclusive labels.
        brier: ``(b,)`` Brier's score summed over labels.
        hand_till: ``(b,)`` Hand and Till's AUC; NaN but for three or more exclusive labels.
    """

    figures: Mapping[str, Mapping[str, Floats]]
    bands: Mapping[str, Floats]
    accuracy: Floats
    brier: Floats
    hand_till: Floats


@dataclass(frozen=True, eq=False)
class PartitionFigures:
    """The labels of a partition together: replicates on the same draws, means over labels, figures over all labels.

    Attributes:
        predictions: The partition's cases.
        called: ``(n, labels)`` decisions at the operating point.
        resampling: Which case is whose.
        views: The labels that get figures.
        confidence: Confidence level of all intervals.
    """

    predictions: Predictions
    called: Bools
    resampling: PatientResampling
    views: tuple[LabelView, ...]
    confidence: float

    @property
    def right(self) -> Bools:
        """Whether each case of an exclusive labelling got its reference label."""
        return np.asarray((self.called & self.predictions.reference).any(axis=1))

    @property
    def has_hand_till(self) -> bool:
        """Whether Hand and Till's AUC is asked: three or more exclusive labels."""
        return len(self.predictions.labels) > 2 and not self.predictions.multilabel

    def replicate(self, replicates: int, seed: int) -> Replicates:
        """All replicates, on the same draws, in one pass."""
        curved = [view for view in self.views if view.positive.any() and not view.positive.all()]
        statistics = [self.resampling.sums(self._columns())]
        statistics += [RankingStatistic(self.resampling, view.positive, view.scores, BAND_FPR) for view in curved]
        statistics += self._pairwise()
        sums, *others = self.resampling.replicate(statistics, replicates=replicates, seed=seed)
        nothing = np.full((replicates, _RANKED + BAND_FPR.size), np.nan)
        roc = {view.name: nothing for view in self.views}
        roc.update({view.name: values for view, values in zip(curved, others, strict=False)})
        by_label = np.split(sums[:, :-3], len(self.views), axis=1)
        right, error, n = sums[:, -3:].T
        return Replicates(
            figures={
                view.name: view.replicates(part, roc[view.name][:, :_RANKED])
                for view, part in zip(self.views, by_label, strict=True)
            },
            bands={name: values[:, _RANKED:] for name, values in roc.items()},
            accuracy=ratio(right, n),
            brier=ratio(error, n),
            hand_till=others[-1] if len(others) > len(curved) else nothing[:, 0],
        )

    def _columns(self) -> Floats:
        """Each label's columns, then three of all labels: rightly decided, error summed over labels, one."""
        columns = [view.columns() for view in self.views]
        errors = np.square(self.predictions.probabilities - self.predictions.reference).sum(axis=1)
        whole = np.stack((self.right.astype(np.float64), errors, np.ones_like(errors)), axis=1)
        return np.concatenate([*columns, whole], axis=1)

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
        """The figures over all labels, where there is no positive one."""
        figures = {name: self.macro(name, replicates) for name in FIGURE_NAMES}
        if not self.predictions.multilabel:
            figures["accuracy"] = self.accuracy(replicates.accuracy)
            figures["balanced_accuracy"] = figures["sensitivity"]
            figures["brier"] = self.brier(replicates.brier)
        return figures

    def macro(self, name: str, replicates: Replicates) -> Estimate:
        """The mean of one figure over the labels that have cases and leave it defined."""
        used: list[tuple[LabelView, float]] = []
        left_out: list[str] = []
        for view in self.views:
            value = view.figure(name)
            absent = None if view.positive.any() else view.figure("sensitivity")
            undefined = absent if isinstance(absent, Undefined) else value
            if isinstance(undefined, Undefined):
                left_out.append(f"{view.name} ({undefined.reason})")
            else:
                used.append((view, undefined))
        if not used:
            return Estimate.undefined(f"undefined for every label: {'; '.join(left_out)}")

        def fallback() -> tuple[Limits, Method]:
            shared = 1 - (1 - self.confidence) / len(used)
            limits = [view.without_resampling(name, value, shared)[0] for view, value in used]
            return (_mean([low for low, _ in limits]), _mean([high for _, high in limits])), Method.BONFERRONI

        drawn = np.mean([replicates.figures[view.name][name] for view, _ in used], axis=0)
        n_patients = min(view.patients_for(name) for view, _ in used)
        mean = _mean([value for _, value in used])
        estimate = bootstrap_estimate(mean, drawn, n_patients, self.confidence, fallback, BOUNDS[name])
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


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
