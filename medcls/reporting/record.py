"""Record: everything that a run knows about itself, for documents that go into a paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medcls.config import Config
from medcls.reporting.content import ReportContent
from medcls.reporting.wording import level_text, show

EXTERNAL = "external"


@dataclass(frozen=True)
class Record:
    """What documents are filled from.

    Attributes:
        content: What stands in the report.
        config: The resolved config; only what names nobody and no path is taken from it.
        hashes: What was hashed, to its SHA-256.
    """

    content: ReportContent
    config: Config
    hashes: Mapping[str, str] = field(default_factory=dict)

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The figures of the reported partition."""
        return self.content.metrics[self.content.reported]

    @property
    def external(self) -> bool:
        """Whether the reported cases are an external cohort."""
        return self.content.reported == EXTERNAL

    @property
    def level(self) -> str:
        """Confidence level of the intervals."""
        return level_text(self.metrics)

    def figure(self, name: str) -> str:
        """A figure with its interval, or why there is none."""
        shown = show(name, self.metrics.get(name))
        if not shown.defined:
            return f"{shown.title} {shown.value} ({shown.note})"
        return f"{shown.title} {shown.value} ({shown.interval})" if shown.interval else f"{shown.title} {shown.value}"

    def figures(self, *names: str) -> str:
        """Figures with their intervals, one after the other."""
        return "; ".join(self.figure(name) for name in names)
