"""Metrics of scores: those of the ranking, and Brier's score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from medcls.evaluation.calibration.brier import __doc__ as _BRIER_DEFINITION
from medcls.evaluation.calibration.brier import brier
from medcls.evaluation.discrimination.auc import auc
from medcls.evaluation.discrimination.average_precision import average_precision, average_precision_limits
from medcls.evaluation.discrimination.partial_auc import MOST_FPR, partial_auc, partial_auc_limits, standardised
from medcls.evaluation.discrimination.ranking import WeightedRanking
from medcls.evaluation.metrics.metric import LabelData, Metric
from medcls.evaluation.statistics.arrays import Bools, Floats
from medcls.evaluation.statistics.bootstrap import PatientResampling, Statistic
from medcls.evaluation.statistics.estimate import Method, Undefined
from medcls.evaluation.statistics.intervals import Limits, auc_without_resampling, disjoint_pairs, hoeffding


@dataclass(frozen=True, kw_only=True)
class RankingMetric(Metric):
    """A metric of the order of scores.

    Attributes:
        drawn: Its replicates ``(b,)``, of the ranking under weights.
        limits: From limits of the AUC and the prevalence to its own.
    """

    drawn: Callable[[WeightedRanking], Floats]
    takes: Literal["decisions", "probabilities", "ranking"] = field(default="ranking", init=False)
    limits: Callable[[Limits, float], Limits]

    def statistic(self, data: LabelData, resampling: PatientResampling) -> Statistic | None:
        """``None``: all are drawn together, as scores are sorted once."""
        return None

    def conservative(self, data: LabelData, value: float, confidence: float) -> tuple[Limits, Method]:
        """What the AUC's conservative interval leaves."""
        area = auc(data.positive, data.scores)
        known = 0.5 if isinstance(area, Undefined) else area
        limits, method = auc_without_resampling(known, _pairs(data), confidence)
        return self.limits(limits, float(data.positive.mean())), method


@dataclass(frozen=True, kw_only=True)
class LossMetric(Metric):
    """A mean over cases of a loss of 0 to 1.

    Attributes:
        loss: From reference and scores ``(n,)`` to losses ``(n,)``.
    """

    loss: Callable[[Bools, Floats], Floats]

    def statistic(self, data: LabelData, resampling: PatientResampling) -> Statistic | None:
        """``None``: losses are summed with the counts."""
        return None

    def patients(self, data: LabelData) -> int:
        """All of them."""
        return data.resampling.count(np.ones_like(data.positive))

    def conservative(self, data: LabelData, value: float, confidence: float) -> tuple[Limits, Method]:
        """Hoeffding's interval."""
        return hoeffding(value, data.resampling.n_patients, confidence), Method.HOEFFDING


def _pairs(data: LabelData) -> int:
    """How many disjoint pairs of a positive and a negative patient there are."""
    ups, downs = data.resampling.count(data.positive), data.resampling.count(~data.positive)
    both = ups + downs - data.resampling.n_patients
    return max(1, disjoint_pairs(ups - both, downs - both, both))


AUC = RankingMetric(
    name="auc",
    title="AUC",
    meaning="Area under the ROC curve, ties counting one half; one label against the rest, then the mean.",
    binary="How often a case with ‘{positive}’ gets a higher probability than one without. 0.5 is guessing, 1 perfect.",
    macro="Each label against the rest, averaged over labels. 0.5 is guessing, 1 perfect.",
    of=auc,
    drawn=WeightedRanking.auc,
    limits=lambda limits, _: limits,
    scale="share",
    headline=True,
)
PARTIAL_AUC = RankingMetric(
    name="partial_auc",
    title="Partial AUC",
    meaning=f"Area under the ROC curve from a false-positive rate of 0 to {MOST_FPR:g}, standardised as by McClish: "
    "0.5 is guessing, 1 perfect.",
    binary="AUC at high specificity, scaled so that 0.5 is guessing and 1 perfect.",
    macro="AUC at high specificity, averaged over labels; 0.5 is guessing and 1 perfect.",
    of=partial_auc,
    drawn=WeightedRanking.partial_auc,
    limits=lambda limits, _: partial_auc_limits(limits),
    bounds=(standardised(0.0, MOST_FPR), 1.0),
    scale="share",
)
AVERAGE_PRECISION = RankingMetric(
    name="average_precision",
    title="Average precision",
    meaning="Mean precision (PPV) at the scores of the cases with the label; guessing gives the prevalence.",
    binary="Mean precision (PPV) over all thresholds. Guessing gives the share with ‘{positive}’.",
    macro="Mean precision (PPV) over all thresholds, averaged over labels.",
    of=average_precision,
    drawn=WeightedRanking.average_precision,
    limits=average_precision_limits,
    scale="share",
)
BRIER = LossMetric(
    name="brier",
    title="Brier score",
    meaning=" ".join(str(_BRIER_DEFINITION).split()),
    binary="Mean squared error of the stated probability: 0 is perfect, lower is better.",
    macro="Mean squared error of the stated probabilities, summed over labels: 0 is perfect, 2 the worst.",
    of=brier,
    takes="probabilities",
    loss=lambda positive, scores: np.square(scores - positive),
    higher_is_better=False,
    headline=True,
)
