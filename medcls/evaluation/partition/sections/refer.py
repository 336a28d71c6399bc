"""The section ``refer``: what is gained when the least certain cases go to a reader."""

from __future__ import annotations

from collections.abc import Mapping

from medcls.evaluation.clinical.selective_prediction import selective_curve, selective_schema
from medcls.evaluation.partition.score_scale import NO_PROBABILITY
from medcls.evaluation.partition.sections.input import OF_FOLDS, EvaluationInput
from medcls.evaluation.partition.sections.section import Document, Section
from medcls.evaluation.schema_parts import Schema, or_null


def _schema() -> Schema:
    return or_null(selective_schema())


def _missing(given: EvaluationInput) -> Mapping[str, str]:
    if not given.has_probabilities:
        return {"refer": NO_PROBABILITY}
    return {} if given.has_one_point else {"refer": OF_FOLDS}


def _evaluate(given: EvaluationInput) -> Document:
    accuracy = None if given.predictions.multilabel else given.metrics.estimates["accuracy"]
    curve = selective_curve(given.predictions, given.point, given.settings, given.seed)
    return curve.starting_from(given.rates, accuracy).to_json()


SECTION = Section("refer", _schema, _evaluate, missing=_missing)
