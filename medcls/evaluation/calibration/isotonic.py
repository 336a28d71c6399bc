"""Isotonic calibration: a rising staircase over the log-odds, fitted by pooling adjacent violators.

Zadrozny and Elkan, KDD 2001 and 2002. For three or more exclusive labels each label is fitted against the rest and the
probabilities of a case are divided by their sum. Between the knots of a curve it is linear, beyond them constant. It
can follow any rising shape, and so needs many cases (a thousand, say); cases that it pools get one probability, so AUC
may change a little.

No probability comes nearer to 0 or 1 than 1 / (n + 2) for n cases (Laplace's rule of succession): a staircase that
ends at 0 would call impossible whatever tune did not show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression
from scipy.special import expit

from medcls.errors import UsageError
from medcls.evaluation.calibration.likelihood import (
    Link,
    check_columns,
    check_fitted_on,
    likelihood_of_probabilities,
    link_of,
    log_odds,
    negative_log_likelihood,
    uncalibrated,
    why_labels_are_missing,
)
from medcls.evaluation.calibration.record import (
    NOT_CALIBRATED,
    all_finite,
    floats,
    join_reasons,
    read_record,
    reading_calibration,
    record_json,
)
from medcls.evaluation.statistics.arrays import Bools, Floats


@dataclass(frozen=True)
class Staircase:
    """A rising curve from log-odds to probability.

    Attributes:
        log_odds: ``k`` rising knots.
        probabilities: The ``k`` probabilities there, never falling, above 0 and below 1.
    """

    log_odds: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        x, p = np.asarray(self.log_odds), np.asarray(self.probabilities)
        usable = all_finite(self.log_odds) and all_finite(self.probabilities) and x.shape == p.shape
        if not usable or not (np.diff(x) > 0).all() or not (np.diff(p) >= 0).all() or not 0 < p[0] <= p[-1] < 1:
            raise UsageError("a staircase has rising knots and probabilities between 0 and 1 that do not fall")

    def __call__(self, odds: Floats) -> Floats:
        """Probabilities ``(n,)`` at log-odds ``(n,)``."""
        return np.interp(odds, self.log_odds, self.probabilities)

    def to_json(self) -> dict[str, Any]:
        """The knots as plain JSON."""
        return {"log_odds": list(self.log_odds), "probabilities": list(self.probabilities)}


@dataclass(frozen=True)
class Isotonic:
    """How logits become calibrated probabilities.

    Attributes:
        link: ``softmax`` over exclusive labels (two included), ``sigmoid`` for each label of a multi-label classifier.
        curves: One for each label; for two exclusive labels one, of the second. ``None`` leaves a label as it is.
        chosen_on: The partition it was fitted on.
        nll_before: Mean negative log-likelihood in nats for each case (and label, for sigmoid) before; ``None``
            without cases.
        nll_after: The same after.
        reason: Why a curve is left out that could not be fitted, or ``None``.
    """

    method: ClassVar[str] = "isotonic"
    link: Link
    curves: tuple[Staircase | None, ...]
    chosen_on: str
    nll_before: float | None = None
    nll_after: float | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if not self.curves or (self.link == "softmax" and len(self.curves) == 2):
            raise UsageError("isotonic calibration has a curve for each label, and one for two exclusive labels")
        if self.link == "softmax" and None in self.curves and any(self.curves):
            raise UsageError("the labels exclude each other: either all have a curve, or none")

    def probabilities(self, logits: ArrayLike) -> Floats:
        """Calibrated probabilities ``(n, labels)`` of logits ``(n, labels)``.

        Raises:
            UsageError: A logit is NaN, or the columns do not fit the curves.
        """
        two = self.link == "softmax" and len(self.curves) == 1
        numbers = check_columns(logits, 2 if two else len(self.curves), "isotonic calibration")
        if not any(self.curves):
            return uncalibrated(numbers, self.link)
        odds = log_odds(numbers, self.link)[:, -1:] if two else log_odds(numbers, self.link)
        columns = [expit(x) if curve is None else curve(x) for curve, x in zip(self.curves, odds.T, strict=True)]
        found = np.stack(columns, axis=1)
        if two:
            return np.concatenate((1 - found, found), axis=1)
        return found / found.sum(axis=1, keepdims=True) if self.link == "softmax" else found

    def describe(self) -> str:
        """The calibration in words."""
        knots = ", ".join("none" if curve is None else f"{len(curve.log_odds)} knots" for curve in self.curves)
        return f"isotonic, {knots}"

    def to_json(self) -> dict[str, Any]:
        """The knots as plain JSON."""
        curves = [None if curve is None else curve.to_json() for curve in self.curves]
        return {**record_json(self.method, self), "curves": curves}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Isotonic:
        """The curves that :meth:`to_json` wrote.

        Raises:
            ClassifierError: It is not one.
        """
        with reading_calibration():
            curves = tuple(
                None if curve is None else Staircase(floats(curve["log_odds"]), floats(curve["probabilities"]))
                for curve in value["curves"]
            )
            return cls(curves=curves, **read_record(value, cls.method))


def fit_isotonic(
    logits: ArrayLike,
    reference: ArrayLike,
    *,
    multilabel: bool = False,
    chosen_on: str = "tune",
    known: ArrayLike | None = None,
) -> Isotonic:
    """Fit the curves on the cases of one partition.

    Where a label is missing, or its log-odds do not rise with it, the label is left as it is and the reason says so; of
    exclusive labels then all are.

    Args:
        logits: ``(n, labels)`` finite numbers; two exclusive labels have two columns.
        reference: ``(n, labels)`` booleans; one true for each case unless multi-label.
        multilabel: Labels do not exclude each other.
        chosen_on: The partition's name.
        known: ``(n, labels)`` booleans, of which labels the reference is known; by default of all.

    Raises:
        UsageError: The shapes differ, or a logit is not finite.
    """
    numbers, truth, told = check_fitted_on(logits, reference, known)
    link = link_of(multilabel)
    odds = log_odds(numbers, link)
    columns: Sequence[int] = [1] if link == "softmax" and numbers.shape[1] == 2 else range(numbers.shape[1])
    fits = [_fit(odds[told[:, column], column], truth[told[:, column], column]) for column in columns]
    reason = join_reasons(reason for _, reason in fits)
    together = link == "softmax" and reason is not None
    curves = tuple(None if together else curve for curve, _ in fits)
    if not told.any():
        return Isotonic(link, curves, chosen_on, reason=reason)
    before = negative_log_likelihood(numbers, truth, link, told)
    after = before
    if any(curves):
        fitted = Isotonic(link, curves, chosen_on).probabilities(numbers)
        after = likelihood_of_probabilities(fitted, truth, link, told)
    return Isotonic(link, curves, chosen_on, before, after, reason)


def _fit(odds: Floats, positive: Bools) -> tuple[Staircase | None, str | None]:
    missing = why_labels_are_missing(positive, "sigmoid")
    if missing is not None:
        return None, f"{missing}: {NOT_CALIBRATED}"
    knots, place, count = np.unique(odds, return_inverse=True, return_counts=True)
    shares = np.bincount(place, weights=positive.astype(np.float64)) / count
    stairs = isotonic_regression(shares, weights=count).x
    if stairs[0] == stairs[-1]:
        return None, f"the logits do not follow the reference labels: {NOT_CALIBRATED}"
    # Within a step only its two ends matter.
    same = np.diff(stairs) == 0
    inner = np.append(False, same) & np.append(same, False)
    nearest = 1 / (odds.size + 2)
    bounded = np.clip(stairs[~inner], nearest, 1 - nearest)
    return Staircase(tuple(knots[~inner].tolist()), tuple(bounded.tolist())), None
