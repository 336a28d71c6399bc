"""Logistic regression on one score, for many sets of weights at once.

The fit is by Newton's method with halved steps where one would raise the loss, on a standardised score. A finite fit
exists exactly where the scores of the two kinds of cases overlap on both sides (Albert and Anderson, Biometrika
1984;71:1); elsewhere the prediction is NaN, never a large number that an iteration happened to stop at.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from medcls.evaluation.statistics.arrays import Bools, Floats

_MOST_STEPS = 60
_MOST_HALVINGS = 30
_TOLERANCE = 1e-9  # of the gradient, for each unit of weight
_SAFE_MOVE = 1.5  # of any entry's log-odds: so short a Newton step never raises the loss (Bach, EJS 2010;4:384)


def fit_logistic(scores: Floats, targets: Floats, weights: Floats, start: tuple[float, float] | None = None) -> Floats:
    """Slope and intercept ``(b, 2)`` of ``logit(p) = intercept + slope * score``, most likely for each row of weights.

    Args:
        scores: ``(m,)`` finite numbers.
        targets: ``(m,)`` shares 0 to 1 of each entry that have the label; 0 and 1 for single cases.
        weights: ``(b, m)`` how much each entry counts.
        start: Slope and intercept to start from; it changes the time alone.

    Returns:
        NaN in the rows that have no finite fit.
    """
    centre, spread = float(scores.mean()), float(scores.std())
    overlap = overlaps(scores, targets, weights)
    fitted = np.full((len(weights), 2), np.nan)
    if not overlap.any() or not spread > 0:
        return fitted
    standard = (scores - centre) / spread
    design = np.stack((standard, np.ones_like(standard)))
    slope, intercept = start or (0.0, 0.0)
    begin = np.array([slope * spread, intercept + slope * centre])
    slopes, intercepts = _newton(design, np.zeros_like(standard), targets, weights[overlap], begin).T
    fitted[overlap] = np.stack((slopes / spread, intercepts - slopes * centre / spread), axis=1)
    return fitted


def fit_intercept(scores: Floats, targets: Floats, weights: Floats, start: float = 0.0) -> Floats:
    """The intercept ``(b,)`` of ``logit(p) = intercept + score``; NaN in rows where one kind of case is missing."""
    ups, downs = weights @ targets, weights @ (1 - targets)
    both = (ups > 0) & (downs > 0)
    fitted = np.full(len(weights), np.nan)
    if both.any():
        fitted[both] = _newton(np.ones((1, scores.size)), scores, targets, weights[both], np.array([start]))[:, 0]
    return fitted


def overlaps(scores: Floats, targets: Floats, weights: Floats) -> Bools:
    """Whether each row ``(b,)`` has a finite fit: neither kind of case is all on one side of the other."""
    if not scores.size:
        return np.zeros(len(weights), dtype=np.bool_)
    ups, downs = (weights > 0) & (targets > 0), (weights > 0) & (targets < 1)
    top = [np.where(present, scores, -np.inf).max(axis=1) for present in (ups, downs)]
    bottom = [np.where(present, scores, np.inf).min(axis=1) for present in (ups, downs)]
    return np.asarray((top[1] > bottom[0]) & (top[0] > bottom[1]))


def _newton(design: Floats, offset: Floats, targets: Floats, weights: Floats, start: Floats) -> Floats:
    """The ``(b, k)`` coefficients of a design ``(k, m)``, for weights ``(b, m)`` under which they are finite."""
    found = np.tile(start, (len(weights), 1))
    reach = np.abs(design).max(axis=1)
    active = np.arange(len(weights))
    wanted = (weights * targets) @ design.T
    total = weights.sum(axis=1)
    pairs = (design[:, None] * design[None]).reshape(-1, design.shape[1])
    for _ in range(_MOST_STEPS):
        now, mass = found[active], weights[active]
        p = expit(now @ design + offset)
        gradient = wanted[active] - (mass * p) @ design.T
        unfinished = np.abs(gradient).max(axis=1) > _TOLERANCE * total[active]
        if not unfinished.any():
            break
        active, now, mass, p = active[unfinished], now[unfinished], mass[unfinished], p[unfinished]
        curvature = ((mass * p * (1 - p)) @ pairs.T).reshape(-1, len(design), len(design))
        # A touch of the identity keeps a curvature invertible that rounds to nothing far from the solution.
        curvature += np.eye(len(design)) * (1e-12 * total[active])[:, None, None]
        step = np.linalg.solve(curvature, gradient[unfinished][:, :, None])[:, :, 0]
        length = np.ones(len(step))
        far = np.abs(step) @ reach > _SAFE_MOVE
        if far.any():
            length[far] = _halvings(now[far], step[far], design, offset, targets, mass[far])
        found[active] = now + step * length[:, None]
    return found


def _halvings(now: Floats, step: Floats, design: Floats, offset: Floats, targets: Floats, weights: Floats) -> Floats:
    """For each row, the longest of 1, 1/2, 1/4, ... of the step that does not raise the loss."""

    def loss(coefficients: Floats, mass: Floats) -> Floats:
        scores = coefficients @ design + offset
        return np.asarray(np.einsum("bm,bm->b", mass, np.logaddexp(0.0, scores) - targets * scores))

    before = loss(now, weights)
    slack = 1e-12 * np.abs(before) + 1e-300
    length = np.ones(len(now))
    rising = np.arange(len(now))
    for _ in range(_MOST_HALVINGS):
        after = loss(now[rising] + step[rising] * length[rising][:, None], weights[rising])
        rising = rising[~(after <= before[rising] + slack[rising])]
        if not rising.size:
            break
        length[rising] /= 2
    return length
