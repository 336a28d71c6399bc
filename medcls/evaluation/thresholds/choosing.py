"""One threshold, chosen by a stated rule.

Candidates are midway between neighbouring observed scores, as in pROC (scikit-learn takes the observed scores themselves,
and decides the same on these cases), and below and above all of them. A case is called when ``score >= threshold``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from medcls.config.sections.evaluation import (
    AtLeastSensitivity,
    AtLeastSpecificity,
    Costs,
    FixedThreshold,
    LeastCost,
    OperatingPointRule,
)
from medcls.errors import UsageError
from medcls.evaluation.statistics.arrays import Bools, Floats, as_pair
from medcls.evaluation.statistics.estimate import missing_class

Rule = OperatingPointRule
DEFAULT_THRESHOLD = 0.5
_EQUAL = 1e-12  # expected costs that differ by less of the greatest one are equal


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


def choose_threshold(label: str, positive: ArrayLike, scores: ArrayLike, rule: Rule = "youden") -> Threshold:
    """Choose one threshold.

    ``youden`` takes the greatest sensitivity + specificity - 1 (Cancer 1950;3:32), at a tie the threshold with
    sensitivity and specificity nearest each other, then the more sensitive. ``AtLeastSensitivity`` takes the most
    specific threshold that is sensitive enough, at a tie the more sensitive; ``AtLeastSpecificity`` the reverse.
    ``LeastCost`` takes the least expected cost of a case, ``false_negative * prevalence * (1 - sensitivity) +
    false_positive * (1 - prevalence) * (1 - specificity)``, with these cases' own prevalence unless one is stated, at a
    tie the more sensitive (Metz, Semin Nucl Med 1978;8:283). ``FixedThreshold`` is taken as it is. Where cases of one
    kind are missing, or no threshold tells them apart, the threshold is 0.5 and the reason is kept.

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
    if isinstance(rule, FixedThreshold):
        return _fixed(label, reference, numbers, None, rule.threshold)
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
    elif isinstance(rule, LeastCost):
        best = _cheapest(tp, tn, ups.size, downs.size, rule.cost)
        reason = None if tn[best] else "at these costs it is cheapest to predict every case positive"
        reason = reason if tp[best] else "at these costs it is cheapest to predict every case negative"
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
    if isinstance(rule, FixedThreshold):
        return f"threshold = {rule.threshold:g}"
    if isinstance(rule, LeastCost):
        cost = rule.cost
        prevalence = "" if cost.prevalence is None else f", prevalence {cost.prevalence:g}"
        return (
            f"least cost (false negative {cost.false_negative:g}, false positive {cost.false_positive:g}{prevalence})"
        )
    return f"specificity >= {rule.specificity:g}" if isinstance(rule, AtLeastSpecificity) else "youden"


def _youden(tp: np.ndarray, tn: np.ndarray, n_positive: int, n_negative: int) -> int:
    # In whole numbers, so that equal indices are equal.
    index = tp * n_negative + tn * n_positive
    gap = np.abs(tp * n_negative - tn * n_positive)
    return int(np.lexsort((-tp, gap, -index))[0])


def _most(wanted: np.ndarray, other: np.ndarray, *, enough: np.ndarray) -> int:
    return int(np.lexsort((-other, -wanted, ~enough))[0])


def _cheapest(tp: np.ndarray, tn: np.ndarray, n_positive: int, n_negative: int, cost: Costs) -> int:
    prevalence = n_positive / (n_positive + n_negative) if cost.prevalence is None else cost.prevalence
    missed = cost.false_negative * prevalence * (n_positive - tp) / n_positive
    alarms = cost.false_positive * (1 - prevalence) * (n_negative - tn) / n_negative
    expected = missed + alarms
    cheap = expected <= expected.min() + _EQUAL * expected.max()
    return int(np.lexsort((-tn, -tp, ~cheap))[0])


def _fixed(
    label: str, positive: Bools, scores: Floats, reason: str | None, threshold: float = DEFAULT_THRESHOLD
) -> Threshold:
    called = scores >= threshold
    sensitivity = float(called[positive].mean()) if positive.any() else None
    specificity = float((~called[~positive]).mean()) if not positive.all() else None
    return Threshold(label, threshold, sensitivity, specificity, reason)
