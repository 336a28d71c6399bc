"""Record: everything that a run knows about itself, for documents that go into a paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from medcls.config import Config
from medcls.reporting.content import ReportContent
from medcls.reporting.text.wording import level_text, show
from medcls.values import documents

EXTERNAL = "external"


@dataclass(frozen=True)
class Origin:
    """How the classifier was made, where the report's cohort does not say it.

    Attributes:
        given: Partitions that the table gave; the others were made at random; ``None``: not known.
        evaluated: Whether the cases were evaluated after the training, so that the report's cohort is not that of the training.
        training: What is known of the training cases where others are evaluated; empty: nothing.
        met: Whether training cases are among those evaluated then; empty where nothing was evaluated.
        checked: Whether that could be looked for.
        calibrated: Whether a calibration changed the probabilities.
        calibration: What was done about the probabilities after the training, as half a sentence.
    """

    given: tuple[str, ...] | None = None
    evaluated: bool = False
    training: str = ""
    met: str = ""
    checked: bool = True
    calibrated: bool = True
    calibration: str = "probabilities were calibrated afterwards on tune"


@dataclass(frozen=True)
class Record:
    """What documents are filled from.

    Attributes:
        content: What stands in the report.
        config: The resolved config; only what names nobody and no path is taken from it.
        hashes: What was hashed, to its SHA-256.
        origin: How the classifier was made.
        kind: Of network, before 'neural network'; empty: not known.
    """

    content: ReportContent
    config: Config
    hashes: Mapping[str, str] = field(default_factory=dict)
    origin: Origin = Origin()
    kind: str = ""

    @property
    def metrics(self) -> documents.Partition:
        """The metrics of the reported partition."""
        return self.content.partition

    @property
    def external(self) -> bool:
        """Whether the reported cases are an external cohort."""
        return self.content.reported == EXTERNAL

    @property
    def level(self) -> str:
        """Confidence level of the intervals."""
        return level_text(self.metrics)

    def metric(self, name: str) -> str:
        """A metric with its interval, or why there is none."""
        shown = show(name, documents.estimate(self.metrics, name))
        if not shown.defined:
            return f"{shown.title} {shown.value} ({shown.note})"
        return f"{shown.title} {shown.value} ({shown.interval})" if shown.interval else f"{shown.title} {shown.value}"

    def estimates(self, *names: str) -> str:
        """Figures with their intervals, one after the other."""
        return "; ".join(self.metric(name) for name in names)
