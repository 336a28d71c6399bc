"""The evaluation of one partition: everything that a reader needs to judge a classifier on these cases, as one document.

Nothing is fitted or chosen here. The operating point, the calibration and the prediction sets come from elsewhere (tune),
frozen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from medcls.evaluation.partition.metrics import PartitionMetrics
from medcls.evaluation.partition.sections import SECTIONS
from medcls.evaluation.partition.sections.input import EvaluationInput
from medcls.evaluation.partition.sections.section import Document
from medcls.evaluation.schema_parts import TEXT, Schema, by_name, said

__all__ = ["EvaluationInput", "PartitionEvaluation", "evaluate_in_full", "section_schemas"]
_ALWAYS = [one for one in SECTIONS if not one.optional]
_AT_TIMES = sorted((one for one in SECTIONS if one.optional), key=lambda one: one.name)


@dataclass(frozen=True, eq=False)
class PartitionEvaluation:
    """Everything about one partition.

    Attributes:
        metrics: The metrics.
        sections: The document of each section, by name; ``None`` where it is missing.
        reasons: For each section, or part of one, that is missing: why.
    """

    metrics: PartitionMetrics
    sections: Mapping[str, Document | None]
    reasons: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The partition as in ``metrics.json``; a section that is missing is null, and ``not_computed`` says why."""
        always = {one.name: self.sections[one.name] for one in _ALWAYS}
        others = {one.name: self.sections[one.name] for one in _AT_TIMES}
        there = {name: document for name, document in others.items() if document is not None}
        return {**self.metrics.to_json(), **always, "not_computed": dict(self.reasons), **there}


def evaluate_in_full(given: EvaluationInput) -> PartitionEvaluation:
    """Everything about one partition.

    Args:
        given: The cases and what is known of them.

    Raises:
        UsageError: The arrays do not fit together, or the operating point or the sets are for other labels.
    """
    documents: dict[str, Document | None] = {}
    reasons: dict[str, str] = {}
    notes = list(given.metrics.notes)
    for section in SECTIONS:
        missing = section.missing(given)
        reasons |= {name: given.why.get(name, reason) for name, reason in missing.items()}
        document = None if section.name in missing else section.evaluate(given)
        documents[section.name] = document
        notes += section.notes(document) if document is not None else ()
    metrics = replace(given.metrics, notes=tuple(notes))
    if given.scales is not None:
        metrics = given.scales.restored(metrics, given.operating_point)
    return PartitionEvaluation(metrics, documents, reasons)


def section_schemas() -> dict[str, Schema]:
    """The schema of each section beyond the metrics; a partition need not have them."""
    always, at_times = ({one.name: one.schema() for one in some} for some in (_ALWAYS, _AT_TIMES))
    return {**always, "not_computed": said(by_name(TEXT), "Why a section, or a part of one, is null."), **at_times}
