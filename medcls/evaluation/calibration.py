"""Temperature scaling (Guo et al., ICML 2017): logits are divided by a temperature that is fitted on tune.

The temperature minimises the mean negative log-likelihood. It is positive, so the order of labels and of cases never
changes: argmax, AUC and decisions at 0.5 stay as they were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax

from medcls.errors import ClassifierError, UsageError
from medcls.evaluation.arrays import Bools, Floats, as_bools, as_floats

Link = Literal["softmax", "sigmoid"]
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

    link: Link
    values: tuple[float, ...]
    chosen_on: str
    nll_before: float | None = None
    nll_after: float | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        usable = all(math.isfinite(value) and value > 0 for value in self.values)
        if not self.values or not usable or (self.link == "softmax" and len(self.values) != 1):
            raise UsageError("a temperature is one positive number, or one for each label with a sigmoid link")

    def probabilities(self, logits: ArrayLike) -> Floats:
        """Calibrated probabilities ``(n, labels)`` of logits ``(n, labels)``.

        Raises:
            UsageError: A logit is NaN, or the columns do not fit the temperatures.
        """
        numbers = as_floats(logits, "the logits")
        if numbers.ndim != 2 or len(self.values) not in (1, numbers.shape[1]):
            raise UsageError(f"logits of shape {numbers.shape} do not fit {len(self.values)} temperatures")
        scaled = numbers / np.asarray(self.values)
        return np.asarray(softmax(scaled, axis=1) if self.link == "softmax" else expit(scaled), dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """The temperature as plain JSON."""
        return {
            "method": "temperature",
            "link": self.link,
            "values": list(self.values),
            "chosen_on": self.chosen_on,
            "nll_before": self.nll_before,
            "nll_after": self.nll_after,
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Temperature:
        """The temperature that :meth:`to_json` wrote.

        Raises:
            ClassifierError: It is not one.
        """
        try:
            if value["method"] != "temperature" or value["link"] not in ("softmax", "sigmoid"):
                raise ValueError(value["method"])
            values = tuple(float(number) for number in value["values"])
            after = value["nll_before"], value["nll_after"], value["reason"]
            return cls(value["link"], values, value["chosen_on"], *after)
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise ClassifierError("the calibration is damaged", remedy="Take a whole copy of the classifier") from error


def fit_temperature(
    logits: ArrayLike,
    reference: ArrayLike,
    *,
    multilabel: bool = False,
    per_label: bool = False,
    chosen_on: str = "tune",
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

    Raises:
        UsageError: The shapes differ, a logit is not finite, or ``per_label`` without ``multilabel``.
    """
    numbers, truth = as_floats(logits, "the logits"), as_bools(reference, "the reference")
    if numbers.ndim != 2 or numbers.shape != truth.shape or not np.isfinite(numbers).all():
        raise UsageError(f"logits {numbers.shape} must be finite and fit the reference {truth.shape}")
    if per_label and not multilabel:
        raise UsageError("a temperature for each label would change the argmax of exclusive labels")
    link: Link = "sigmoid" if multilabel else "softmax"
    groups = [[label] for label in range(numbers.shape[1])] if per_label else [list(range(numbers.shape[1]))]
    fits = [_fit(numbers[:, group], truth[:, group], link) for group in groups]
    values = tuple(value for value, _ in fits)
    reasons = dict.fromkeys(reason for _, reason in fits if reason is not None)
    if not len(numbers):
        return Temperature(link, values, chosen_on, reason="; ".join(reasons))
    before = negative_log_likelihood(numbers, truth, link)
    after = negative_log_likelihood(numbers / np.asarray(values), truth, link)
    return Temperature(link, values, chosen_on, before, after, "; ".join(reasons) or None)


def negative_log_likelihood(logits: Floats, reference: Bools, link: Link) -> float:
    """Mean over cases (and labels, for sigmoid) of minus the log-probability of the reference, in nats."""
    if link == "softmax":
        return float(-log_softmax(logits, axis=1)[reference].mean())
    return float(np.logaddexp(0.0, np.where(reference, -logits, logits)).mean())


def _fit(logits: Floats, reference: Bools, link: Link) -> tuple[float, str | None]:
    reason = _why_not(logits, reference, link)
    if reason is not None:
        return 1.0, f"{reason}: not calibrated"
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
