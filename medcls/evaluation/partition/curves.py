"""The curves that a report draws for one label: ROC with its band, and reliability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from medcls.evaluation.discrimination.auc import RocCurve, roc_curve
from medcls.evaluation.metrics import METRICS
from medcls.evaluation.partition.label_metrics import LabelView
from medcls.evaluation.statistics.arrays import Floats
from medcls.evaluation.statistics.estimate import Estimate, Method, Undefined
from medcls.evaluation.statistics.intervals import expanded_tail

BAND_FPR: Floats = np.linspace(0.0, 1.0, 101)
_MOST_POINTS = 200


@dataclass(frozen=True, eq=False)
class RocDrawing:
    """A ROC curve thinned for drawing.

    Attributes:
        curve: Its points, or ``None`` when there is no curve.
        band_low: ``(101,)`` lower limits of the sensitivity at :data:`BAND_FPR`, point by point; ``None`` without a
            band.
        band_high: ``(101,)`` the upper ones.
        reason: Why there is no curve, or no band.
    """

    curve: RocCurve | None
    band_low: Floats | None
    band_high: Floats | None
    reason: str | None

    def to_json(self) -> dict[str, Any]:
        """The drawing as plain JSON; the infinite threshold of the first point is ``null``."""
        points: dict[str, Any] = {"fpr": None, "tpr": None, "thresholds": None}
        if self.curve is not None:
            thresholds = [float(value) if np.isfinite(value) else None for value in self.curve.thresholds]
            points = {"fpr": self.curve.fpr.tolist(), "tpr": self.curve.tpr.tolist(), "thresholds": thresholds}
        band = None
        if self.band_low is not None and self.band_high is not None:
            band = {"fpr": BAND_FPR.tolist(), "low": self.band_low.tolist(), "high": self.band_high.tolist()}
        return {**points, "band": band, "reason": self.reason}


def draw_roc(view: LabelView, auc: Estimate, replicates: Floats, confidence: float) -> RocDrawing:
    """The curve, and the pointwise percentile band of the bootstrap, where the AUC's interval is a bootstrap's too.

    Args:
        view: The label.
        auc: Its AUC.
        replicates: ``(b, 101)`` sensitivities at :data:`BAND_FPR`, NaN rows where undefined.
        confidence: Confidence level at each point.
    """
    curve = roc_curve(view.positive, view.scores)
    if isinstance(curve, Undefined):
        return RocDrawing(None, None, None, curve.reason)
    thin = curve.thinned(_MOST_POINTS)
    if auc.method != Method.PATIENT_BOOTSTRAP:
        return RocDrawing(thin, None, None, auc.reason)
    tail = expanded_tail(confidence, METRICS["auc"].patients(view))
    defined = replicates[np.isfinite(replicates).all(axis=1)]
    low, high = np.quantile(defined, [tail, 1 - tail], axis=0)
    observed = np.interp(BAND_FPR, curve.fpr, curve.tpr)
    return RocDrawing(thin, np.minimum(low, observed), np.maximum(high, observed), auc.reason)
