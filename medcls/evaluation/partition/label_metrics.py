"""Metrics of one label, each with its interval.

Which interval a metric gets:

* a proportion (sensitivity, specificity, accuracy, PPV, NPV) whose cases all come from different patients: Wilson;
* every other metric, and proportions where patients have several cases: the bootstrap by patient, which gives the
  standard error; the interval is Student's on the logit scale between the metric's bounds (log scale for likelihood
  ratios), since percentiles alone hold the true metric too seldom for a good classifier
  (``docs/explanation/metrics-and-intervals.md`` has the measured coverage);
* where the bootstrap says nothing (fewer than five patients to resample, no spread as under perfect separation, or most
  replicates undefined): a conservative interval from a formula, named in ``method``, explained in ``reason``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from medcls.evaluation.metrics import COUNTED, LOSSES, METRICS, RANKED
from medcls.evaluation.metrics.metric import Metric
from medcls.evaluation.predictions import LabelCases
from medcls.evaluation.statistics.arrays import Bools, Floats, ratio
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.statistics.bootstrap_interval import bootstrap_estimate
from medcls.evaluation.statistics.estimate import Estimate, Undefined
from medcls.evaluation.thresholds.confusion import Counts

CELLS = 4 + len(LOSSES)
"""Columns of :meth:`LabelView.columns`."""


@dataclass(frozen=True, eq=False)
class LabelView:
    """One label against the rest, among the cases of which it is known.

    Attributes:
        name: The label.
        positive: ``(n,)`` the reference.
        scores: ``(n,)`` the label's probability.
        called: ``(n,)`` the decision at the operating point.
        resampling: Which case is whose.
        known: Which cases of the partition these are.
        metrics: All that are asked for, by name: those of medcls first.
    """

    name: str
    positive: Bools
    scores: Floats
    called: Bools
    resampling: PatientResampling
    known: Bools
    metrics: Mapping[str, Metric] = field(default_factory=lambda: METRICS)

    @classmethod
    def of(cls, cases: LabelCases, called: Bools, metrics: Mapping[str, Metric] = METRICS) -> LabelView:
        """The view of a label's cases and of all decisions ``(cases of the partition, labels)``."""
        return cls(cases.label, cases.positive, cases.scores, cases.of(called), cases.resampling, cases.known, metrics)

    @property
    def counts(self) -> Counts:
        """The 2x2 table."""
        return Counts.of(self.positive, self.called)

    def columns(self) -> Floats:
        """``(n, CELLS)``: true and false positives, false and true negatives, and the losses, for each case."""
        up, called = self.positive, self.called
        cells = [up & called, ~up & called, up & ~called, ~up & ~called]
        losses = [row.loss(up, self.scores) for row in LOSSES.values()]
        return np.stack([*cells, *losses], axis=1).astype(np.float64)

    def replicates(self, sums: Floats, ranking: Floats) -> dict[str, Floats]:
        """Every metric that is not drawn on its own, ``(b,)``, NaN where undefined.

        Args:
            sums: ``(b, CELLS)`` sums of :meth:`columns`.
            ranking: ``(b, k)`` replicates of :data:`medcls.evaluation.metrics.RANKED`.
        """
        tp, fp, fn, tn, *losses = sums.T
        return {
            **dict(zip(RANKED, ranking.T, strict=True)),
            **{name: row.drawn(self, tp, fp, fn, tn) for name, row in COUNTED.items()},
            **{name: ratio(loss, tp + fp + fn + tn) for name, loss in zip(LOSSES, losses, strict=True)},
        }


def estimate_metric(view: LabelView, metric: Metric, replicates: Floats, confidence: float) -> Estimate:
    """A metric of one label with its interval, chosen as at the head of this module."""
    value = metric.value(view)
    if isinstance(value, Undefined):
        return Estimate.undefined(value.reason)
    known = metric.formula(view, value, confidence)
    if known is not None:
        return Estimate.around(value, *known)
    return bootstrap_estimate(
        value,
        replicates,
        metric.patients(view),
        confidence,
        lambda: metric.conservative(view, value, confidence),
        metric.bounds,
    )
