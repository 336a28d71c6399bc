"""Figures of a ranking (AUC, partial AUC, average precision, the ROC curve) for thousands of bootstrap replicates.

Cases are sorted once. A replicate only weights them, so all that is needed of it are two running sums down the ranking,
of the weights with and without the label; every metric reads from these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from medcls.evaluation.discrimination.partial_auc import MOST_FPR, standardised
from medcls.evaluation.statistics.arrays import Bools, Floats, Indices, as_pair, ratio
from medcls.evaluation.statistics.bootstrap import PatientResampling

_MOST_POINTS = 400


class Ranking:
    """The cases of one label from the highest score to the lowest, ready to be weighted.

    Args:
        resampling: Which case is whose.
        positive: ``(n,)`` booleans, with both values.
        scores: ``(n,)`` numbers.
    """

    def __init__(self, resampling: PatientResampling, positive: Bools, scores: Floats) -> None:
        reference, numbers = as_pair(positive, scores)
        order = np.argsort(-numbers, kind="stable")
        ups, downs = order[reference[order]], order[~reference[order]]
        self.up_patients, self.down_patients = resampling.patient[ups], resampling.patient[downs]
        # Negated, so that they rise down the ranking.
        self._ups, self._downs = -numbers[ups], -numbers[downs]
        self.downs_above_ups = np.searchsorted(self._downs, self._ups, side="left")
        self.downs_upto_ups = np.searchsorted(self._downs, self._ups, side="right")
        self.ups_upto_ups = np.searchsorted(self._ups, self._ups, side="right")
        self.ups_above_downs = np.searchsorted(self._ups, self._downs, side="left")
        self.ups_upto_downs = np.searchsorted(self._ups, self._downs, side="right")
        self.ties = bool((self.downs_above_ups != self.downs_upto_ups).any())
        self._kept: dict[str, Floats] = {}

    @cached_property
    def levels(self) -> tuple[Indices, Indices]:
        """How many positive and negative cases are at or above each score, falling, 0 first; at most 400 scores.

        Between so many points of the curve a straight line is as good.
        """
        levels = np.unique(np.concatenate((self._ups, self._downs)))
        if levels.size > _MOST_POINTS:
            levels = levels[np.linspace(0, levels.size - 1, _MOST_POINTS).astype(np.intp)]
        ups, downs = (np.searchsorted(scores, levels, side="right") for scores in (self._ups, self._downs))
        return np.append(0, ups), np.append(0, downs)

    @cached_property
    def tied_downs(self) -> tuple[Indices, Indices]:
        """The groups of negative cases with one score: their first places, and the places behind their last."""
        firsts = np.flatnonzero(np.concatenate(([True], np.diff(self._downs) > 0)))
        return firsts, np.append(firsts[1:], self._downs.size)

    def weighted(self, weights: Floats) -> WeightedRanking:
        """The ranking under weights ``(b, patients)``; it is valid until the next call."""
        up = self.take(weights, self.up_patients, "up")
        down = self.take(weights, self.down_patients, "down")
        return WeightedRanking(self, up, self._running("ups", up), self._running("downs", down))

    def take(self, values: Floats, index: Indices, name: str) -> Floats:
        """``values[:, index]`` in memory that is kept from call to call: asking for it anew takes longer than the rest."""
        return np.take(values, index, axis=1, out=self.memory(name, len(values), index.size), mode="clip")

    def _running(self, name: str, weights: Floats) -> Floats:
        sums = self.memory(name, len(weights), weights.shape[1] + 1)
        sums[:, 0] = 0.0
        np.cumsum(weights, axis=1, out=sums[:, 1:])
        return sums

    def memory(self, name: str, rows: int, columns: int) -> Floats:
        """An array with any values in it, kept by its name."""
        kept = self._kept.get(name)
        if kept is None or len(kept) < rows or kept.shape[1] != columns:
            kept = self._kept[name] = np.empty((rows, columns))
        return kept[:rows]


class WeightedRanking:
    """One chunk of ``b`` replicates of a :class:`Ranking`.

    Args:
        ranking: The cases.
        up: ``(b, positives)`` weights, down the ranking.
        ups: ``(b, positives + 1)`` their running sums.
        downs: ``(b, negatives + 1)`` the running sums of the negatives.
    """

    def __init__(self, ranking: Ranking, up: Floats, ups: Floats, downs: Floats) -> None:
        self._ranking, self._up, self._ups, self._downs = ranking, up, ups, downs
        self._n_ups, self._n_downs = ups[:, -1], downs[:, -1]
        self._both = (self._n_ups > 0) & (self._n_downs > 0)

    @cached_property
    def _downs_upto(self) -> Floats:
        return self._ranking.take(self._downs, self._ranking.downs_upto_ups, "downs upto")

    def auc(self) -> Floats:
        """``(b,)``, NaN where a replicate has one kind of cases only."""
        lost = np.einsum("bi,bi->b", self._up, self._downs_upto)
        if self._ranking.ties:
            above = self._ranking.take(self._downs, self._ranking.downs_above_ups, "downs above")
            lost = (lost + np.einsum("bi,bi->b", self._up, above)) / 2
        pairs = self._n_ups * self._n_downs
        return ratio(pairs - lost, pairs)

    def average_precision(self) -> Floats:
        """``(b,)``, NaN where a replicate has one kind of cases only."""
        found = self._ranking.take(self._ups, self._ranking.ups_upto_ups, "found")
        called = np.add(self._downs_upto, found, out=self._ranking.memory("called", *found.shape))
        # Above the first drawn case nobody is called; there the weights are 0, and so is what is left in place.
        precision = np.divide(found, called, out=called, where=called > 0)
        return ratio(np.einsum("bi,bi->b", self._up, precision), np.where(self._both, self._n_ups, 0.0))

    def partial_auc(self, most_fpr: float = MOST_FPR) -> Floats:
        """``(b,)`` standardised area up to ``most_fpr``, NaN where a replicate has one kind of cases only."""
        most = most_fpr * self._n_downs[:, None]
        firsts, ends = self._ranking.tied_downs
        inside = self._groups_inside(firsts, most)
        firsts, ends = firsts[:inside], ends[:inside]
        start = self._ranking.take(self._downs, firsts, "start")
        width = self._ranking.take(self._downs, ends, "end")
        width -= start
        taken = np.clip(most - start, 0.0, width)
        # Where nobody is drawn the width is 0, and so is what is taken of it.
        share = np.divide(taken, width, out=width, where=width > 0)
        above = self._ranking.take(self._ups, self._ranking.ups_above_downs[firsts], "above")
        upto = self._ranking.take(self._ups, self._ranking.ups_upto_downs[firsts], "upto")
        area = np.einsum("bi,bi->b", taken, above + share * (upto - above) / 2)
        return standardised(ratio(area, self._n_ups * self._n_downs), most_fpr)

    def sensitivities(self, fpr: Floats) -> Floats:
        """``(b, g)`` sensitivities at false-positive rates ``(g,)``; on a vertical piece the curve's upper end."""
        values = np.full((len(self._ups), fpr.size), np.nan)
        ups, downs = self._ranking.levels
        tprs, fprs = (
            ratio(self._ups[:, ups], self._n_ups[:, None]),
            ratio(self._downs[:, downs], self._n_downs[:, None]),
        )
        for row in np.flatnonzero(self._both) if fpr.size else ():
            values[row] = np.interp(fpr, np.append(0.0, fprs[row]), np.append(0.0, tprs[row]))
        return values

    def _groups_inside(self, firsts: Indices, most: Floats) -> int:
        """How many groups of negatives begin within the range in some replicate; doubles a guess until it holds."""
        groups = 1
        while groups < firsts.size and (self._downs[:, firsts[groups], None] < most).any():
            groups *= 2
        return min(groups, firsts.size)


