"""Temperature scaling (Guo et al., ICML 2017): logits are divided by a temperature that is fitted on tune.

The temperature minimises the mean negative log-likelihood. It is positive, so the order of labels and of cases never
changes: argmax, AUC and decisions at 0.5 stay as they were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from medcls.errors import UsageError
from medcls.evaluation.calibration.likelihood import (
    Link,
    check_fitted_on,
    link_of,
    negative_log_likelihood,
    uncalibrated,
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
from medcls.evaluation.statistics.arrays import Bools, Floats, as_floats

_REACH = math.log(1e6)  # how far from the logits' own size the temperature is looked for


@dataclass(frozen=True)
class Temperature:
    """How logits become calibrated probabilities.

    Attributes:
        link: ``softmax`` over exclusive labels (two included), ``sigmoid`` for each label of a multi-label classifier.
        values: One temperature, or one for each label (sigmoid only).
        chosen_on: The partition it was fitted on.
        nll_before: Mean negative log-likelihood in nats for each case (and label, for sigmoid) before; ``None``
            without cases.
        nll_after: The same after.
        reason: Why a temperature is 1 that could not be fitted, or ``None``.
    """

    method: ClassVar[str] = "temperature"
    link: Link
    values: tuple[float, ...]
    chosen_on: str
    nll_before: float | None = None
    nll_after: float | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        usable = all_finite(self.values) and all(value > 0 for value in self.values)
        if not usable or (self.link == "softmax" and len(self.values) != 1):
            raise UsageError("a temperature is one positive number, or one for each label with a sigmoid link")

    def probabilities(self, logits: ArrayLike) -> Floats:
        """Calibrated probabilities ``(n, labels)`` of logits ``(n, labels)``.

        Raises:
            UsageError: A logit is NaN, or the columns do not fit the temperatures.
        """
        numbers = as_floats(logits, "the logits")
        if numbers.ndim != 2 or len(self.values) not in (1, numbers.shape[1]):
            raise UsageError(f"logits of shape {numbers.shape} do not fit {len(self.values)} temperatures")
        return uncalibrated(numbers / np.asarray(self.values), self.link)

    def describe(self) -> str:
        """The calibration in words."""
        return f"temperature {', '.join(f'{value:.3g}' for value in self.values)}"

    def to_json(self) -> dict[str, Any]:
        """The temperature as plain JSON."""
        return {**record_json(self.method, self), "values": list(self.values)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Temperature:
        """The temperature that :meth:`to_json` wrote.

        Raises:
            ClassifierError: It is not one.
        """
        with reading_calibration():
            return cls(values=floats(value["values"]), **read_record(value, cls.method))


def fit_temperature(
    logits: ArrayLike,
    reference: ArrayLike,
    *,
    multilabel: bool = False,
    per_label: bool = False,
    chosen_on: str = "tune",
    known: ArrayLike | None = None,
) -> Temperature:
    """Fit the temperature on the cases of one partition.

    The likelihood is convex in 1 / T, so a bounded search over log T finds its one minimum. There is none where no
    case is decided wrongly (T would go to 0), where the logits do not follow the labels (T would go to infinity), or
    where a label is missing: then T is 1 and the reason says so.

    Args:
        logits: ``(n, labels)`` finite numbers; two exclusive labels have two columns.
        reference: ``(n, labels)`` booleans; one true for each case unless multi-label.
        multilabel: Sigmoid for each label instead of softmax.
        per_label: A temperature for each label (multi-label only); else one shared.
        chosen_on: The partition's name.
        known: ``(n, labels)`` booleans, of which labels the reference is known; by default of all.

    Raises:
        UsageError: The shapes differ, a logit is not finite, or ``per_label`` without ``multilabel``.
    """
    numbers, truth, told = check_fitted_on(logits, reference, known)
    if per_label and not multilabel:
        raise UsageError("a temperature for each label would change the argmax of exclusive labels")
    link = link_of(multilabel)
    groups = [[label] for label in range(numbers.shape[1])] if per_label else [list(range(numbers.shape[1]))]
    fits = [_fit(*_to_fit(numbers[:, group], truth[:, group], told[:, group], link), link) for group in groups]
    values = tuple(value for value, _ in fits)
    reason = join_reasons(reason for _, reason in fits)
    if not told.any():
        return Temperature(link, values, chosen_on, reason=reason)
    before = negative_log_likelihood(numbers, truth, link, told)
    after = negative_log_likelihood(numbers / np.asarray(values), truth, link, told)
    return Temperature(link, values, chosen_on, before, after, reason)


def _to_fit(logits: Floats, reference: Bools, known: Bools, link: Link) -> tuple[Floats, Bools]:
    """What is known, for a sigmoid each label of each case as a row of its own."""
    return (logits, reference) if link == "softmax" else (logits[known][:, None], reference[known][:, None])


def _fit(logits: Floats, reference: Bools, link: Link) -> tuple[float, str | None]:
    reason = _why_not(logits, reference, link)
    if reason is not None:
        return 1.0, f"{reason}: {NOT_CALIBRATED}"
    # Logits have no unit: search around the temperature that brings them to about 1.
    middle = math.log(float(np.abs(logits).max()))

    def loss(log_t: float) -> float:
        return negative_log_likelihood(logits / math.exp(log_t), reference, link)

    bounds = (middle - _REACH, middle + _REACH)
    return math.exp(float(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9}).x)), None


def _why_not(logits: Floats, reference: Bools, link: Link) -> str | None:
    """Why no finite temperature is best: the likelihood is convex in 1 / T, so its two ends tell."""
    if not len(logits):
        return "there are no cases"
    if link == "softmax":
        own, rest = (logits.max(axis=1, where=where, initial=-np.inf) for where in (reference, ~reference))
        margins = own - rest
        pull = float((own - logits.mean(axis=1)).sum())
        missing = int(reference.any(axis=0).sum()) < 2
    else:
        margins = np.where(reference, logits, -logits)
        pull = float(margins.sum())
        missing = bool(reference.all() or not reference.any())
    if missing:
        return "the cases do not show two labels"
    if (margins >= 0).all():
        return "no case is decided wrongly, so any sharpening would fit"
    return None if pull > 0 else "the logits do not follow the reference labels"
