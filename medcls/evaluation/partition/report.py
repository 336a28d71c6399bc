"""The study of one partition: everything that a reader needs to evaluate a classifier on these cases, as one document.

Nothing is fitted or chosen here. The operating point, the calibration and the prediction sets come from elsewhere (tune),
frozen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from medcls.config.settings import EvaluationSettings
from medcls.evaluation.calibration.metrics import CalibrationMetrics, calibration_metrics, calibration_schema
from medcls.evaluation.clinical.clinical_utility import ClinicalUse, clinical_json, clinical_schema, clinical_use
from medcls.evaluation.clinical.selective_prediction import SelectiveCurve, selective_curve, selective_schema
from medcls.evaluation.conformal.coverage import ConformalMetrics, conformal_metrics, conformal_schema
from medcls.evaluation.conformal.prediction_sets import Conformal
from medcls.evaluation.partition.baseline import BaselineMetrics, baseline_schema
from medcls.evaluation.partition.failed_cases import FailedCases
from medcls.evaluation.partition.failures import FailureAnalysis, failure_analysis, failures_schema
from medcls.evaluation.partition.metrics import PartitionMetrics, evaluate_partition
from medcls.evaluation.partition.score_scale import NO_PROBABILITY, ScoreScales, without_probabilities
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.schema_parts import TEXT, Schema, by_name, closed, or_null, said
from medcls.evaluation.shift.distribution_shift import CohortShift, shift_schema
from medcls.evaluation.statistics.arrays import Bools
from medcls.evaluation.subgroups.grouping import UNREAD
from medcls.evaluation.subgroups.subgroups import Subgroups, subgroup_metrics, subgroups_schema
from medcls.evaluation.thresholds.operating_point import OperatingPoint


@dataclass(frozen=True, eq=False)
class PartitionEvaluation:
    """Everything about one partition.

    Attributes:
        metrics: The figures.
        before: Calibration of the probabilities as the model gave them.
        after: Calibration of those that are evaluated; ``None`` where there are no probabilities.
        clinical: What calls mean and are worth, by label.
        refer: What is gained when the least certain cases go to a reader.
        conformal: Prediction sets on these cases.
        subgroups: The figures of groups of cases at the one operating point.
        failures: The worst wrong predictions, and the cases without a prediction counted in.
        reasons: For each section, or part of one, that is missing: why.
        baseline: A simple model on the same cases; ``None`` where none was fitted.
        shift: How far the cases are from the training cases; ``None`` where they are not an external cohort.
    """

    metrics: PartitionMetrics
    before: CalibrationMetrics | None
    after: CalibrationMetrics | None
    clinical: Mapping[str, ClinicalUse]
    refer: SelectiveCurve | None
    conformal: ConformalMetrics | None
    subgroups: Subgroups | None
    failures: FailureAnalysis | None
    reasons: Mapping[str, str] = field(default_factory=dict)
    baseline: BaselineMetrics | None = None
    shift: CohortShift | None = None

    def to_json(self) -> dict[str, Any]:
        """The partition as in ``metrics.json``; a section that is missing is null, and ``not_computed`` says why."""
        return {
            **self.metrics.to_json(),
            "calibration": None if self.after is None else {"before": _json(self.before), "after": _json(self.after)},
            "clinical": clinical_json(self.clinical),
            "refer": _json(self.refer),
            "conformal": _json(self.conformal),
            "subgroups": _json(self.subgroups),
            "failures": _json(self.failures),
            "not_computed": dict(self.reasons),
            **({} if self.baseline is None else {"baseline": self.baseline.to_json()}),
            **({} if self.shift is None else {"shift": self.shift.to_json()}),
        }


def evaluate_in_full(
    predictions: Predictions,
    operating_point: OperatingPoint,
    settings: EvaluationSettings | None = None,
    seed: int = 0,
    *,
    uncalibrated: Predictions | None = None,
    conformal: Conformal | None = None,
    covariates: Mapping[str, Sequence[str]] | None = None,
    names: Sequence[str] = (),
    refused: FailedCases | None = None,
    scales: ScoreScales | None = None,
    called: Bools | None = None,
    why: Mapping[str, str] | None = None,
) -> PartitionEvaluation:
    """Everything about one partition.

    Args:
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
        why: For a section, or part of one, why it is missing if it is, where the caller knows more of it.

    Raises:
        UsageError: The arrays do not fit together, or the operating point or the sets are for other labels.
    """
    settings = settings or EvaluationSettings()
    point = operating_point if scales is None else scales.ranked(operating_point)
    metrics = evaluate_partition(predictions, point, settings, seed, called=called)
    sound, one_point = scales is None, called is None
    decided = point.decide(predictions.probabilities) if called is None else called
    before = uncalibrated if sound and uncalibrated is not None and _differ(uncalibrated, predictions) else None
    sets = conformal if sound else None
    covariates = covariates if one_point else None
    groups = subgroup_metrics(predictions, point, covariates, settings, seed) if covariates else None
    unread = [covariate for covariate, why in (groups.left_out if groups else {}).items() if why == UNREAD]
    notes = (f"no subgroups are formed by '{covariate}': {UNREAD}" for covariate in unread)
    metrics = replace(metrics, notes=(*metrics.notes, *notes))
    rates = metrics.of_labels("sensitivity", "specificity")
    wrong = (
        failure_analysis(predictions, point, names, refused, settings=settings, seed=seed).beside(rates)
        if names and one_point
        else None
    )
    accuracy = None if predictions.multilabel else metrics.estimates["accuracy"]
    return PartitionEvaluation(
        metrics=metrics if scales is None else scales.restored(metrics, operating_point),
        before=None
        if before is None
        else _calibration(before, evaluate_partition(before, point, settings, seed, called=decided)),
        after=_calibration(predictions, metrics) if sound else None,
        clinical=clinical_use(predictions, decided, settings, seed, probabilities=sound),
        refer=selective_curve(predictions, point, settings, seed).starting_from(rates, accuracy)
        if sound and one_point
        else None,
        conformal=conformal_metrics(sets, predictions, settings, seed) if sets is not None else None,
        subgroups=groups if groups is None or sound else without_probabilities(groups),
        failures=wrong if wrong is None or scales is None else scales.restored_failures(wrong),
        reasons=_reasons(
            sound=sound,
            one_point=one_point,
            calibrated=before is not None,
            sets=sets,
            covariates=covariates,
            names=names,
            why=why,
        ),
    )


def section_schemas() -> dict[str, Schema]:
    """The schema of each section beyond the figures; a partition need not have them."""
    both = closed({"before": or_null(calibration_schema()), "after": calibration_schema()})
    return {
        "calibration": said(or_null(both), "Of the probabilities as the model gave them, and as they are evaluated."),
        "clinical": said(
            by_name(clinical_schema()), "By label: predictive values at stated prevalences, decision curve."
        ),
        "refer": or_null(selective_schema()),
        "conformal": or_null(conformal_schema()),
        "subgroups": or_null(subgroups_schema()),
        "failures": or_null(failures_schema()),
        "not_computed": said(by_name(TEXT), "Why a section, or a part of one, is null."),
        "baseline": said(baseline_schema(), "A linear model on simple features. Absent where none was fitted."),
        "shift": said(shift_schema(), "Absent but for external cohorts."),
    }


def _reasons(
    *,
    sound: bool,
    one_point: bool,
    calibrated: bool,
    sets: Conformal | None,
    covariates: Mapping[str, Sequence[str]] | None,
    names: Sequence[str],
    why: Mapping[str, str] | None,
) -> dict[str, str]:
    """Why sections, or parts of them, are missing."""
    reasons: dict[str, str] = {}
    if not calibrated:
        reasons["calibration.before"] = "the probabilities were not changed by a calibration"
    if sets is None:
        reasons["conformal"] = "no prediction sets were fitted"
    if not covariates:
        reasons["subgroups"] = "no covariates are known to form groups by"
    if not names:
        reasons["failures"] = "the cases have no names"
    if not one_point:
        reasons |= dict.fromkeys(
            ("refer", "subgroups", "failures"), "each case was decided by its own fold's threshold"
        )
    if not sound:
        reasons.pop("calibration.before", None)
        reasons |= dict.fromkeys(("calibration", "refer", "conformal"), NO_PROBABILITY)
        return reasons
    return {name: (why or {}).get(name, reason) for name, reason in reasons.items()}


def _calibration(predictions: Predictions, metrics: PartitionMetrics) -> CalibrationMetrics:
    """The calibration of probabilities, on the same draws and at the same confidence as their other figures."""
    settings = EvaluationSettings(confidence=metrics.confidence, replicates=metrics.replicates)
    briers = {label: one["brier"] for label, one in metrics.of_labels("brier").items()}
    return calibration_metrics(predictions, settings, metrics.seed).with_brier(metrics.estimates["brier"], briers)


def _differ(one: Predictions, other: Predictions) -> bool:
    return not np.allclose(one.probabilities, other.probabilities, rtol=0, atol=1e-9)


def _json(
    section: CalibrationMetrics | SelectiveCurve | ConformalMetrics | Subgroups | FailureAnalysis | None,
) -> dict[str, Any] | None:
    return None if section is None else section.to_json()
