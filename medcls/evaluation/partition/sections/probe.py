"""The section ``probe``: a linear probe on a pretrained network's features, on the same cases."""

from __future__ import annotations

from medcls.evaluation.partition.baseline import baseline_metrics, baseline_schema
from medcls.evaluation.partition.sections.input import EvaluationInput
from medcls.evaluation.partition.sections.section import Document, Section
from medcls.evaluation.schema_parts import Schema, said


def _schema() -> Schema:
    return said(
        baseline_schema(probe=True), "A linear probe on features of a pretrained network. Absent where none was fitted."
    )


def _evaluate(given: EvaluationInput) -> Document | None:
    if given.probe is None:
        return None
    return baseline_metrics(
        given.predictions, given.point, given.probe, given.settings, given.seed, given.called
    ).to_json()


SECTION = Section("probe", _schema, _evaluate, optional=True)
