"""AUC within folds: only cases that the same fold's classifier evaluated are ranked against each other.

Pooling ranks probabilities of different classifiers together, so folds whose probabilities are on different scales lower the
pooled AUC though each ranks well (Forman and Scholz, SIGKDD Explorations 2010;12(1):49). Here the pairs of a positive and a
negative case are those within a fold, over all folds: the stratified Mann-Whitney statistic. Its interval is the bootstrap by
patient over all folds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.statistics.arrays import Bools, Floats, Indices, ratio
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.statistics.bootstrap_interval import bootstrap_estimate
from medcls.evaluation.statistics.estimate import Estimate
from medcls.evaluation.statistics.intervals import auc_without_resampling, disjoint_pairs

_AUC_BOUNDS = (0.0, 1.0)


@dataclass(frozen=True, eq=False)
class _FoldPairs:
    """The pairs of one fold, ready to be weighted.

    Attributes:
        ups: Patients of the positive cases.
        downs: Patients of the negative cases, by rising score.
        below: For each positive case, how many negative ones have a lower score.
        upto: The same, or an equal one.
    """

    ups: Indices
    downs: Indices
    below: Indices
    upto: Indices

    @classmethod
    def of(cls, patient: Indices, positive: Bools, scores: Floats) -> _FoldPairs:
        downs = np.flatnonzero(~positive)
        downs = downs[np.argsort(scores[downs], kind="stable")]
        ups = np.flatnonzero(positive)
        below, upto = (np.searchsorted(scores[downs], scores[ups], side=side) for side in ("left", "right"))
        return cls(patient[ups], patient[downs], below, upto)

    def __call__(self, weights: Floats) -> Floats:
        """``(b, 2)``: the weights of the pairs in the right order, ties counting half, and of all pairs."""
        up, down = weights[:, self.ups], weights[:, self.downs]
        running = np.concatenate((np.zeros((len(weights), 1)), np.cumsum(down, axis=1)), axis=1)
        right = (up * (running[:, self.below] + running[:, self.upto]) / 2).sum(axis=1)
        return np.stack((right, up.sum(axis=1) * down.sum(axis=1)), axis=1)

    @property
    def disjoint(self) -> int:
        """How many pairs of different patients can be made, each patient used once."""
        ups, downs = set(self.ups.tolist()), set(self.downs.tolist())
        return disjoint_pairs(len(ups - downs), len(downs - ups), len(ups & downs)) if ups and downs else 0


def auc_within_folds(
    predictions: Predictions, folds: ArrayLike, settings: EvaluationSettings | None = None, seed: int = 0
) -> dict[str, Estimate]:
    """The AUC within folds of each label that has figures of its own.

    Args:
        predictions: Held-out predictions of all folds.
        folds: ``(n,)`` names of the folds.
        settings: Confidence level and number of replicates.
        seed: Seed of the bootstrap.

    Raises:
        UsageError: There is not one fold for each case.
    """
    names = np.asarray(folds)
    if names.shape != predictions.patients.shape:
        raise UsageError(f"{names.shape} folds do not fit {predictions.n_cases} cases")
    settings = settings or EvaluationSettings()
    found = {}
    for one in predictions.columns():
        rows = [np.flatnonzero(names[one.known] == name) for name in np.unique(names)]
        pairs = [_FoldPairs.of(one.resampling.patient[row], one.positive[row], one.scores[row]) for row in rows]
        found[one.label] = _estimate(pairs, one.positive, one.resampling, settings, seed)
    return found


def _estimate(
    folds: list[_FoldPairs], positive: Bools, resampling: PatientResampling, settings: EvaluationSettings, seed: int
) -> Estimate:
    def pairs(weights: Floats) -> Floats:
        return np.asarray(sum(fold(weights) for fold in folds))

    right, total = pairs(np.ones((1, resampling.n_patients)))[0] if folds else (0.0, 0.0)
    if not total:
        return Estimate.undefined("no fold has cases with and without the label")
    value = float(right / total)
    (drawn,) = resampling.replicate([pairs], replicates=settings.replicates, seed=seed)
    patients = min(resampling.count(positive), resampling.count(~positive))
    disjoint = max(1, sum(fold.disjoint for fold in folds))
    return bootstrap_estimate(
        value,
        ratio(drawn[:, 0], drawn[:, 1]),
        patients,
        settings.confidence,
        lambda: auc_without_resampling(value, disjoint, settings.confidence),
        bounds=_AUC_BOUNDS,
    )
