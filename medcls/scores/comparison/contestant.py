"""One of the models that are compared, and what it said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medcls.evaluation import OperatingPoint, Predictions
from medcls.evaluation.partition.score_scale import ScoreScales
from medcls.scores.score_table import ScoreTable


@dataclass(frozen=True, eq=False)
class Contestant:
    """One model to compare.

    Attributes:
        name: What it is called.
        table: What it said.
        point: Its operating point, in the scores' own unit.
        of_run: Whether a run said it, about test cases that the run had chosen.
        decided: Case to its labels, where each case was decided already, by a threshold of its own fold; ``None``: ``point``
            decides.
        changed: What to mind of its files, which were changed since they were written.
    """

    name: str
    table: ScoreTable
    point: OperatingPoint
    of_run: bool = False
    decided: Mapping[str, frozenset[str]] | None = None
    changed: tuple[str, ...] = ()

    @property
    def called(self) -> NDArray[np.bool_] | None:
        """``(n, labels)`` decisions that were made already, for the rows of :meth:`judged`; ``None``: there are none."""
        if self.decided is None:
            return None
        rows = zip(self.table.names, self.table.failed, strict=True)
        kept = [[label in self.decided[name] for label in self.table.labels] for name, failed in rows if not failed]
        return np.array(kept, np.bool_).reshape(-1, len(self.table.labels))

    def evaluated(self) -> tuple[Predictions, OperatingPoint]:
        """Predictions and operating point for evaluation, on ranks where the scores are no probabilities."""
        scales: ScoreScales | None = self.table.scales()
        everyone = np.ones(len(self.table.names), dtype=np.bool_)
        return self.table.predictions(everyone, scales), self.point if scales is None else scales.ranked(self.point)
