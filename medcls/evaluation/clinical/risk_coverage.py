"""The risk-coverage curve as numbers: cases in groups of falling certainty, kept from the most certain down."""

from __future__ import annotations

import numpy as np

from medcls.evaluation.statistics.arrays import Bools, Floats, Indices

_MOST_LEVELS = 100


def groups_of(certain: Floats) -> Indices:
    """``(n,)`` the place of each case's certainty from the greatest down, in at most 100 groups of about one size."""
    _, level, counts = np.unique(-certain, return_inverse=True, return_counts=True)
    if counts.size <= _MOST_LEVELS:
        return np.asarray(level, dtype=np.intp)
    upto = np.cumsum(counts)
    ends = np.unique(np.searchsorted(upto, np.linspace(0, certain.size, _MOST_LEVELS + 1)[1:] - 1e-9))
    return np.searchsorted(ends, level).astype(np.intp)


def sums_by_level(certain: Floats, wrong: Bools) -> Floats:
    """``(1, 2 levels)``: cases, then wrong cases, at each level of certainty from the greatest down."""
    levels, place = np.unique(-certain, return_inverse=True)
    counts = [np.bincount(place, weights=weights, minlength=levels.size) for weights in (np.ones(wrong.size), wrong)]
    return np.asarray(np.concatenate(counts)[None, :], dtype=np.float64)


def risk_coverage(sums: Floats) -> tuple[Floats, Floats]:
    """Coverage and risk ``(b, k)`` from cases and wrong cases by group ``(b, 2 k)``; risk 0 where none is kept."""
    kept, wrong = (np.cumsum(half, axis=1) for half in np.split(sums, 2, axis=1))
    return kept / kept[:, -1:], np.divide(wrong, kept, out=np.zeros_like(wrong), where=kept > 0)


def area(coverage: Floats, risk: Floats) -> Floats:
    """``(b,)``: each risk times the coverage that it adds."""
    return np.asarray((np.diff(coverage, axis=1, prepend=0.0) * risk).sum(axis=1))


def best_area(n_wrong: int, n: int) -> float:
    """AURC when every right case is more certain than every wrong one."""
    wrong = np.arange(1, n_wrong + 1)
    return float((wrong / (n - n_wrong + wrong)).sum() / n)
