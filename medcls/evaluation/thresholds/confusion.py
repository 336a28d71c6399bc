"""Figures that count decisions: confusion matrix, sensitivity, specificity, predictive values, F1, MCC, likelihood ratios.

``called`` means 'decided positive at the operating point'. The formulas stand once, in :func:`rates`, for single
tables and for thousands of bootstrap replicates alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medcls.errors import UsageError
from medcls.evaluation.statistics.arrays import Floats, as_bools, ratio
from medcls.evaluation.statistics.estimate import NO_NEGATIVE, NO_POSITIVE, PointEstimate, Undefined
from medcls.nearest import one_of

RATE_NAMES = (
    "sensitivity",
    "specificity",
    "accuracy",
    "balanced_accuracy",
    "ppv",
    "npv",
    "f1",
    "mcc",
    "lr_positive",
    "lr_negative",
)


def rates(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> dict[str, Floats]:
    """Every rate of :data:`RATE_NAMES` for arrays of counts of any one shape.

    NaN marks the undefined ones here, inside the computation only; a figure leaves this package as ``None`` with a
    reason. PPV and NPV need cases with and without the label (else they are 1 or 0 whatever the classifier does), and
    F1 needs cases with the label. F1 is 0 when such cases exist and none is called (as Dice's coefficient). Matthews'
    correlation coefficient (Biochim Biophys Acta 1975;405:442) needs cases of both kinds, called and not called. The
    likelihood ratios are sensitivity / (1 - specificity) and (1 - sensitivity) / specificity; undefined, not infinite,
    where the divisor is 0.
    """
    ups, downs = tp + fn, tn + fp
    sensitivity, specificity = ratio(tp, ups), ratio(tn, downs)
    both = (ups > 0) & (downs > 0)
    return {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "accuracy": ratio(tp + tn, ups + downs),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "ppv": ratio(tp, np.where(both, tp + fp, 0.0)),
        "npv": ratio(tn, np.where(both, tn + fn, 0.0)),
        "f1": ratio(2 * tp, np.where(ups > 0, 2 * tp + fp + fn, 0.0)),
        "mcc": ratio(tp * tn - fp * fn, np.sqrt(ups * downs) * np.sqrt((tp + fp) * (tn + fn))),
        "lr_positive": ratio(sensitivity, ratio(fp, downs)),
        "lr_negative": ratio(ratio(fn, ups), specificity),
    }


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
            UsageError: There is no such figure.
        """
        if name not in RATE_NAMES:
            raise UsageError(f"no figure is called '{name}'", remedy=one_of(name, RATE_NAMES, "Figures"))
        counts = (np.asarray(count, dtype=np.float64) for count in (self.tp, self.fp, self.fn, self.tn))
        value = float(rates(*counts)[name])
        return Undefined(self._reason(name)) if np.isnan(value) else value

    def to_json(self) -> dict[str, int]:
        """The table as plain JSON."""
        return {"tp": self.tp, "fp": self.fp, "fn": self.fn, "tn": self.tn}

    def _reason(self, name: str) -> str:
        if not self.tp + self.fp + self.fn + self.tn:
            return "there are no cases"
        if not self.tp + self.fn:
            return NO_POSITIVE
        if not self.tn + self.fp:
            return NO_NEGATIVE
        if name in ("lr_positive", "lr_negative"):
            return self._ratio_reason(name)
        return "no case is called" if not self.tp + self.fp else "every case is called"

    def _ratio_reason(self, name: str) -> str:
        if name == "lr_positive":
            return "no case is called" if not self.tp else "no case without the label is called: the ratio is infinite"
        return (
            "every case is called" if not self.fn else "every case without the label is called: the ratio is infinite"
        )


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
