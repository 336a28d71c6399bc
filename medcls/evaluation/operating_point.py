"""Operating point: how probabilities become a decision, chosen on tune and then left alone.

**Decision.** A case is called when ``p >= threshold``. Two labels have one threshold, on the positive label's
probability; multi-label has one for each label; three or more exclusive labels take the most probable one (the
earlier at a tie).

**Thresholds.** Candidates lie midway between neighbouring observed scores, as in pROC (scikit-learn takes the
observed scores themselves, and decides the same on these cases), and below and above all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from medcls.config.settings import AtLeastSensitivity, AtLeastSpecificity
from medcls.errors import ClassifierError, UsageError
from medcls.evaluation.arrays import Bools, Floats, as_bools, as_floats, as_pair
from medcls.evaluation.auc import missing_class
from medcls.evaluation.predictions import Predictions, check_labels

Rule = Literal["youden"] | AtLeastSensitivity | AtLeastSpecificity
DECISION = "p >= threshold"
ARGMAX = "argmax"
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class Threshold:
    """One label's threshold and what it did on the cases that it was chosen on.

    Attributes:
        label: The label that is called at or above it.
        value: The threshold.
        sensitivity: On the cases it was chosen on; ``None`` when there were no cases with the label.
        specificity: The same for cases without the label.
        reason: Why the rule could not be followed as it stands, or ``None``.
    """

    label: str
    value: float
    sensitivity: float | None
    specificity: float | None
    reason: str | None = None


@dataclass(frozen=True)
class OperatingPoint:
    """How probabilities become decisions, and where that was chosen.

    Attributes:
        labels: The classifier's labels, in the order of the probabilities' columns.
        positive: The positive one of two exclusive labels, else ``None``.
        multilabel: The labels do not exclude each other.
        rule: ``youden``, ``sensitivity >= x``, ``specificity >= x`` or ``argmax``.
        cuts: One threshold for the positive label, one for each label of a multi-label classifier, or none (argmax).
        chosen_on: The partition it was chosen on.
        cases_hash: Which cases these were (:meth:`medcls.evaluation.predictions.Predictions.cases_hash`).
    """

    labels: tuple[str, ...]
    positive: str | None
    multilabel: bool
    rule: str
    cuts: tuple[Threshold, ...]
    chosen_on: str
    cases_hash: str

    def __post_init__(self) -> None:
        check_labels(self.labels, self.positive, self.multilabel)
        wanted = self.labels if self.multilabel else (self.positive,) if self.positive is not None else ()
        if tuple(cut.label for cut in self.cuts) != wanted:
            raise UsageError("an operating point needs one threshold for each label that is called")

    @property
    def decision(self) -> str:
        """How a case is decided: ``p >= threshold`` or ``argmax``."""
        return DECISION if self.cuts else ARGMAX

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The thresholds alone."""
        return tuple(cut.value for cut in self.cuts)

    def decide(self, probabilities: ArrayLike) -> Bools:
        """Decisions ``(n, labels)`` for probabilities ``(n, labels)``: exactly one label a case unless multi-label.

        Raises:
            UsageError: The columns are not those of the labels, or a probability is NaN.
        """
        numbers = as_floats(probabilities, "the probabilities")
        if numbers.ndim != 2 or numbers.shape[1] != len(self.labels):
            raise UsageError(f"probabilities of shape {numbers.shape} do not fit {len(self.labels)} labels")
        if self.multilabel:
            return as_bools(numbers >= np.asarray(self.thresholds), "the decisions")
        if self.positive is not None:
            column = self.labels.index(self.positive)
            called = numbers[:, column] >= self.thresholds[0]
            return np.stack((called, ~called) if column == 0 else (~called, called), axis=1)
        return as_bools(numbers.argmax(axis=1)[:, None] == np.arange(len(self.labels)), "the decisions")

    def to_json(self) -> dict[str, Any]:
        """The operating point as plain JSON."""
        return {
            "labels": list(self.labels),
            "positive": self.positive,
            "multilabel": self.multilabel,
            "rule": self.rule,
            "decision": self.decision,
            "thresholds": [
                {
                    "label": cut.label,
                    "threshold": cut.value,
                    "sensitivity": cut.sensitivity,
                    "specificity": cut.specificity,
                    "reason": cut.reason,
                }
                for cut in self.cuts
            ],
            "chosen_on": self.chosen_on,
            "cases_hash": self.cases_hash,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> OperatingPoint:
        """The operating point that :meth:`to_json` wrote.

        Raises:
            ClassifierError: It is not one.
        """
        try:
            cuts = tuple(
                Threshold(cut["label"], float(cut["threshold"]), cut["sensitivity"], cut["specificity"], cut["reason"])
                for cut in value["thresholds"]
            )
            labels, positive, multilabel = tuple(value["labels"]), value["positive"], bool(value["multilabel"])
            point = cls(labels, positive, multilabel, value["rule"], cuts, value["chosen_on"], value["cases_hash"])
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise ClassifierError(
                "the operating point is damaged", remedy="Take a whole copy of the classifier"
            ) from error
        if not all(math.isfinite(threshold) for threshold in point.thresholds):
            raise ClassifierError("the operating point has a threshold that is not finite")
        return point


def choose_operating_point(
    predictions: Predictions, rule: Rule = "youden", *, chosen_on: str = "tune"
) -> OperatingPoint:
    """Choose the thresholds of every label that is called, on these cases.

    Args:
        predictions: The tune partition, with calibrated probabilities.
        rule: As :func:`choose_threshold`; three or more exclusive labels always take the most probable one.
        chosen_on: The partition's name.
    """
    argmax = not predictions.multilabel and predictions.positive is None
    cuts = () if argmax else tuple(choose_threshold(*column, rule) for column in predictions.columns())
    return OperatingPoint(
        labels=predictions.labels,
        positive=predictions.positive,
        multilabel=predictions.multilabel,
        rule=ARGMAX if argmax else describe_rule(rule),
        cuts=cuts,
        chosen_on=chosen_on,
        cases_hash=predictions.cases_hash(),
    )


def choose_threshold(label: str, positive: ArrayLike, scores: ArrayLike, rule: Rule = "youden") -> Threshold:
    """Choose one threshold.

    ``youden`` takes the greatest sensitivity + specificity - 1 (Cancer 1950;3:32), at a tie the threshold with
    sensitivity and specificity nearest each other, then the more sensitive. ``AtLeastSensitivity`` takes the most
    specific threshold that is sensitive enough, at a tie the more sensitive; ``AtLeastSpecificity`` the reverse.
    Where cases of one kind are missing, or no threshold tells them apart, the threshold is 0.5 and the reason is
    kept.

    Args:
        label: The label's name.
        positive: ``(n,)`` booleans.
        scores: ``(n,)`` numbers, probabilities as a rule.
        rule: What to choose by.

    Raises:
        UsageError: The shapes differ or a score is not finite.
    """
    reference, numbers = as_pair(positive, scores)
    if not np.isfinite(numbers).all():
        raise UsageError("a threshold cannot be chosen on scores that are not finite")
    missing = missing_class(reference)
    if missing is not None:
        return _fixed(label, reference, numbers, f"{missing.reason}: the threshold could not be chosen")
    thresholds = candidate_thresholds(numbers)
    ups, downs = np.sort(numbers[reference]), np.sort(numbers[~reference])
    tp, tn = ups.size - np.searchsorted(ups, thresholds), np.searchsorted(downs, thresholds)
    reason = None
    if rule == "youden":
        best = _youden(tp, tn, ups.size, downs.size)
        if tp[best] * downs.size + tn[best] * ups.size <= ups.size * downs.size:
            return _fixed(label, reference, numbers, "no threshold is better than chance: it could not be chosen")
    elif isinstance(rule, AtLeastSensitivity):
        best = _most(tn, tp, enough=tp >= rule.sensitivity * ups.size - 1e-9)
        reason = None if tn[best] else "this sensitivity is reached only by calling every case"
    else:
        best = _most(tp, tn, enough=tn >= rule.specificity * downs.size - 1e-9)
        reason = None if tp[best] else "this specificity is reached only by missing every case with the label"
    return Threshold(label, float(thresholds[best]), float(tp[best] / ups.size), float(tn[best] / downs.size), reason)


def candidate_thresholds(scores: Floats) -> Floats:
    """Rising thresholds that part ``scores`` in every possible way, from all called to none called.

    The first is 0 (or the least score, where that is negative), the last just above 1 (or above the greatest score).
    """
    levels = np.unique(scores)
    middle = levels[:-1] + (levels[1:] - levels[:-1]) / 2
    # Between neighbouring floating-point numbers there is no middle: there the upper one parts them.
    middle = np.where(middle > levels[:-1], middle, levels[1:])
    return np.concatenate(([min(0.0, levels[0])], middle, [np.nextafter(max(1.0, levels[-1]), np.inf)]))


def describe_rule(rule: Rule) -> str:
    """The rule in words, for files and reports."""
    if isinstance(rule, AtLeastSensitivity):
        return f"sensitivity >= {rule.sensitivity:g}"
    return f"specificity >= {rule.specificity:g}" if isinstance(rule, AtLeastSpecificity) else "youden"


def _youden(tp: np.ndarray, tn: np.ndarray, n_positive: int, n_negative: int) -> int:
    # In whole numbers, so that equal indices are equal.
    index = tp * n_negative + tn * n_positive
    gap = np.abs(tp * n_negative - tn * n_positive)
    return int(np.lexsort((-tp, gap, -index))[0])


def _most(wanted: np.ndarray, other: np.ndarray, *, enough: np.ndarray) -> int:
    return int(np.lexsort((-other, -wanted, ~enough))[0])


def _fixed(label: str, positive: Bools, scores: Floats, reason: str) -> Threshold:
    called = scores >= DEFAULT_THRESHOLD
    sensitivity = float(called[positive].mean()) if positive.any() else None
    specificity = float((~called[~positive]).mean()) if not positive.all() else None
    return Threshold(label, DEFAULT_THRESHOLD, sensitivity, specificity, reason)
