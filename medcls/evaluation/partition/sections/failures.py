"""The section ``failures``: the worst wrong predictions, and the cases without one counted in."""

from __future__ import annotations

from collections.abc import Mapping

from medcls.evaluation.partition.failures import failure_analysis, failures_schema
from medcls.evaluation.partition.sections.input import OF_FOLDS, EvaluationInput
from medcls.evaluation.partition.sections.section import Document, Section
from medcls.evaluation.schema_parts import Schema, or_null


def _schema() -> Schema:
    return or_null(failures_schema())


def _missing(given: EvaluationInput) -> Mapping[str, str]:
    if not given.has_one_point:
        return {"failures": OF_FOLDS}
    return {} if given.names else {"failures": "the cases have no names"}


def _evaluate(given: EvaluationInput) -> Document:
    found = failure_analysis(
        given.predictions, given.point, given.names, given.refused, settings=given.settings, seed=given.seed
    ).beside(given.rates)
    return (found if given.scales is None else given.scales.restored_failures(found)).to_json()


SECTION = Section("failures", _schema, _evaluate, missing=_missing)
