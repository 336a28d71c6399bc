"""What every document is made of: estimates, and the operating point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict, cast

Rate = Literal["sensitivity", "specificity"]
RATES: tuple[Rate, Rate] = ("sensitivity", "specificity")


class Estimate(TypedDict):
    """A metric with its interval; one that is undefined is null and says why."""

    value: float | None
    low: float | None
    high: float | None
    method: str
    reason: str | None


class Intervals(TypedDict):
    """How intervals were made."""

    confidence: float
    replicates: int
    seed: int


class Labels(TypedDict):
    """The label space."""

    labels: list[str]
    positive: str | None
    multilabel: bool


class Threshold(TypedDict):
    """One label's threshold."""

    label: str
    threshold: float
    sensitivity: float | None
    specificity: float | None
    reason: str | None


class OperatingPoint(Labels):
    """How probabilities become decisions."""

    rule: str
    decision: str
    thresholds: list[Threshold]
    chosen_on: str
    exploratory: bool
    cases_hash: str


class ConfusionMatrix(TypedDict):
    """Counts of cases by reference label and prediction."""

    labels: list[str]
    rows: str
    columns: str
    counts: list[list[int]]


class RatesOfLabel(TypedDict):
    """Sensitivity and specificity of one label."""

    sensitivity: Estimate
    specificity: Estimate


def limits(metric: Estimate) -> tuple[float, float, float] | None:
    """Value, lower and upper limit; ``None`` where the estimate is undefined, or has no interval."""
    value, low, high = metric["value"], metric["low"], metric["high"]
    return None if value is None or low is None or high is None else (value, low, high)


def estimate(document: Mapping[str, Any], name: str) -> Estimate | None:
    """The estimate of this name in a document whose metrics stand under their names; ``None``: it has none."""
    return cast(Estimate | None, document.get(name))
