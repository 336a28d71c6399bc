"""The section ``shift``: how far an external cohort is from the training cases."""

from __future__ import annotations

from medcls.evaluation.partition.sections.input import EvaluationInput
from medcls.evaluation.partition.sections.section import Document, Section
from medcls.evaluation.schema_parts import Schema, said
from medcls.evaluation.shift.distribution_shift import shift_schema


def _schema() -> Schema:
    return said(shift_schema(), "Absent but for external cohorts.")


def _evaluate(given: EvaluationInput) -> Document | None:
    return None if given.shift is None else given.shift.to_json()


SECTION = Section("shift", _schema, _evaluate, optional=True)
