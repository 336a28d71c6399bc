"""The bootstrap by patient: AUC, sensitivity and specificity, beside a scikit-learn loop and the draws alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from bench_scans.clock import Sample
from bench_scans.table import Figures, Target, compare
from numpy.typing import NDArray

from medcls.evaluation.discrimination.ranking import RocStatistic
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.thresholds.confusion import rates

from .scale import Measured, Say, Scale, timed

OURS, USUAL, FLOOR, BUDGET = "medcls", "scikit-learn, replicate by replicate", "the draws alone", "1 s"
CASES, REPLICATES, LOOPED = 10_000, 2_000, 50
THRESHOLD = 0.5
Floats = NDArray[np.float64]


def statistics(scale: Scale, say: Say) -> Measured:
    """The loop is measured on a few replicates, and its time multiplied."""
    block = f"{REPLICATES:,} bootstrap replicates by patient, {CASES:,} cases"
    study = Study.made(CASES, scale.seed)
    calls: dict[str, Callable[[], Any]] = {
        OURS: lambda: study.vectorised(REPLICATES, scale.seed),
        USUAL: lambda: study.looped(LOOPED, scale.seed),
        FLOOR: lambda: sum(len(weights) for weights in study.resampling.weights(REPLICATES, scale.seed)),
    }
    figures = timed(scale, calls, say, block)
    samples = dict(figures.samples)
    if USUAL in samples:
        times = REPLICATES / LOOPED
        samples[USUAL] = [Sample(one.cpu * times, one.wall * times) for one in samples[USUAL]]
    figures = Figures({**samples, BUDGET: [Sample(1.0, 1.0)]}, figures.failures)
    what = "AUC, sensitivity, specificity"
    rows = [
        compare(block, what, figures, OURS, USUAL, floor=FLOOR),
        compare(block, what, figures, OURS, BUDGET, target=Target("at most", 1), floor=FLOOR),
    ]
    return rows, {block: figures}


@dataclass(frozen=True)
class Study:
    """Cases with references and scores, some patients with several."""

    positive: NDArray[np.bool_]
    scores: Floats
    patients: NDArray[np.intp]
    resampling: PatientResampling

    @classmethod
    def made(cls, cases: int, seed: int) -> Study:
        rng = np.random.default_rng(seed)
        patients = np.sort(rng.integers(0, cases * 4 // 5, cases))
        positive = (patients * 7919 % 10) < 3
        scores = 1 / (1 + np.exp(-rng.normal(np.where(positive, 0.8, -0.8))))
        return cls(positive, scores, patients, PatientResampling.of(patients, positive))

    def vectorised(self, replicates: int, seed: int) -> Floats:
        """``(replicates, 3)``: AUC, sensitivity and specificity."""
        up, called = self.positive, self.scores >= THRESHOLD
        cells = np.stack([up & called, ~up & called, up & ~called, ~up & ~called], axis=1).astype(np.float64)
        roc = RocStatistic(self.resampling, up, self.scores, np.empty(0))
        area, sums = self.resampling.replicate([roc, self.resampling.sums(cells)], replicates=replicates, seed=seed)
        drawn = rates(*sums.T)
        return np.column_stack((area[:, 0], drawn["sensitivity"], drawn["specificity"]))

    def looped(self, replicates: int, seed: int) -> Floats:
        """The same as it is usually written: draw patients of each label, take their cases, ask scikit-learn."""
        from sklearn.metrics import recall_score, roc_auc_score

        rng = np.random.default_rng(seed)
        names, starts = np.unique(self.patients, return_index=True)
        cases = dict(zip(names, np.split(np.arange(self.patients.size), starts[1:]), strict=True))
        ill = np.array([self.positive[cases[name]].any() for name in names])
        called, rows = self.scores >= THRESHOLD, []
        for _ in range(replicates):
            drawn = np.concatenate([rng.choice(names[ill == label], (ill == label).sum()) for label in (True, False)])
            taken = np.concatenate([cases[name] for name in drawn])
            truth, decided = self.positive[taken], called[taken]
            rows.append(
                (
                    roc_auc_score(truth, self.scores[taken]),
                    recall_score(truth, decided),
                    recall_score(truth, decided, pos_label=False),
                )
            )
        return np.array(rows)
