"""The report that a clinician reads: one file that opens offline."""

from __future__ import annotations

from medcls.reporting.content import (
    CohortFlow,
    Epoch,
    ExplainedCase,
    PartitionCounts,
    ReasonCount,
    ReportContent,
)
from medcls.reporting.report import render_report, write_report

__all__ = [
    "CohortFlow",
    "Epoch",
    "ExplainedCase",
    "PartitionCounts",
    "ReasonCount",
    "ReportContent",
    "render_report",
    "write_report",
]
