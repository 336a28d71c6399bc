"""The section ``subgroups``: the metrics of groups of cases at the one operating point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medcls.evaluation.partition.score_scale import without_probabilities
from medcls.evaluation.partition.sections.input import OF_FOLDS, EvaluationInput
from medcls.evaluation.partition.sections.section import Document, Section
from medcls.evaluation.schema_parts import Schema, or_null
from medcls.evaluation.subgroups.grouping import UNREAD
from medcls.evaluation.subgroups.subgroups import subgroup_metrics, subgroups_schema


def _schema() -> Schema:
    return or_null(subgroups_schema())


def _missing(given: EvaluationInput) -> Mapping[str, str]:
    if not given.has_one_point:
        return {"subgroups": OF_FOLDS}
    return {} if given.covariates else {"subgroups": "no covariates are known to form groups by"}


def _evaluate(given: EvaluationInput) -> Document:
    found = subgroup_metrics(given.predictions, given.point, given.covariates, given.settings, given.seed)
    return (found if given.has_probabilities else without_probabilities(found)).to_json()


def _notes(document: Document) -> Sequence[str]:
    unread = [covariate for covariate, why in document["left_out"].items() if why == UNREAD]
    return [f"no subgroups are formed by '{covariate}': {UNREAD}" for covariate in unread]


SECTION = Section("subgroups", _schema, _evaluate, missing=_missing, notes=_notes)
