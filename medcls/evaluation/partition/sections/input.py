"""What the evaluation of one partition starts from, and what several sections of it need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from medcls.config.settings import EvaluationSettings
from medcls.evaluation.conformal.prediction_sets import Conformal
from medcls.evaluation.partition.baseline import BaselinePredictions
from medcls.evaluation.partition.failed_cases import FailedCases
from medcls.evaluation.partition.metrics import PartitionMetrics, evaluate_partition
from medcls.evaluation.partition.score_scale import ScoreScales
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.shift.distribution_shift import CohortShift
from medcls.evaluation.statistics.arrays import Bools
from medcls.evaluation.statistics.estimate import Estimate
from medcls.evaluation.thresholds.operating_point import OperatingPoint

OF_FOLDS = "each case was decided by its own fold's threshold"


@dataclass(frozen=True, eq=False)
class EvaluationInput:
    """Everything that is known of one partition.

    Attributes:
        predictions: The cases; with ``scales``, their scores ranked.
        operating_point: Chosen elsewhere; with ``scales``, in the scores' own unit.
        settings: Confidence level, replicates and prevalences.
        seed: Seed of every bootstrap.
        uncalibrated: The same cases with the probabilities before calibration, where there was one.
        conformal: Prediction sets that were fitted elsewhere.
        covariates: Columns to form subgroups by, a text for each case.
        names: What the cases are called in the failure analysis, which there is none of without.
        refused: Cases of the partition without a prediction.
        scales: Given where the scores are no probabilities: what asks for probabilities is then not computed.
        called: ``(n, labels)`` decisions that were made already, each by its own fold's operating point; what asks for
            one operating point is then not computed.
        baseline: What a simple model said about the same cases.
        probe: What a linear probe on a pretrained network's features said about the same cases.
        shift: How far the cases are from the training cases, for an external cohort.
        why: For a section, or part of one, why it is missing if it is, where the caller knows more of it.
    """

    predictions: Predictions
    operating_point: OperatingPoint
    settings: EvaluationSettings = field(default_factory=EvaluationSettings)
    seed: int = 0
    uncalibrated: Predictions | None = None
    conformal: Conformal | None = None
    covariates: Mapping[str, Sequence[str]] = field(default_factory=dict)
    names: Sequence[str] = ()
    refused: FailedCases | None = None
    scales: ScoreScales | None = None
    called: Bools | None = None
    baseline: BaselinePredictions | None = None
    probe: BaselinePredictions | None = None
    shift: CohortShift | None = None
    why: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_probabilities(self) -> bool:
        """Whether the scores are probabilities."""
        return self.scales is None

    @property
    def has_one_point(self) -> bool:
        """Whether one operating point decides all cases."""
        return self.called is None

    @cached_property
    def point(self) -> OperatingPoint:
        """The operating point on the scale of :attr:`predictions`."""
        return self.operating_point if self.scales is None else self.scales.ranked(self.operating_point)

    @cached_property
    def decided(self) -> Bools:
        """``(n, labels)`` the decisions."""
        return self.point.decide(self.predictions.probabilities) if self.called is None else self.called

    @cached_property
    def metrics(self) -> PartitionMetrics:
        """The metrics of the cases, on the scale of :attr:`predictions`."""
        return evaluate_partition(self.predictions, self.point, self.settings, self.seed, called=self.called)

    @cached_property
    def rates(self) -> dict[str, dict[str, Estimate]]:
        """Sensitivity and specificity by label, so that they have one interval wherever they are shown."""
        return self.metrics.of_labels("sensitivity", "specificity")

    @cached_property
    def before(self) -> Predictions | None:
        """The predictions before calibration; ``None`` where it changed nothing, or was none."""
        one, other = self.uncalibrated, self.predictions
        if one is None or not self.has_probabilities:
            return None
        return None if np.allclose(one.probabilities, other.probabilities, rtol=0, atol=1e-9) else one
