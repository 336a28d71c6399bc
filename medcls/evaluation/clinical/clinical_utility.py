"""Clinical use of one label's calls: predictive values where it is rarer or more common, and the decision curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medcls.config.settings import EvaluationSettings
from medcls.evaluation.clinical.decision_curve import DecisionCurve, decision_curve, decision_curve_schema
from medcls.evaluation.clinical.predictive_values import PredictiveValues, predictive_values, predictive_values_schema
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.schema_parts import Schema, closed, listed, or_null, said
from medcls.evaluation.statistics.arrays import Bools


@dataclass(frozen=True, eq=False)
class ClinicalUse:
    """What calls of one label mean and are worth.

    Attributes:
        predictive_values: At each stated prevalence.
        decision_curve: Net benefit; ``None`` where there are no probabilities.
    """

    predictive_values: tuple[PredictiveValues, ...]
    decision_curve: DecisionCurve | None

    def to_json(self) -> dict[str, Any]:
        """Both as plain JSON, valid under :func:`clinical_schema`."""
        return {
            "predictive_values": [one.to_json() for one in self.predictive_values],
            "decision_curve": None if self.decision_curve is None else self.decision_curve.to_json(),
        }


def clinical_use(
    predictions: Predictions,
    called: Bools,
    settings: EvaluationSettings,
    seed: int = 0,
    *,
    probabilities: bool = True,
) -> dict[str, ClinicalUse]:
    """The clinical use of each label that has figures of its own.

    Args:
        predictions: The cases.
        called: ``(n, labels)`` the decisions at the operating point.
        settings: Prevalences, confidence level and number of replicates.
        seed: Seed of the bootstrap.
        probabilities: Whether the scores are calibrated probabilities, without which there is no decision curve.
    """
    return {
        one.label: ClinicalUse(
            predictive_values(one.positive, one.of(called), one.patients, settings.prevalences, settings, seed),
            decision_curve(one.positive, one.scores, one.patients, settings=settings, seed=seed)
            if probabilities
            else None,
        )
        for one in predictions.columns()
    }


def clinical_json(use: Mapping[str, ClinicalUse]) -> dict[str, Any]:
    """By label, as plain JSON."""
    return {label: one.to_json() for label, one in use.items()}


def clinical_schema() -> Schema:
    """The schema of one label's :meth:`ClinicalUse.to_json`."""
    return closed(
        {
            "predictive_values": listed(predictive_values_schema()),
            "decision_curve": said(or_null(decision_curve_schema()), "Null where the scores are no probabilities."),
        }
    )
