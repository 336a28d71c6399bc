"""From the replicates of a metric to its interval, and what to say where they say nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from medcls.evaluation.statistics.arrays import Floats
from medcls.evaluation.statistics.bootstrap import percentiles
from medcls.evaluation.statistics.estimate import Estimate, Method
from medcls.evaluation.statistics.intervals import Limits, within_bounds

FEWEST_PATIENTS = 5  # to resample at all
FEW_PATIENTS = 20  # below it the interval is given with a warning
NO_SPREAD = 1e-12  # replicates that differ by no more than this do not differ

Fallback = Callable[[], tuple[Limits, Method]]


def bootstrap_estimate(
    value: float,
    replicates: Floats,
    n_patients: int,
    confidence: float,
    fallback: Fallback,
    bounds: Limits | None = None,
    method: Method = Method.PATIENT_BOOTSTRAP,
) -> Estimate:
    """The interval that the replicates give, or the fallback where they say nothing.

    Args:
        value: The metric on the cases as they are.
        replicates: ``(b,)``, NaN where a replicate leaves the metric undefined.
        n_patients: How many patients the figure's spread rests on.
        confidence: Confidence level.
        fallback: Gives a conservative interval.
        bounds: The least and the greatest value that the metric can have, the greatest may be infinite. With them the
            interval is :func:`medcls.evaluation.statistics.intervals.within_bounds` with the replicates' deviation and bias;
            without them, or with the metric on one of them, it is the expanded percentiles.
        method: Which bootstrap the replicates are of.
    """
    why = why_silent(replicates, n_patients)
    if why is not None:
        limits, conservative = fallback()
        return Estimate.around(value, limits, conservative, f"{why}; a conservative interval is given")
    defined = replicates[np.isfinite(replicates)]
    if bounds is not None and bounds[0] < value < bounds[1]:
        bias = float(defined.mean()) - value
        limits = within_bounds(value, float(defined.std()), bounds, n_patients, confidence, bias=bias)
    else:
        limits = percentiles(defined, confidence, n_patients)
    return Estimate.around(value, limits, method, reservations(replicates, n_patients))


def why_unusable(replicates: Floats, n_patients: int) -> str | None:
    """Why nothing can be read off the replicates ``(b,)``, NaN where undefined; ``None`` if something can."""
    if n_patients < FEWEST_PATIENTS:
        return f"too few patients to resample ({n_patients})"
    return "undefined in most bootstrap replicates" if 2 * np.isfinite(replicates).sum() < replicates.size else None


def why_silent(replicates: Floats, n_patients: int) -> str | None:
    """Why the replicates ``(b,)`` give no interval, as :func:`why_unusable` or for want of spread; ``None`` if they do."""
    why = why_unusable(replicates, n_patients)
    if why is None and np.ptp(replicates[np.isfinite(replicates)]) <= NO_SPREAD:
        return "the bootstrap shows no spread"
    return why


def reservations(replicates: Floats, n_patients: int) -> str | None:
    """What to mind about an interval from the replicates ``(b,)``, if anything."""
    notes = []
    if n_patients < FEW_PATIENTS:
        notes.append(f"only {n_patients} patients: the interval may be too narrow")
    undefined = replicates.size - int(np.isfinite(replicates).sum())
    if undefined:
        notes.append(f"undefined in {undefined} of {replicates.size} replicates, left out")
    return "; ".join(notes) or None
