"""Sections of the report, one to a module; those about a partition are found by the names of their documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from medcls.reporting.blocks import Section
from medcls.values import documents

_WITHIN = {"conformal": "refer"}  # shown in another's section
SHOWN: Mapping[str, Callable[[documents.Partition], Section]] = {
    name: import_module(f"{__name__}.{name}").section for name in documents.SECTIONS if name not in _WITHIN
}
"""What shows each document beyond a partition's metrics, in the order of the page."""


def evaluation_sections(metrics: documents.Partition) -> list[Section]:
    """The sections for which the document has something to say, be it why there is nothing.

    Args:
        metrics: A partition of ``metrics.json``; one without a section's key is from before that section.
    """
    return [section(metrics) for name, section in SHOWN.items() if name in metrics]
