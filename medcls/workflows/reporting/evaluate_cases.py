"""Studies of a classifier's partitions: from cases and predictions to ``metrics.json`` and its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from medcls.classifier import Classifier, Prediction
from medcls.cohort import Case, Exclusion
from medcls.cohort.case import known_matrix, reference_matrix
from medcls.cohort.patient_key import patient_pseudonym
from medcls.evaluation import OperatingPoint
from medcls.evaluation.partition.baseline import BaselinePredictions
from medcls.evaluation.partition.failed_cases import FailedCases
from medcls.evaluation.partition.report import EvaluationInput, PartitionEvaluation, evaluate_in_full
from medcls.evaluation.shift.distribution_shift import CohortShift
from medcls.privacy import Pseudonyms
from medcls.runs.calibration_status import why_no_metrics_before
from medcls.workflows.fitting.fit_classifier import as_predictions
from medcls.workflows.session import Session


def evaluate_cases(
    classifier: Classifier,
    cases: Sequence[Case],
    case_predictions: Mapping[str, Prediction],
    session: Session,
    *,
    refused: Sequence[Exclusion] = (),
    point: OperatingPoint | None = None,
    baseline: BaselinePredictions | None = None,
    probe: BaselinePredictions | None = None,
    shift: CohortShift | None = None,
) -> PartitionEvaluation:
    """Everything about the cases of one partition.

    Args:
        classifier: Frozen: nothing is fitted here.
        cases: The cases that have a prediction.
        case_predictions: By case name.
        session: Its config has confidence level, replicates, prevalences and seed.
        refused: Cases of the partition that got no prediction.
        point: Another operating point than the classifier's own (exploratory).
        baseline: What a simple model said about these cases.
        probe: What a linear probe said about them.
        shift: How far the cases are from the training cases.
    """
    config, pseudonyms = session.config, session.pseudonyms
    before = any(case_predictions[case.name].uncalibrated for case in cases)
    return evaluate_in_full(
        EvaluationInput(
            as_predictions(classifier, cases, case_predictions, pseudonyms),
            point or classifier.operating_point,
            config.evaluation,
            config.seed,
            uncalibrated=as_predictions(classifier, cases, case_predictions, pseudonyms, calibrated=False)
            if before
            else None,
            conformal=classifier.conformal,
            covariates=covariates_of(cases),
            names=[pseudonyms.case(case.name) for case in cases],
            refused=_failed(refused, len(classifier.labels), pseudonyms),
            baseline=baseline,
            probe=probe,
            shift=shift,
            why={"calibration.before": why_no_metrics_before(classifier)},
        )
    )


def _failed(refused: Sequence[Exclusion], labels: int, pseudonyms: Pseudonyms) -> FailedCases:
    """Cases without a prediction; one whose reference is not known counts as such."""
    return FailedCases(
        names=tuple(pseudonyms.case(one.name) for one in refused),
        reference=reference_matrix(refused, labels),
        patients=np.array([_patient(one, pseudonyms) for one in refused], dtype=np.str_),
        reasons=tuple(one.code for one in refused),
        known=known_matrix(refused, labels),
    )


def _patient(refused: Exclusion, pseudonyms: Pseudonyms) -> str:
    """The patient's pseudonym as the predicted cases have it; a case whose patient is not known is its own."""
    if not refused.patient:
        return pseudonyms.case(refused.name)
    return patient_pseudonym(refused.patient, pseudonyms)


def covariates_of(cases: Sequence[Case]) -> dict[str, tuple[str, ...]]:
    """Every fact that a case has, a text for each case; empty where a case lacks it."""
    names = sorted({name for case in cases for name in case.covariates})
    return {name: tuple(str(case.covariates.get(name, "")) for case in cases) for name in names}
