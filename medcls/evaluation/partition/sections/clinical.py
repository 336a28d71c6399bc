"""The section ``clinical``: what calls mean and are worth, by label."""

from __future__ import annotations

from medcls.evaluation.clinical.clinical_utility import clinical_json, clinical_schema, clinical_use
from medcls.evaluation.partition.sections.input import EvaluationInput
from medcls.evaluation.partition.sections.section import Document, Section
from medcls.evaluation.schema_parts import Schema, by_name, said


def _schema() -> Schema:
    return said(by_name(clinical_schema()), "By label: predictive values at stated prevalences, decision curve.")


def _evaluate(given: EvaluationInput) -> Document:
    return clinical_json(
        clinical_use(
            given.predictions, given.decided, given.settings, given.seed, probabilities=given.has_probabilities
        )
    )


SECTION = Section("clinical", _schema, _evaluate)