class RocStatistic:
    """AUC and sensitivities at given false-positive rates, as functions of patients' weights.

    Args:
        resampling: Which case is whose.
        positive: ``(n,)`` booleans, with both values.
        scores: ``(n,)`` numbers.
        fpr: ``(g,)`` the false-positive rates to read the curve at.

    Called with weights ``(b, patients)`` it gives ``(b, 1 + g)``: the AUC first, then the sensitivities; NaN where a
    replicate has one class only.
    """

    def __init__(self, resampling: PatientResampling, positive: Bools, scores: Floats, fpr: Floats) -> None:
        self._ranking, self._fpr = Ranking(resampling, positive, scores), fpr

    def __call__(self, weights: Floats) -> Floats:
        """AUC and sensitivities ``(b, 1 + g)`` for weights ``(b, patients)``."""
        weighted = self._ranking.weighted(weights)
        return np.column_stack((weighted.auc(), weighted.sensitivities(self._fpr)))


class RankingStatistic(RocStatistic):
    """As :class:`RocStatistic`, but ``(b, k + g)``: ``k`` metrics, then the sensitivities.

    Args:
        resampling: Which case is whose.
        positive: ``(n,)`` booleans, with both values.
        scores: ``(n,)`` numbers.
        fpr: ``(g,)`` the false-positive rates to read the curve at.
        of: The metrics, each from the weighted ranking to ``(b,)``.
    """

    def __init__(
        self,
        resampling: PatientResampling,
        positive: Bools,
        scores: Floats,
        fpr: Floats,
        of: Sequence[Callable[[WeightedRanking], Floats]],
    ) -> None:
        super().__init__(resampling, positive, scores, fpr)
        self._of = tuple(of)

    def __call__(self, weights: Floats) -> Floats:
        """Metrics and sensitivities ``(b, k + g)`` for weights ``(b, patients)``."""
        weighted = self._ranking.weighted(weights)
        return np.column_stack((*(one(weighted) for one in self._of), weighted.sensitivities(self._fpr)))
