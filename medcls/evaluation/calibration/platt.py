"""Platt scaling: a logistic curve over the log-odds, for two labels, or for each label of a multi-label classifier.

``p = 1 / (1 + exp(-(slope * x + intercept)))``, where x is the uncalibrated log-odds. As Platt proposed (Advances in
Large Margin Classifiers, 1999), the targets are (n+ + 1) / (n+ + 2) and 1 / (n- + 2) rather than 1 and 0, so that few
cases, or cases without an error, do not make it sure of everything. The slope is positive: the order of cases stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from medcls.errors import UsageError
from medcls.evaluation.calibration.likelihood import (
    Link,
    check_columns,
    check_fitted_on,
    link_of,
    log_odds,
    negative_log_likelihood,
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
from medcls.evaluation.statistics.logistic import fit_logistic


@dataclass(frozen=True)
class Platt:
    """How logits become calibrated probabilities.

    Attributes:
        link: ``softmax`` for two exclusive labels, ``sigmoid`` for each label of a multi-label classifier.
        slopes: One for two exclusive labels, where x is the log-odds of the second; else one for each label.
        intercepts: The same number.
        chosen_on: The partition it was fitted on.
        nll_before: Mean negative log-likelihood in nats for each case (and label, for sigmoid) before; ``None``
            without cases.
        nll_after: The same after.
        reason: Why a curve is left out that could not be fitted, or ``None``.
    """

    method: ClassVar[str] = "platt"
    link: Link
    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]
    chosen_on: str
    nll_before: float | None = None
    nll_after: float | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        usable = all_finite((*self.slopes, *self.intercepts)) and all(slope > 0 for slope in self.slopes)
        if not usable or len(self.slopes) != len(self.intercepts) or (self.link == "softmax" and len(self.slopes) != 1):
            raise UsageError("Platt scaling has a positive slope and an intercept for each label, or for two together")

    def scores(self, logits: ArrayLike) -> Floats:
        """Calibrated logits ``(n, labels)``, of which softmax or sigmoid gives the probabilities.

        Raises:
            UsageError: A logit is NaN, or the columns do not fit.
        """
        labels = 2 if self.link == "softmax" else len(self.slopes)
        numbers = check_columns(logits, labels, "Platt scaling")
        if self.link == "sigmoid":
            return np.asarray(numbers * self.slopes + self.intercepts)
        moved = self.slopes[0] * (numbers[:, 1] - numbers[:, 0]) + self.intercepts[0]
        return np.stack((np.zeros_like(moved), moved), axis=1)

    def probabilities(self, logits: ArrayLike) -> Floats:
        """Calibrated probabilities ``(n, labels)`` of logits ``(n, labels)``; raises as :meth:`scores`."""
        scores = self.scores(logits)
        if self.link == "sigmoid":
            return np.asarray(expit(scores))
        return np.asarray(expit(np.stack((-scores[:, 1], scores[:, 1]), axis=1)))

    def describe(self) -> str:
        """The calibration in words."""
        curves = zip(self.slopes, self.intercepts, strict=True)
        return "Platt, " + ", ".join(f"slope {slope:.3g} intercept {intercept:.3g}" for slope, intercept in curves)

    def to_json(self) -> dict[str, Any]:
        """The curves as plain JSON."""
        curves = {"slopes": list(self.slopes), "intercepts": list(self.intercepts)}
        return {**record_json(self.method, self), **curves}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Platt:
        """The curves that :meth:`to_json` wrote.

        Raises:
            ClassifierError: It is not one.
        """
        with reading_calibration():
            slopes, intercepts = floats(value["slopes"]), floats(value["intercepts"])
            return cls(slopes=slopes, intercepts=intercepts, **read_record(value, cls.method))


def fit_platt(
    logits: ArrayLike,
    reference: ArrayLike,
    *,
    multilabel: bool = False,
    chosen_on: str = "tune",
    known: ArrayLike | None = None,
) -> Platt:
    """Fit the curves on the cases of one partition.

    Where a label is missing, or the logits do not follow the labels (the slope would not be positive), slope and
    intercept are 1 and 0 and the reason says so.

    Args:
        logits: ``(n, labels)`` finite numbers; two exclusive labels have two columns.
        reference: ``(n, labels)`` booleans; one true for each case unless multi-label.
        multilabel: A curve for each label.
        chosen_on: The partition's name.
        known: ``(n, labels)`` booleans, of which labels the reference is known; by default of all.

    Raises:
        UsageError: The shapes differ, a logit is not finite, or three or more labels exclude each other.
    """
    numbers, truth, told = check_fitted_on(logits, reference, known)
    link = link_of(multilabel)
    if link == "softmax" and numbers.shape[1] != 2:
        raise UsageError("Platt scaling is for two labels or multi-label", remedy="Take vector scaling or dirichlet")
    columns = range(numbers.shape[1]) if multilabel else [1]
    odds = log_odds(numbers, link)
    fits = [_fit(odds[told[:, column], column], truth[told[:, column], column]) for column in columns]
    slopes, intercepts = tuple(fit[0] for fit in fits), tuple(fit[1] for fit in fits)
    reason = join_reasons(fit[2] for fit in fits)
    if not told.any():
        return Platt(link, slopes, intercepts, chosen_on, reason=reason)
    before = negative_log_likelihood(numbers, truth, link, told)
    after = negative_log_likelihood(Platt(link, slopes, intercepts, chosen_on).scores(numbers), truth, link, told)
    return Platt(link, slopes, intercepts, chosen_on, before, after, reason)


def _fit(odds: Floats, positive: Bools) -> tuple[float, float, str | None]:
    reason = why_labels_are_missing(positive, "sigmoid")
    if reason is None:
        ups, downs = int(positive.sum()), int((~positive).sum())
        targets = np.where(positive, (ups + 1) / (ups + 2), 1 / (downs + 2))
        slope, intercept = fit_logistic(odds, targets, np.ones((1, odds.size)))[0].tolist()
        if slope > 0:
            return slope, intercept, None
        reason = "the logits do not follow the reference labels"
    return 1.0, 0.0, f"{reason}: {NOT_CALIBRATED}"
