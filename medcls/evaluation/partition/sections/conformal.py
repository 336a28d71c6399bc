"""The section ``conformal``: whether prediction sets keep their guarantee on these cases."""

from __future__ import annotations

from collections.abc import Mapping

from medcls.evaluation.conformal.coverage import conformal_metrics, conformal_schema
from medcls.evaluation.partition.score_scale import NO_PROBABILITY
from medcls.evaluation.partition.sections.input import EvaluationInput
from medcls.evaluation.partition.sections.section import Document, Section
from medcls.evaluation.schema_parts import Schema, or_null


def _schema() -> Schema:
    return or_null(conformal_schema())


def _missing(given: EvaluationInput) -> Mapping[str, str]:
    if not given.has_probabilities:
        return {"conformal": NO_PROBABILITY}
    return {"conformal": "no prediction sets were fitted"} if given.conformal is None else {}


def _evaluate(given: EvaluationInput) -> Document | None:
    if given.conformal is None:
        return None
    return conformal_metrics(given.conformal, given.predictions, given.settings, given.seed).to_json()


SECTION = Section("conformal", _schema, _evaluate, missing=_missing)
