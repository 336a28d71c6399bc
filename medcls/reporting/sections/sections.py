"""The sections about one partition beyond its metrics, in the order of the page."""

from __future__ import annotations

from collections.abc import Callable

from medcls.reporting.blocks import Section
from medcls.reporting.sections.baseline import baseline_section
from medcls.reporting.sections.calibration import calibration_section
from medcls.reporting.sections.clinical_utility import selective_section, use_section
from medcls.reporting.sections.failures import failures_section
from medcls.reporting.sections.shift import shift_section
from medcls.reporting.sections.subgroups import subgroups_section
from medcls.values import documents

SECTIONS: tuple[tuple[str, Callable[[documents.Partition], Section]], ...] = (
    ("shift", shift_section),
    ("baseline", baseline_section),
    ("calibration", calibration_section),
    ("clinical", use_section),
    ("refer", selective_section),
    ("subgroups", subgroups_section),
    ("failures", failures_section),
)
"""The key of each in a partition's document, and what shows it; ``conformal`` stands in the section of ``clinical``."""


def evaluation_sections(metrics: documents.Partition) -> list[Section]:
    """The sections for which the document has something to say, be it why there is nothing.

    Args:
        metrics: A partition of ``metrics.json``; one without a section's key is from before that section.
    """
    return [section(metrics) for name, section in SECTIONS if name in metrics]
