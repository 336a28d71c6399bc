"""Kolmogorov and Smirnov's distance between a sample and a distribution that is known by its quantiles alone.

Between two quantiles the distribution function is interpolated. At tied quantiles, and beyond the outermost, it is known to
are between two levels only; the distance is then the least that is possible.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.stats import kstwobign

from medcls.evaluation.shift.cohort_summary import LEVELS, Measure
from medcls.evaluation.statistics.arrays import Floats

_SAME = 1e-3  # of a length: headers write 0.68359375, 0.683594 and 0.6836 for one


def ks_statistic(training: Measure, values: Floats) -> float:
    """The greatest distance between the two distribution functions that the quantiles vouch for.

    Args:
        training: A measure of the training cohort.
        values: ``(n,)`` the other cohort's, at least one.
    """
    knots, levels = np.asarray(training.quantiles), np.asarray(LEVELS)
    steps = np.concatenate([[0.0], levels, [1.0]])
    points, ordered = np.unique(values), np.sort(values)
    below, upto = np.searchsorted(knots, points, "left"), np.searchsorted(knots, points, "right")
    inside = (below == upto) & (below > 0) & (below < knots.size)
    between = np.interp(points, knots, levels)
    own_below, own_upto = np.searchsorted(ordered, points, "left"), np.searchsorted(ordered, points, "right")
    distances = []
    for own, count in ((own_below / values.size, below), (own_upto / values.size, upto)):
        low = np.where(inside, between, steps[count])
        high = np.where(inside, between, steps[count + 1])
        distances.append(np.maximum(low - own, own - high))
    return float(np.clip(np.max(distances), 0.0, 1.0))


def ks_p_value(statistic: float, training: Measure, n: int) -> float:
    """Two-sided p-value for two samples, of ``training.n`` and ``n``, by the limiting distribution."""
    size = math.sqrt(training.n * n / (training.n + n))
    return float(np.clip(kstwobign.sf(statistic * size), 0, 1))


def like_lengths(training: Measure, values: Floats) -> tuple[Measure, Floats]:
    """Both with lengths that differ by less than a thousandth made equal, as headers round them differently."""
    known: list[float] = []
    for knot in training.quantiles:
        if not known or abs(knot - known[-1]) > _SAME * abs(known[-1]):
            known.append(knot)
    grid = np.array(known)
    return replace(training, quantiles=tuple(_snapped(np.array(training.quantiles), grid).tolist())), _snapped(
        values, grid
    )


def _snapped(values: Floats, grid: Floats) -> Floats:
    nearest = grid[np.abs(values[:, None] - grid).argmin(axis=1)]
    return np.where(np.abs(values - nearest) <= _SAME * np.abs(nearest), nearest, values)
