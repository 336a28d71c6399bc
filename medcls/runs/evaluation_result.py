"""What came of an evaluation, whether of a run or of a table of scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medcls.values.caution import Caution


@dataclass(frozen=True)
class EvaluationResult:
    """What came of an evaluation, of a run or of a table of scores.

    Attributes:
        name: The partition that was evaluated: ``test``, or ``external`` for an external cohort.
        metrics: Its metrics, as in ``metrics.json``.
        folder: Where the files are.
        answered: How many cases have a prediction, or a score.
        refused: How many were not.
        warnings: What a reader must know before believing a metric, as in the report.
        scores: Whether a bare score was evaluated, not a stated probability.
        comparison: Of a comparison with a second table, as in ``comparison.json``; ``None``: there was none.
    """

    name: str
    metrics: Mapping[str, Any]
    folder: Path
    answered: int
    refused: int
    warnings: tuple[Caution, ...] = ()
    scores: bool = False
    comparison: Mapping[str, Any] | None = None
