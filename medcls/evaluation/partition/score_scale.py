"""Scores that are no probabilities (a marker's concentration, a grade, a logit): ranked to be evaluated, shown as they are.

AUC, sensitivity, specificity and whatever else rests on the order of scores and on a threshold stays what it is under any
strictly rising map. So scores are mapped to their rank among the observed values, between 0 and 1, evaluated like
probabilities, and every threshold is mapped back. What asks for a probability (Brier's score, calibration, net benefit) is
undefined, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from medcls.errors import UsageError
from medcls.evaluation.metrics import METRICS
from medcls.evaluation.metrics.metric import Metric
from medcls.evaluation.partition.curves import RocDrawing
from medcls.evaluation.partition.failures import FailureAnalysis, LabelFailures, WrongPrediction
from medcls.evaluation.partition.metrics import LabelMetrics, PartitionMetrics
from medcls.evaluation.statistics.arrays import Floats, as_floats
from medcls.evaluation.statistics.estimate import Estimate
from medcls.evaluation.subgroups.subgroups import CovariateGroups, Gap, Subgroups
from medcls.evaluation.thresholds.operating_point import OperatingPoint

NO_PROBABILITY = "the scores are not probabilities"
_NEED_PROBABILITIES = frozenset(
    ("calibration_in_the_large", *(name for name, row in METRICS.items() if row.takes == "probabilities"))
)


@dataclass(frozen=True, eq=False)
class RankScale:
    """A strictly rising map from the observed scores to 0 to 1: the smallest becomes 0, the greatest 1.

    Attributes:
        levels: ``(k,)`` the different observed scores, rising.
    """

    levels: Floats

    @classmethod
    def of(cls, scores: ArrayLike) -> RankScale:
        """The scale of all scores that will be evaluated together, of every partition.

        Raises:
            UsageError: There is no score, or one is not finite.
        """
        levels = np.unique(as_floats(scores, "the scores"))
        if not levels.size or not np.isfinite(levels).all():
            raise UsageError("scores must be finite numbers, and at least one")
        return cls(levels)

    @property
    def ranks(self) -> Floats:
        """``(k,)`` what each level becomes."""
        return np.linspace(0.0, 1.0, self.levels.size) if self.levels.size > 1 else np.full(1, 0.5)

    def ranked(self, scores: ArrayLike) -> Floats:
        """Scores, or thresholds for them, on the scale; between two levels the map is straight.

        A threshold above every score becomes one above 1, so that it still calls nothing; one below becomes 0.
        """
        numbers = as_floats(scores, "the scores")
        inside = np.interp(numbers, self.levels, self.ranks)
        inside = np.where(numbers > self.levels[-1], np.nextafter(1.0, 2.0), inside)
        return np.where(numbers < self.levels[0], 0.0, self._parted(numbers, inside))

    def _parted(self, numbers: Floats, inside: Floats) -> Floats:
        """Keep a threshold strictly between the levels on either side of it, where rounding would move it onto one."""
        upper = np.minimum(np.searchsorted(self.levels, numbers, side="left"), self.levels.size - 1)
        lower = np.maximum(upper - 1, 0)
        between = (numbers > self.levels[lower]) & (numbers < self.levels[upper])
        onto = (inside <= self.ranks[lower]) | (inside >= self.ranks[upper])
        return np.where(between & onto, (self.ranks[lower] + self.ranks[upper]) / 2, inside)

    def raw(self, ranks: ArrayLike) -> Floats:
        """What :meth:`ranked` came from."""
        return np.asarray(np.interp(as_floats(ranks, "the ranks"), self.ranks, self.levels), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class ScoreScales:
    """The scale of each label that is called.

    Attributes:
        scales: By label.
    """

    scales: Mapping[str, RankScale]

    def ranked(self, point: OperatingPoint) -> OperatingPoint:
        """The operating point for ranked scores, of one whose thresholds are in the scores' own unit."""
        cuts = tuple(replace(cut, value=float(self.scales[cut.label].ranked(cut.value))) for cut in point.cuts)
        return replace(point, cuts=cuts)

    def restored(self, metrics: PartitionMetrics, point: OperatingPoint) -> PartitionMetrics:
        """Figures of ranked scores with thresholds in the scores' own unit, and without what asks for probabilities."""
        return replace(
            metrics,
            estimates=_without_probabilities(metrics.estimates, metrics.further),
            per_label={label: self._restored(label, one, metrics.further) for label, one in metrics.per_label.items()},
            operating_point=point,
        )

    def restored_failures(self, failures: FailureAnalysis) -> FailureAnalysis:
        """Wrong predictions with the scores themselves in place of their ranks."""
        return replace(failures, labels={label: self._scored(label, one) for label, one in failures.labels.items()})

    def _scored(self, label: str, failures: LabelFailures) -> LabelFailures:
        def scored(predictions: tuple[WrongPrediction, ...]) -> tuple[WrongPrediction, ...]:
            raw = self.scales[label].raw([one.probability for one in predictions])
            return tuple(replace(one, probability=float(score)) for one, score in zip(predictions, raw, strict=True))

        positives, negatives = scored(failures.false_positives), scored(failures.false_negatives)
        return replace(failures, false_positives=positives, false_negatives=negatives)

    def _restored(self, label: str, metrics: LabelMetrics, further: Sequence[Metric]) -> LabelMetrics:
        drawing, left = self._drawing(label, metrics.roc), _without_probabilities(metrics.estimates, further)
        return replace(metrics, estimates=left, roc=drawing, reliability=())

    def _drawing(self, label: str, drawing: RocDrawing) -> RocDrawing:
        if drawing.curve is None:
            return drawing
        thresholds = drawing.curve.thresholds
        finite = np.isfinite(thresholds)
        own = np.where(finite, self.scales[label].raw(np.where(finite, thresholds, 0.0)), np.inf)
        return replace(drawing, curve=replace(drawing.curve, thresholds=own))


def without_probabilities(subgroups: Subgroups) -> Subgroups:
    """Subgroups of ranked scores, without the metrics that ask for probabilities."""
    return replace(subgroups, covariates=tuple(_without_covariate(covariate) for covariate in subgroups.covariates))


def _without_covariate(covariate: CovariateGroups) -> CovariateGroups:
    nothing = Gap(None, None, Estimate.undefined(NO_PROBABILITY))
    return replace(
        covariate,
        groups={
            label: tuple(replace(one, estimates=_without_probabilities(one.estimates)) for one in groups)
            for label, groups in covariate.groups.items()
        },
        gaps={
            label: {name: nothing if name in _NEED_PROBABILITIES else gap for name, gap in gaps.items()}
            for label, gaps in covariate.gaps.items()
        },
    )


def _without_probabilities(estimates: Mapping[str, Estimate], further: Sequence[Metric] = ()) -> dict[str, Estimate]:
    need = {*_NEED_PROBABILITIES, *(one.name for one in further if one.takes == "probabilities")}
    return {
        name: Estimate.undefined(NO_PROBABILITY) if name in need else estimate for name, estimate in estimates.items()
    }
