"""The interval of a metric of calibration, from replicates that resample patients.

Percentiles, but for binned errors (ECE, MCE). Binned errors are never negative and so come out too great on few
cases, in every replicate once more. Their upper limit is that of the reversed percentile interval (Davison and
Hinkley, Bootstrap Methods, 1997, section 5.2.1), which takes the excess off. Their lower limit is the value less the
percentile of the distance between the signed gaps of replicates and of the cases, in the same norm: by the triangle
inequality the error itself cannot be further off, so a calibrated classifier's interval reaches 0. Bins keep their
edges in all replicates.

A metric whose replicates say nothing (fewer than five patients, no spread, most of them undefined) has no interval,
and so no value, and says why; Brier's score, which is a bounded mean, has Hoeffding's.
"""

from __future__ import annotations

import numpy as np

from medcls.evaluation.calibration.view import BINNED_NAMES, ViewReplicates
from medcls.evaluation.statistics.bootstrap import percentiles
from medcls.evaluation.statistics.bootstrap_interval import reservations, why_silent
from medcls.evaluation.statistics.estimate import Estimate, Method, PointEstimate, Undefined
from medcls.evaluation.statistics.intervals import hoeffding


def calibration_estimate(
    name: str, value: PointEstimate, drawn: ViewReplicates, n_patients: int, confidence: float, span: float
) -> Estimate:
    """A metric with its interval.

    Args:
        name: One of :data:`medcls.evaluation.calibration.view.CALIBRATION_NAMES`.
        value: The metric on the cases as they are.
        drawn: The replicates.
        n_patients: How many patients the spread rests on.
        confidence: Confidence level.
        span: Greatest Brier's score of a case.
    """
    if isinstance(value, Undefined):
        return Estimate.undefined(value.reason)
    replicates = drawn.estimates[name]
    why = why_silent(replicates, n_patients)
    if why is not None and name == "brier":
        conservative = hoeffding(value, n_patients, confidence, span=span)
        return Estimate.around(value, conservative, Method.HOEFFDING, f"{why}; a conservative interval is given")
    if why is not None:
        return Estimate.undefined(f"{why}, so that {value:.3g} would stand without an interval")
    low, high = percentiles(replicates[np.isfinite(replicates)], confidence, n_patients)
    if name in BINNED_NAMES:
        furthest = percentiles(drawn.distance[name], confidence, n_patients)[1]
        low, high = max(0.0, value - furthest), min(1.0, 2 * value - low)
    return Estimate.around(value, (low, high), Method.UNSTRATIFIED_BOOTSTRAP, reservations(replicates, n_patients))
