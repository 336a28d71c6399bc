"""The section ``calibration``: how well the probabilities are calibrated, before and after they were adjusted."""

from __future__ import annotations

from collections.abc import Mapping

from medcls.config.settings import EvaluationSettings
from medcls.evaluation.calibration.metrics import calibration_metrics, calibration_schema
from medcls.evaluation.partition.metrics import PartitionMetrics, evaluate_partition
from medcls.evaluation.partition.score_scale import NO_PROBABILITY
from medcls.evaluation.partition.sections.input import EvaluationInput
from medcls.evaluation.partition.sections.section import Document, Section
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.schema_parts import Schema, closed, or_null, said


def _schema() -> Schema:
    both = closed({"before": or_null(calibration_schema()), "after": calibration_schema()})
    return said(or_null(both), "Of the probabilities as the model gave them, and as they are evaluated.")


def _missing(given: EvaluationInput) -> Mapping[str, str]:
    if not given.has_probabilities:
        return {"calibration": NO_PROBABILITY}
    if given.before is None:
        return {"calibration.before": "the probabilities were not changed by a calibration"}
    return {}


def _evaluate(given: EvaluationInput) -> Document:
    before = given.before
    return {
        "before": None
        if before is None
        else _evaluated(
            before, evaluate_partition(before, given.point, given.settings, given.seed, called=given.decided)
        ),
        "after": _evaluated(given.predictions, given.metrics),
    }


def _evaluated(predictions: Predictions, metrics: PartitionMetrics) -> Document:
    """The calibration of probabilities, on the same draws and at the same confidence as their other metrics."""
    settings = EvaluationSettings(confidence=metrics.confidence, replicates=metrics.replicates)
    briers = {label: one["brier"] for label, one in metrics.of_labels("brier").items()}
    found = calibration_metrics(predictions, settings, metrics.seed)
    return found.with_brier(metrics.estimates["brier"], briers).to_json()


SECTION = Section("calibration", _schema, _evaluate, missing=_missing)
