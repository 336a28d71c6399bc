"""The 2x2 table of decisions and the confusion matrix; ``called`` means 'decided positive at the operating point'."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medcls.errors import UsageError
from medcls.evaluation.metrics import COUNTED
from medcls.evaluation.statistics.arrays import Floats, as_bools
from medcls.evaluation.statistics.estimate import PointEstimate
from medcls.nearest import one_of

RATE_NAMES = tuple(COUNTED)


def rates(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> dict[str, Floats]:
    """Every rate of :data:`RATE_NAMES` for arrays of counts of any one shape.

    NaN marks the undefined ones here, inside the computation only; a metric leaves this package as ``None`` with a reason.
    """
    return {name: row.counts(tp, fp, fn, tn) for name, row in COUNTED.items()}


@dataclass(frozen=True)
class Counts:
    """The 2x2 table of one label.

    Attributes:
        tp: Cases with the label that are called.
        fp: Cases without it that are called.
        fn: Cases with it that are not called.
        tn: Cases without it that are not called.
    """

    tp: int
    fp: int
    fn: int
    tn: int

    @classmethod
    def of(cls, positive: ArrayLike, called: ArrayLike) -> Counts:
        """Count two ``(n,)`` boolean arrays.

        Raises:
            UsageError: The shapes differ.
        """
        reference, decided = as_bools(positive, "the reference"), as_bools(called, "the decisions")
        if reference.ndim != 1 or reference.shape != decided.shape:
            raise UsageError(f"the reference has shape {reference.shape} and the decisions have {decided.shape}")
        tp, called_n, positive_n = int((reference & decided).sum()), int(decided.sum()), int(reference.sum())
        return cls(tp, called_n - tp, positive_n - tp, reference.size - called_n - positive_n + tp)

    def metric(self, name: str) -> PointEstimate:
        """One of :data:`RATE_NAMES`, or why it is undefined.

        Raises:
            UsageError: There is no such metric.
        """
        if name not in RATE_NAMES:
            raise UsageError(f"no metric is called '{name}'", remedy=one_of(name, RATE_NAMES, "Metrics"))
        return COUNTED[name].of_table(self.tp, self.fp, self.fn, self.tn)

    def to_json(self) -> dict[str, int]:
        """The table as plain JSON."""
        return {"tp": self.tp, "fp": self.fp, "fn": self.fn, "tn": self.tn}


def confusion_matrix(reference: ArrayLike, predicted: ArrayLike) -> NDArray[np.int64]:
    """Counts of reference label (rows) by predicted label (columns); a label without cases keeps its row and column.

    Args:
        reference: ``(n, labels)`` booleans, one true for each case.
        predicted: ``(n, labels)`` booleans, one true for each case.

    Raises:
        UsageError: The shapes differ, or a case has not exactly one label.
    """
    truth, prediction = as_bools(reference, "the reference"), as_bools(predicted, "the decisions")
    if truth.ndim != 2 or truth.shape != prediction.shape:
        raise UsageError(f"the reference has shape {truth.shape} and the decisions have {prediction.shape}")
    if not ((truth.sum(axis=1) == 1).all() and (prediction.sum(axis=1) == 1).all()):
        raise UsageError(
            "a confusion matrix needs exactly one label for each case", remedy="Use the counts of each label"
        )
    return truth.T.astype(np.int64) @ prediction.astype(np.int64)
