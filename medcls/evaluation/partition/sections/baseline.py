"""The section ``baseline``: a simple model on the same cases."""

from __future__ import annotations

from medcls.evaluation.partition.baseline import baseline_metrics, baseline_schema
from medcls.evaluation.partition.sections.input import EvaluationInput
from medcls.evaluation.partition.sections.section import Document, Section
from medcls.evaluation.schema_parts import Schema, said


def _schema() -> Schema:
    return said(baseline_schema(), "A linear model on simple features. Absent where none was fitted.")


def _evaluate(given: EvaluationInput) -> Document | None:
    if given.baseline is None:
        return None
    return baseline_metrics(
        given.predictions, given.point, given.baseline, given.settings, given.seed, given.called
    ).to_json()


SECTION = Section("baseline", _schema, _evaluate, optional=True)
