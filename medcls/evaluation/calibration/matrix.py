"""Vector scaling and Dirichlet calibration, for three or more exclusive labels.

Both are a multinomial logistic regression over the labels' scores, ``p = softmax(W s + b)``:

* **vector scaling** (Guo et al., ICML 2017): s are the logits and W is diagonal;
* **Dirichlet calibration** (Kull et al., NeurIPS 2019): s are the logarithms of the uncalibrated probabilities, and W is
  whole. It can learn that one label is too often taken for another.

**Penalty.** Both start from the best temperature T and are drawn towards it: with W = (I + D) / T, the mean negative
log-likelihood is minimised together with ``strength / n`` times the sum of squares of D and b. That is Kull's penalty on
what is off the diagonal and on the intercepts, laid on the diagonal too, so that the fit is finite where labels are
separated and does not depend on the logits' scale. It fades as tune grows. Either method can change the argmax.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from medcls.errors import UsageError
from medcls.evaluation.calibration.likelihood import (
    Link,
    check_columns,
    check_fitted_on,
    negative_log_likelihood,
    uncalibrated,
    why_labels_are_missing,
)
from medcls.evaluation.calibration.record import (
    NOT_CALIBRATED,
    all_finite,
    floats,
    read_record,
    reading_calibration,
    record_json,
)
from medcls.evaluation.calibration.temperature import fit_temperature
from medcls.evaluation.statistics.arrays import Bools, Floats

STRENGTH = 10.0  # of 0.01 to 30 the one that loses least, simulated for three labels and 30 to 600 cases


@dataclass(frozen=True)
class _Linear:
    """``softmax(W s + b)``.

    Attributes:
        link: ``softmax``.
        matrix: The rows of W, ``labels`` of as many numbers.
        intercepts: b, one for each label.
        chosen_on: The partition it was fitted on.
        nll_before: Mean negative log-likelihood in nats for each case before; ``None`` without cases.
        nll_after: The same after.
        reason: Why nothing could be fitted and probabilities stay as they are, or ``None``.
    """

    method: ClassVar[str]
    link: Link
    matrix: tuple[tuple[float, ...], ...]
    intercepts: tuple[float, ...]
    chosen_on: str
    nll_before: float | None = None
    nll_after: float | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        square = len(self.matrix) > 2 and all(len(row) == len(self.matrix) for row in self.matrix)
        finite = all_finite(self.intercepts) and all(all_finite(row) for row in self.matrix)
        if self.link != "softmax" or not square or not finite or len(self.intercepts) != len(self.matrix):
            raise UsageError(f"{self.method} calibration has a row of numbers and an intercept for each of 3 labels up")

    @staticmethod
    def inputs(logits: Floats) -> Floats:
        """The scores s ``(n, labels)`` that the matrix is applied to."""
        return logits

    def scores(self, logits: ArrayLike) -> Floats:
        """Calibrated logits ``(n, labels)``, of which softmax gives the probabilities.

        Raises:
            UsageError: A logit is NaN, or the columns do not fit.
        """
        numbers = check_columns(logits, len(self.matrix), f"{self.method} calibration")
        return np.asarray(self.inputs(numbers) @ np.asarray(self.matrix).T + self.intercepts)

    def probabilities(self, logits: ArrayLike) -> Floats:
        """Calibrated probabilities ``(n, labels)`` of logits ``(n, labels)``; raises as :meth:`scores`."""
        return uncalibrated(self.scores(logits), "softmax")

    def to_json(self) -> dict[str, Any]:
        """The matrix and the intercepts as plain JSON."""
        fitted = {"matrix": [list(row) for row in self.matrix], "intercepts": list(self.intercepts)}
        return {**record_json(self.method, self), **fitted}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """What :meth:`to_json` wrote.

        Raises:
            ClassifierError: It is not one.
        """
        with reading_calibration():
            matrix = tuple(floats(row) for row in value["matrix"])
            return cls(matrix=matrix, intercepts=floats(value["intercepts"]), **read_record(value, cls.method))


@dataclass(frozen=True)
class VectorScaling(_Linear):
    """A factor and an intercept for each label's logit; see the head of this module."""

    method: ClassVar[str] = "vector"

    def __post_init__(self) -> None:
        super().__post_init__()
        if np.count_nonzero(np.asarray(self.matrix) - np.diag(np.diag(self.matrix))):
            raise UsageError("the matrix of vector scaling is diagonal")

    def describe(self) -> str:
        """The calibration in words."""
        factors = ", ".join(f"{row[place]:.3g}" for place, row in enumerate(self.matrix))
        return f"vector scaling by {factors}"


