"""Reliability curve: how often cases with a probability of about p have the label.

The bins part 0 to 1 evenly (``equal width``), or hold about as many cases each (``equal mass``; cases with the same
probability stay together). A bin has its lower edge, and the last one both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from medcls.errors import UsageError
from medcls.evaluation.statistics.arrays import Floats, Indices, as_pair
from medcls.evaluation.statistics.estimate import Estimate, Method
from medcls.evaluation.statistics.intervals import clopper_pearson, wilson

Scheme = Literal["equal width", "equal mass"]
SCHEME: Scheme = "equal width"
SCHEMES: tuple[Scheme, ...] = ("equal width", "equal mass")
BINS = 10


@dataclass(frozen=True)
class ReliabilityBin:
    """Cases whose probabilities are in one bin.

    Attributes:
        low: Lower edge, belonging to the bin.
        high: Upper edge, belonging to the next bin; 1 belongs to the last.
        n: How many cases.
        predicted: Their mean probability.
        observed: The share of them that has the label, with its interval.
    """

    low: float
    high: float
    n: int
    predicted: float
    observed: Estimate

    def to_json(self) -> dict[str, Any]:
        """The bin as plain JSON."""
        return {
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "predicted": self.predicted,
            "observed": self.observed.to_json(),
        }


def reliability_curve(
    positive: ArrayLike,
    probabilities: ArrayLike,
    patients: ArrayLike | None = None,
    *,
    bins: int = BINS,
    scheme: Scheme = SCHEME,
    confidence: float = 0.95,
) -> tuple[ReliabilityBin, ...]:
    """The bins that hold cases, in rising order.

    The interval is Wilson's; in a bin where a patient has several cases it is Clopper and Pearson's with each patient
    counted as one trial, which is cautious.

    Args:
        positive: ``(n,)`` booleans.
        probabilities: ``(n,)``, 0 to 1.
        patients: ``(n,)`` identifiers; without them every case is a patient's only one.
        bins: How many bins part 0 to 1; with equal mass, the most.
        scheme: How the bins are laid.
        confidence: Confidence level of the intervals.

    Raises:
        UsageError: The shapes differ, or a probability is not one.
    """
    reference, numbers = as_pair(positive, probabilities)
    if numbers.size and not (numbers.min() >= 0 and numbers.max() <= 1):
        raise UsageError("a reliability curve needs probabilities between 0 and 1")
    owners = np.arange(numbers.size) if patients is None else np.asarray(patients)
    if owners.shape != numbers.shape:
        raise UsageError(f"{owners.shape} patients do not fit {numbers.shape} probabilities")
    edges = bin_edges(numbers, bins=bins, scheme=scheme)
    place = bin_of(numbers, edges)
    curve = []
    for index in np.unique(place):
        inside = place == index
        observed = _share(int(reference[inside].sum()), int(inside.sum()), np.unique(owners[inside]).size, confidence)
        low, high, mean = float(edges[index]), float(edges[index + 1]), float(numbers[inside].mean())
        curve.append(ReliabilityBin(low, high, int(inside.sum()), mean, observed))
    return tuple(curve)


def bin_edges(probabilities: Floats, *, bins: int = BINS, scheme: Scheme = SCHEME) -> Floats:
    """Rising edges from 0 to 1, ``(bins + 1,)``; with equal mass there may be fewer."""
    shares = np.linspace(0.0, 1.0, bins + 1)
    if scheme == "equal width" or not probabilities.size:
        return shares
    return np.unique(np.concatenate(([0.0], np.quantile(probabilities, shares[1:-1]), [1.0])))


def bin_of(probabilities: Floats, edges: Floats) -> Indices:
    """The bin ``(n,)`` of each probability."""
    return np.asarray(np.clip(np.searchsorted(edges, probabilities, side="right") - 1, 0, edges.size - 2))


def _share(successes: int, n: int, n_patients: int, confidence: float) -> Estimate:
    share = successes / n
    if n_patients == n:
        return Estimate.around(share, wilson(successes, n, confidence), Method.WILSON)
    limits = clopper_pearson(share * n_patients, n_patients, confidence)
    return Estimate.around(share, limits, Method.CLOPPER_PEARSON, "each patient is counted as one trial")
