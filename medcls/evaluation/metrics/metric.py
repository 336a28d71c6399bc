"""Metric: everything that medcls must know of a metric, in one value."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from medcls.evaluation.statistics.arrays import Bools, Floats
from medcls.evaluation.statistics.bootstrap import PatientResampling, Statistic
from medcls.evaluation.statistics.estimate import Method, PointEstimate, Undefined, missing_class
from medcls.evaluation.statistics.intervals import Limits

FURTHER = "further_metrics"
"""Key of a partition of ``metrics.json``: what its metrics that are not medcls' own are, by name."""


class LabelData(Protocol):
    """One label against the rest, in ``n`` cases."""

    @property
    def positive(self) -> Bools:
        """``(n,)`` the reference."""

    @property
    def scores(self) -> Floats:
        """``(n,)`` the label's probability."""

    @property
    def called(self) -> Bools:
        """``(n,)`` the decision at the operating point."""

    @property
    def resampling(self) -> PatientResampling:
        """Which case is whose."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of one label against the rest; over several labels its mean is given.

    The interval is that of the bootstrap by patient: ``of`` is computed again for every replicate.

    Attributes:
        name: Its key in ``metrics.json``.
        title: What people call it.
        meaning: What it is, in a sentence.
        of: From the reference ``(n,)`` of booleans, and what ``takes`` says ``(n,)``, to the value; NaN, or
            :class:`Undefined` with the reason, where it has none.
        takes: ``decisions`` at the operating point; ``probabilities``; or ``ranking``: scores of which only the order counts,
            so that those of a marker will do.
        bounds: The least and the greatest value that it can have; the greatest may be infinite.
        higher_is_better: Its direction.
        scale: How it is written: in ``percent``; as a ``share`` of 0 to 1, of which a wide interval is remarked; or as a
            plain ``number``.
        binary: What it says to a reader of ``{positive}``; by default its meaning.
        macro: What its mean over labels says; by default its meaning.
        headline: Whether it stands in the report's first table.
    """

    name: str
    title: str
    meaning: str
    of: Callable[[Bools, Floats], PointEstimate]
    takes: Literal["decisions", "probabilities", "ranking"]
    bounds: Limits = (0.0, 1.0)
    higher_is_better: bool = True
    scale: Literal["percent", "share", "number"] = "number"
    binary: str = ""
    macro: str = ""
    headline: bool = False

    def words(self) -> dict[str, str]:
        """What a reader of ``metrics.json`` must know of a metric that is not medcls' own."""
        return {"title": self.title, "meaning": self.meaning, "scale": self.scale}

    def value(self, data: LabelData) -> PointEstimate:
        """The metric on the cases as they are."""
        return _told(self.of(data.positive, self._taken(data)), data.positive)

    def statistic(self, data: LabelData, resampling: PatientResampling) -> Statistic | None:
        """Its replicates ``(b,)`` from weights of patients; ``None`` where whoever draws computes them with others.

        Args:
            data: The label's cases.
            resampling: Which of these is whose, in the draws.
        """
        positive, taken, cases = data.positive, self._taken(data), np.arange(data.positive.size)

        def drawn(weights: Floats) -> Floats:
            often = weights[:, resampling.patient].astype(np.intp)
            chosen = (np.repeat(cases, times) for times in often)
            return np.array([_number(self.of(positive[one], taken[one])) for one in chosen], dtype=np.float64)

        return drawn

    def patients(self, data: LabelData) -> int:
        """How many patients its spread rests on: of the smaller group, with the label or without."""
        return min(data.resampling.count(data.positive), data.resampling.count(~data.positive))

    def conservative(self, data: LabelData, value: float, confidence: float) -> tuple[Limits, Method]:
        """The interval where the bootstrap says nothing: all that the metric can be."""
        low, high = self.bounds
        return (low, high if math.isfinite(high) else value), Method.BOUNDS

    def formula(self, data: LabelData, value: float, confidence: float) -> tuple[Limits, Method] | None:
        """An interval that needs no bootstrap, where there is a good one."""
        return None

    def _taken(self, data: LabelData) -> Floats:
        return data.called.astype(np.float64) if self.takes == "decisions" else data.scores


def _told(value: PointEstimate, positive: Bools) -> PointEstimate:
    """The value, or why there is none."""
    if isinstance(value, Undefined) or math.isfinite(value):
        return value
    return missing_class(positive) or Undefined("it has no value on these cases")


def _number(value: PointEstimate) -> float:
    return math.nan if isinstance(value, Undefined) else float(value)
