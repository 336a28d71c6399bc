"""Metrics of the 2x2 table of decisions: computed for one table and for thousands of bootstrap replicates alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from medcls.evaluation.metrics.metric import LabelData, Metric
from medcls.evaluation.statistics.arrays import Bools, Floats
from medcls.evaluation.statistics.bootstrap import PatientResampling, Statistic
from medcls.evaluation.statistics.estimate import NO_NEGATIVE, NO_POSITIVE, Method, PointEstimate, Undefined
from medcls.evaluation.statistics.intervals import Limits, clopper_pearson, wilson

OfCounts = Callable[[Floats, Floats, Floats, Floats], Floats]
"""From true and false positives, false and true negatives, arrays of one shape, to values, NaN where there are none."""


@dataclass(frozen=True, kw_only=True)
class CountMetric(Metric):
    """A metric of decisions that only asks how many there are of each kind.

    Attributes:
        counts: The formula.
        why: From the four counts to why there is no value; empty: the usual reasons.
    """

    counts: OfCounts
    why: Callable[[int, int, int, int], str] | None = None
    of: Callable[[Bools, Floats], PointEstimate] = field(init=False, repr=False)
    takes: Literal["decisions", "probabilities", "ranking"] = field(default="decisions", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", lambda positive, called: self.of_table(*_table(positive, called > 0)))

    def of_table(self, tp: int, fp: int, fn: int, tn: int) -> PointEstimate:
        """The metric of one table, or why it is undefined."""
        value = float(self.counts(*(np.asarray(count, dtype=np.float64) for count in (tp, fp, fn, tn))))
        return Undefined(self._reason(tp, fp, fn, tn)) if np.isnan(value) else value

    def statistic(self, data: LabelData, resampling: PatientResampling) -> Statistic | None:
        """``None``: see :meth:`drawn`."""
        return None

    def drawn(self, data: LabelData, tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
        """Replicates ``(b,)`` from those of the counts."""
        return self.counts(tp, fp, fn, tn)

    def _reason(self, tp: int, fp: int, fn: int, tn: int) -> str:
        if not tp + fp + fn + tn:
            return "there are no cases"
        if not tp + fn:
            return NO_POSITIVE
        if not tn + fp:
            return NO_NEGATIVE
        if self.why is not None:
            return self.why(tp, fp, fn, tn)
        return "no case is predicted positive" if not tp + fp else "every case is predicted positive"


@dataclass(frozen=True, kw_only=True)
class Share(CountMetric):
    """A proportion: of cases that differ in patients its interval is Wilson's.

    Attributes:
        share_of: From reference and decisions ``(n,)`` to the cases that it is a share of.
    """

    share_of: Callable[[Bools, Bools], Bools]

    def patients(self, data: LabelData) -> int:
        """The patients of the cases that it is a share of."""
        return data.resampling.count(self.share_of(data.positive, data.called))

    def formula(self, data: LabelData, value: float, confidence: float) -> tuple[Limits, Method] | None:
        """Wilson's interval, where all cases are of different patients."""
        n = int(self.share_of(data.positive, data.called).sum())
        return (wilson(round(value * n), n, confidence), Method.WILSON) if self.patients(data) == n else None

    def conservative(self, data: LabelData, value: float, confidence: float) -> tuple[Limits, Method]:
        """The exact interval, each patient one trial."""
        return self.exact(data, confidence), Method.CLOPPER_PEARSON

    def exact(self, data: LabelData, confidence: float) -> Limits:
        """The exact interval; all there is where nothing is known."""
        value, n = self.value(data), self.patients(data)
        return (0.0, 1.0) if isinstance(value, Undefined) else clopper_pearson(value * n, n, confidence)


@dataclass(frozen=True, kw_only=True)
class Joined(CountMetric):
    """A metric made of two proportions.

    Attributes:
        parts: Which.
        join: From these and the prevalence to the metric; monotone in each.
        of_positives: Whether its spread rests on cases with the label alone.
    """

    parts: tuple[Share, Share]
    join: Callable[[float, float, float], float]
    of_positives: bool = False

    def patients(self, data: LabelData) -> int:
        """Those with the label, or of the smaller group."""
        return data.resampling.count(data.positive) if self.of_positives else super().patients(data)

    def conservative(self, data: LabelData, value: float, confidence: float) -> tuple[Limits, Method]:
        """Exact intervals of the parts at a shared error, combined at their worst."""
        first, second = (part.exact(data, 1 - (1 - confidence) / 2) for part in self.parts)
        prevalence = float(data.positive.mean())
        corners = [self.join(one, other, prevalence) for one in first for other in second]
        return (min(corners), max(corners)), Method.BONFERRONI


def _table(positive: Bools, called: Bools) -> tuple[int, int, int, int]:
    tp, n_called, n_positive = int((positive & called).sum()), int(called.sum()), int(positive.sum())
    return tp, n_called - tp, n_positive - tp, positive.size - n_called - n_positive + tp
