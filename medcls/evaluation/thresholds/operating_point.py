"""Operating point: how probabilities become a decision, chosen on tune and then left alone.

**Decision.** A case is called when ``p >= threshold``. Two labels have one threshold, on the positive label's
probability; multi-label has one for each label; three or more exclusive labels take the most probable one (the
earlier at a tie).

**Thresholds** are chosen by a rule: :mod:`medcls.evaluation.thresholds.choosing`.

**Exploratory.** A threshold that is chosen on the cases which it is then evaluated on flatters. Such a point is
:attr:`OperatingPoint.exploratory`, and whatever shows its metrics must say so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from medcls.errors import ClassifierError, UsageError
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.statistics.arrays import Bools, as_bools, as_floats
from medcls.evaluation.thresholds.choosing import Rule, Threshold, choose_threshold, describe_rule
from medcls.values import documents
from medcls.values.label_space import Labelled, LabelSpace

__all__ = [
    "ARGMAX",
    "DECISION",
    "EXPLORATORY",
    "OperatingPoint",
    "Rule",
    "Threshold",
    "choose_operating_point",
    "choose_threshold",
    "describe_rule",
    "exploratory_point",
]
DECISION = "p >= threshold"
ARGMAX = "argmax"
EXPLORATORY = "exploratory"


@dataclass(frozen=True)
class OperatingPoint(Labelled):
    """How probabilities become decisions, and where that was chosen.

    Attributes:
        space: The classifier's labels.
        rule: ``youden``, ``sensitivity >= x``, ``specificity >= x``, ``least cost (…)``, ``threshold = x`` or ``argmax``.
        cuts: One threshold for the positive label, one for each label of a multi-label classifier, or none (argmax).
        chosen_on: The partition it was chosen on.
        cases_hash: Which cases these were (:meth:`medcls.evaluation.predictions.Predictions.cases_hash`).
    """

    rule: str
    cuts: tuple[Threshold, ...]
    chosen_on: str
    cases_hash: str

    def __post_init__(self) -> None:
        if tuple(cut.label for cut in self.cuts) != self.space.decided:
            raise UsageError("an operating point needs one threshold for each label that is called")

    @property
    def decision(self) -> str:
        """How a case is decided: ``p >= threshold`` or ``argmax``."""
        return DECISION if self.cuts else ARGMAX

    @property
    def exploratory(self) -> bool:
        """Whether it was chosen on the very cases that it is evaluated on: see :func:`exploratory_point`."""
        return self.chosen_on.startswith(EXPLORATORY)

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

    def of_probabilities(self) -> OperatingPoint:
        """The same, when each threshold can be one of probabilities; the least above 1 calls nobody.

        Raises:
            ClassifierError: A threshold is no probability.
        """
        if not all(0 <= threshold <= math.nextafter(1.0, math.inf) for threshold in self.thresholds):
            raise ClassifierError(
                "the operating point has a threshold that is no probability",
                remedy="Take a whole copy of the classifier",
            )
        return self

    def to_json(self) -> documents.OperatingPoint:
        """The operating point as plain JSON."""
        return {
            **self.space.to_json(),
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
            "exploratory": self.exploratory,
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
            space = LabelSpace.from_json(value)
            point = cls(space, value["rule"], cuts, value["chosen_on"], value["cases_hash"])
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
    cuts = tuple(
        choose_threshold(label, one.positive, one.scores, rule)
        for label in predictions.space.decided
        for one in (predictions.of_label(label),)
    )
    return OperatingPoint(
        space=predictions.space,
        rule=describe_rule(rule) if cuts else ARGMAX,
        cuts=cuts,
        chosen_on=chosen_on,
        cases_hash=predictions.cases_hash(),
    )


def exploratory_point(predictions: Predictions, rule: Rule = "youden", *, name: str = "test") -> OperatingPoint:
    """Thresholds chosen on the cases that they will be evaluated on, and marked so.

    Args:
        predictions: These cases, with calibrated probabilities.
        rule: As :func:`choose_threshold`.
        name: What the cases are called.
    """
    return choose_operating_point(predictions, rule, chosen_on=f"{EXPLORATORY} ({name})")
