"""Acquisition: of which scans a label would bring most, from what a classifier says of them and from where they lie.

* ``entropy``, ``margin``: the least certain first (Settles, 'Active Learning Literature Survey', 2009, section 3.1).
* ``bald``: those that the members of an ensemble disagree about: the mutual information of label and member (Houlsby et al.,
  'Bayesian Active Learning for Classification and Preference Learning', 2011, equation 2).
* ``core_set``: those that leave no other far from one that is chosen: greedy k-centre on the features (Sener and Savarese,
  'Active Learning for Convolutional Neural Networks: A Core-Set Approach', ICLR 2018, algorithm 1), from the least certain on.
* ``badge``: uncertain ones that differ: k-means++ on the gradients of the last layer (Ash et al., 'Deep Batch Active Learning
  by Diverse, Uncertain Gradient Lower Bounds', ICLR 2020, algorithm 1), from the longest on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from medcls.errors import UsageError

Method = Literal["entropy", "margin", "bald", "core_set", "badge"]
METHODS: tuple[Method, ...] = get_args(Method)
Floats = NDArray[np.float64]
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Candidates:
    """What is known of scans without labels.

    Attributes:
        members: ``(members, n, labels)``, the calibrated probabilities of each member of an ensemble; of one classifier one.
        features: ``(n, k)``, what its last layer takes.
        multilabel: Whether labels do not exclude each other.
    """

    members: Floats
    features: Floats
    multilabel: bool

    @property
    def probabilities(self) -> Floats:
        """``(n, labels)``, the mean over the members."""
        return np.asarray(self.members.mean(axis=0), np.float64)

    @property
    def entropy(self) -> Floats:
        """``(n,)``, from 0, sure, to 1, all labels alike; of several labels the mean over them."""
        return _entropy(self.probabilities, self.multilabel)

    @property
    def margin(self) -> Floats:
        """``(n,)``, from 0 to 1: how near the two most probable labels are; of several labels the nearest yes and no."""
        kept = self.probabilities
        if self.multilabel:
            return np.asarray(1 - np.abs(2 * kept - 1).min(axis=1), np.float64)
        least, most = np.partition(kept, -2, axis=1)[:, -2:].T
        return np.asarray(1 - (most - least), np.float64)

    @property
    def mutual_information(self) -> Floats:
        """``(n,)``, in the unit of :attr:`entropy`: what is left of it once the members' own is taken away."""
        own = np.mean([_entropy(one, self.multilabel) for one in self.members], axis=0)
        return np.asarray(np.maximum(self.entropy - own, 0), np.float64)

    def at(self, rows: NDArray[np.intp]) -> Candidates:
        """Some of them."""
        return Candidates(self.members[:, rows], self.features[rows], self.multilabel)


def choose(candidates: Candidates, count: int, method: Method, *, seed: int = 0) -> NDArray[np.intp]:
    """The places of those to label, the first first; of equal ones the first in their order.

    Args:
        candidates: All that could be labelled.
        count: How many are wanted, at most as many as there are.
        method: One of :data:`METHODS`.
        seed: Of what ``badge`` draws.

    Raises:
        UsageError: ``bald`` without an ensemble.
    """
    count = min(count, len(candidates.features))
    if method == "bald" and len(candidates.members) < 2:
        raise UsageError("'bald' asks where the members of an ensemble disagree, and this is one classifier")
    if method == "core_set":
        return _spread(_Points(candidates.features), count, int(np.argmax(candidates.entropy)), None)
    if method == "badge":
        gradients = _gradients(candidates)
        return _spread(gradients, count, int(np.argmax(gradients.squares)), np.random.default_rng(seed))
    value = {"entropy": "entropy", "margin": "margin", "bald": "mutual_information"}[method]
    return np.argsort(-getattr(candidates, value), kind="stable")[:count]


class _Points:
    """Points ``(n, k)``; with ``factors`` ``(n, labels)`` their outer products, which are not written out.

    Of two outer products the inner product is the product of the factors' own.
    """

    def __init__(self, points: Floats, factors: Floats | None = None) -> None:
        self._points = points
        self._factors = np.ones((len(points), 1)) if factors is None else factors
        self.squares: Floats = (self._points**2).sum(axis=1) * (self._factors**2).sum(axis=1)

    def squared_distances(self, place: int) -> Floats:
        """``(n,)``, from one of them."""
        inner = (self._points @ self._points[place]) * (self._factors @ self._factors[place])
        return np.asarray(np.maximum(self.squares + self.squares[place] - 2 * inner, 0), np.float64)


def _gradients(candidates: Candidates) -> _Points:
    """Of the loss by the last layer, if the predicted labels were the right ones: features times probability less label."""
    said = candidates.probabilities
    if candidates.multilabel:
        return _Points(candidates.features, said - (said >= 0.5))
    return _Points(candidates.features, said - np.eye(said.shape[1])[said.argmax(axis=1)])


def _spread(points: _Points, count: int, first: int, random: np.random.Generator | None) -> NDArray[np.intp]:
    """From the first on, the farthest from all that are chosen; or drawn by the square of that distance."""
    chosen: list[int] = []
    nearest = np.full(len(points.squares), np.inf)
    place = first
    while len(chosen) < count:
        chosen.append(place)
        nearest = np.minimum(nearest, points.squared_distances(place))
        nearest[chosen] = 0
        total = nearest.sum()
        if total <= _TINY:  # what is left is no other than what is chosen
            rest = np.setdiff1d(np.arange(len(nearest)), chosen)
            return np.array([*chosen, *rest[: count - len(chosen)]], np.intp)
        place = int(np.argmax(nearest)) if random is None else int(random.choice(len(nearest), p=nearest / total))
    return np.array(chosen, np.intp)


def _entropy(probabilities: Floats, multilabel: bool) -> Floats:
    kept = probabilities.clip(_TINY, 1)
    if not multilabel:
        return np.asarray(-(kept * np.log(kept)).sum(axis=1) / np.log(kept.shape[1]), np.float64)
    against = (1 - probabilities).clip(_TINY, 1)
    return np.asarray(-(kept * np.log(kept) + against * np.log(against)).mean(axis=1) / np.log(2), np.float64)
