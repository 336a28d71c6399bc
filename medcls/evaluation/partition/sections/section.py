"""A section of a partition's evaluation: what it computes, what its document holds, and why it can be missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medcls.evaluation.partition.sections.input import EvaluationInput
from medcls.evaluation.schema_parts import Schema

Document = dict[str, Any]


def _nothing(_: object) -> Mapping[str, str]:
    return {}


def _no_notes(_: Document) -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class Section:
    """One section.

    Attributes:
        name: Its key in ``metrics.json``, and the name of its module.
        schema: Gives the schema of its document.
        evaluate: Gives its document; not asked where ``missing`` names the section. ``None``: it is missing.
        missing: Why it is missing, under its name, or why parts are, under ``name.part``.
        notes: What of its document a reader of the metrics must know.
        optional: Whether the key is left out where the section is missing; else it is there, with null.
    """

    name: str
    schema: Callable[[], Schema]
    evaluate: Callable[[EvaluationInput], Document | None]
    missing: Callable[[EvaluationInput], Mapping[str, str]] = _nothing
    notes: Callable[[Document], Sequence[str]] = _no_notes
    optional: bool = False