@dataclass(frozen=True)
class Dirichlet(_Linear):
    """A whole matrix over the logarithms of the probabilities; see the head of this module."""

    method: ClassVar[str] = "dirichlet"

    @staticmethod
    def inputs(logits: Floats) -> Floats:
        """The logarithms of the uncalibrated probabilities, ``(n, labels)``."""
        return np.asarray(log_softmax(logits, axis=1))

    def describe(self) -> str:
        """The calibration in words."""
        return f"Dirichlet, a matrix of {len(self.matrix)} x {len(self.matrix)}"


_Kind = TypeVar("_Kind", VectorScaling, Dirichlet)


def fit_vector(
    logits: ArrayLike, reference: ArrayLike, *, chosen_on: str = "tune", strength: float = STRENGTH
) -> VectorScaling:
    """Fit vector scaling on the cases of one partition; arguments and refusals as :func:`fit_dirichlet`."""
    return _fit(VectorScaling, logits, reference, chosen_on, strength)


def fit_dirichlet(
    logits: ArrayLike, reference: ArrayLike, *, chosen_on: str = "tune", strength: float = STRENGTH
) -> Dirichlet:
    """Fit Dirichlet calibration on the cases of one partition.

    Where a label is missing, or no temperature can be fitted, probabilities stay as they are and the reason says so.

    Args:
        logits: ``(n, labels)`` finite numbers, three labels or more.
        reference: ``(n, labels)`` booleans, one true for each case.
        chosen_on: The partition's name.
        strength: Of the penalty, above 0.

    Raises:
        UsageError: The shapes differ, a logit is not finite, or there are two labels.
    """
    return _fit(Dirichlet, logits, reference, chosen_on, strength)


def _fit(kind: type[_Kind], logits: ArrayLike, reference: ArrayLike, chosen_on: str, strength: float) -> _Kind:
    numbers, truth, _ = check_fitted_on(logits, reference)
    if numbers.shape[1] < 3 or not strength > 0:
        raise UsageError(f"{kind.method} calibration is for three exclusive labels or more", remedy="Take platt")
    temperature = fit_temperature(numbers, truth, chosen_on=chosen_on)
    missing = why_labels_are_missing(truth, "softmax")
    reason = f"{missing}: {NOT_CALIBRATED}" if missing is not None else temperature.reason
    unit = np.eye(numbers.shape[1])
    if reason is not None:
        before = negative_log_likelihood(numbers, truth, "softmax") if len(numbers) else None
        return _built(kind, unit, np.zeros(len(unit)), chosen_on, before, before, reason)
    scaled = kind.inputs(numbers) / temperature.values[0]
    free = unit.astype(np.bool_) if kind is VectorScaling else np.ones_like(unit, dtype=np.bool_)
    change, intercepts = _minimise(scaled, truth, free, strength / len(numbers))
    matrix = (unit + change) / temperature.values[0]
    scores = kind.inputs(numbers) @ matrix.T + intercepts
    after = negative_log_likelihood(scores, truth, "softmax")
    return _built(kind, matrix, intercepts, chosen_on, temperature.nll_before, after, None)


def _built(
    kind: type[_Kind],
    matrix: Floats,
    intercepts: Floats,
    chosen_on: str,
    before: float | None,
    after: float | None,
    reason: str | None,
) -> _Kind:
    rows = tuple(tuple(row) for row in matrix.tolist())
    return kind("softmax", rows, tuple(intercepts.tolist()), chosen_on, before, after, reason)


def _minimise(scores: Floats, reference: Bools, free: Bools, penalty: float) -> tuple[Floats, Floats]:
    """The change D ``(labels, labels)`` of the unit matrix where it is ``free``, and the intercepts ``(labels,)``.

    The loss is strictly convex, so there is one solution.
    """
    n, labels = scores.shape

    def parts(x: Floats) -> tuple[Floats, Floats]:
        change = np.zeros((labels, labels))
        change[free] = x[labels:]
        return change, x[:labels]

    def loss(x: Floats) -> tuple[float, Floats]:
        change, intercepts = parts(x)
        moved = scores + scores @ change.T + intercepts
        error = (softmax(moved, axis=1) - reference) / n
        gradient = np.concatenate((error.sum(axis=0), (error.T @ scores)[free]))
        value = negative_log_likelihood(moved, reference, "softmax") + penalty * float(x @ x)
        return value, gradient + 2 * penalty * x

    start = np.zeros(labels + int(free.sum()))
    options = {"maxiter": 5000, "maxfun": 20_000, "ftol": 1e-15, "gtol": 1e-9}
    return parts(np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x))
