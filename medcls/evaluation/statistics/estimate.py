"""Estimate: a metric with its interval, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from medcls.evaluation.statistics.arrays import Bools


class Method(StrEnum):
    """How an interval was made.

    Attributes:
        WILSON: Wilson's score interval; the cases counted come from different patients.
        CLOPPER_PEARSON: The exact binomial interval; where patients have several cases, a patient counts as one trial.
        PATIENT_BOOTSTRAP: From replicates that resample patients within strata of labels: the mix of labels is held fixed.
        UNSTRATIFIED_BOOTSTRAP: From replicates that resample patients whatever their labels: how often a label occurs is
            chance too, as in figures of calibration and of subgroups.
        DELONG: Normal interval with DeLong's variance; assumes independent cases.
        OBUCHOWSKI: Normal interval with Obuchowski's variance, for patients with several cases.
        DISJOINT_PAIRS: Exact, conservative limit of an AUC under perfect separation.
        HOEFFDING: Conservative interval of a bounded mean that assumes no distribution.
        BONFERRONI: Exact intervals of the parts at a shared error, combined at their worst.
        BOUNDS: All that the metric can be, where nothing narrower is known.
        NONE: There is no value, hence no interval.
    """

    WILSON = "wilson"
    CLOPPER_PEARSON = "clopper-pearson"
    PATIENT_BOOTSTRAP = "patient-bootstrap"
    UNSTRATIFIED_BOOTSTRAP = "patient-bootstrap-unstratified"
    DELONG = "delong"
    OBUCHOWSKI = "obuchowski"
    DISJOINT_PAIRS = "disjoint-pairs"
    HOEFFDING = "hoeffding"
    BONFERRONI = "bonferroni"
    BOUNDS = "bounds"
    NONE = "none"


@dataclass(frozen=True)
class Undefined:
    """A metric that does not exist on these cases.

    Attributes:
        reason: Why, in words.
    """

    reason: str


PointEstimate = float | Undefined


@dataclass(frozen=True)
class Estimate:
    """A metric and its interval.

    Attributes:
        value: The metric; ``None`` when it is undefined, never 0 or NaN in its place.
        low: Lower limit, never above the value.
        high: Upper limit, never below the value.
        method: How the interval was made, one of :class:`Method`.
        reason: Why there is no value; or what a reader must know about the interval; else ``None``.

    Raises:
        ValueError: A number is not finite, the limits do not hold the value, or an undefined metric gives no reason.
    """

    value: float | None
    low: float | None
    high: float | None
    method: str
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.value is None or self.low is None or self.high is None:
            if not (self.value is None and self.low is None and self.high is None and self.reason):
                raise ValueError("an undefined estimate has no value, no limits, and a reason")
        elif not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.value <= self.high):
            raise ValueError(f"an interval must hold its value: {self.low}, {self.value}, {self.high}")

    @classmethod
    def undefined(cls, reason: str) -> Estimate:
        """An estimate without a value."""
        return cls(None, None, None, Method.NONE.value, reason)

    @classmethod
    def around(cls, value: float, limits: tuple[float, float], method: Method, reason: str | None = None) -> Estimate:
        """An estimate whose limits are widened, where rounding or a skewed bootstrap needs it, to hold the value."""
        value = float(value)
        return cls(value, min(float(limits[0]), value), max(float(limits[1]), value), method.value, reason)

    @property
    def complement(self) -> Estimate:
        """One minus the metric, as the share of wrong predictions is of that of right ones; the same interval, turned."""
        if self.value is None or self.low is None or self.high is None:
            return self
        return replace(self, value=1 - self.value, low=1 - self.high, high=1 - self.low)

    def noted(self, note: str) -> Estimate:
        """The same with one thing more to know, which is said first."""
        return replace(self, reason=note if self.reason is None else f"{note}; {self.reason}")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Estimate:
        """The estimate that :meth:`to_json` wrote."""
        return cls(value["value"], value["low"], value["high"], value["method"], value["reason"])

    def to_json(self) -> dict[str, Any]:
        """The estimate as plain JSON; an undefined value is ``null``."""
        return {"value": self.value, "low": self.low, "high": self.high, "method": self.method, "reason": self.reason}


def macro(estimates: Sequence[PointEstimate]) -> PointEstimate:
    """The unweighted mean over the metrics that are defined; undefined ones are left out, never counted as 0."""
    defined = [metric for metric in estimates if not isinstance(metric, Undefined)]
    if not defined:
        return Undefined("undefined for every label")
    return math.fsum(defined) / len(defined)


NO_POSITIVE = "no case has the label"
NO_NEGATIVE = "every case has the label"


def missing_class(positive: Bools) -> Undefined | None:
    """Why a metric that compares positive with negative cases is undefined here, if it is."""
    if not positive.size:
        return Undefined("there are no cases")
    if not positive.any():
        return Undefined(NO_POSITIVE)
    return Undefined(NO_NEGATIVE) if positive.all() else None
