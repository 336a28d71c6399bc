"""Cross-validation: each fold's metrics and their spread, apart from the pooled out-of-fold metrics.

**Per fold.** Each fold's classifier evaluates its own held-out patients, with intervals of its own. The mean over folds
estimates how such trainings do on average. Folds share most of their training patients, so their spread is no standard
error and gives no interval: there is no unbiased estimator of that variance (Bengio and Grandvalet, J Mach Learn Res
2004;5:1089).

**Pooled.** All held-out predictions together, each case decided by its own fold's operating point, with intervals by patient.
They use every patient, and hold where a fold has too few. The pooled AUC ranks probabilities of different classifiers
together, which is fair as far as each is calibrated; :mod:`medcls.evaluation.discrimination.within_folds` ranks within folds
alone (Forman and Scholz, SIGKDD Explorations 2010;12(1):49).
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from medcls.errors import UsageError
from medcls.evaluation.metrics import METRICS
from medcls.evaluation.metrics.metric import FURTHER
from medcls.evaluation.schema_parts import (
    COUNT,
    NUMBER,
    TEXT,
    TEXT_OR_NULL,
    Schema,
    by_name,
    closed,
    listed,
    or_null,
    ref,
    said,
)
from medcls.evaluation.statistics.estimate import Estimate
from medcls.evaluation.thresholds.operating_point import OperatingPoint

SCALE_GAP = 0.03  # of AUC, lost by pooling
NOT_INDEPENDENT = (
    "folds share training patients, so they are not independent: their standard deviation shows how much trainings "
    "differ, and is no standard error"
)


@dataclass(frozen=True)
class FoldMetrics:
    """One fold's metrics on its held-out cases.

    Attributes:
        name: The fold, as in ``1-3``.
        n_cases: Held-out cases.
        n_patients: Held-out patients.
        cases_per_label: Held-out cases with each label.
        thresholds: The fold's own, chosen on its tune part; none where the most probable label is taken.
        estimates: An estimate for each metric.
    """

    name: str
    n_cases: int
    n_patients: int
    cases_per_label: Mapping[str, int]
    thresholds: tuple[float, ...]
    estimates: Mapping[str, Estimate]

    @classmethod
    def of(cls, name: str, document: Mapping[str, Any]) -> FoldMetrics:
        """The metrics of a fold from its partition in ``metrics.json``."""
        return cls(
            name=name,
            n_cases=document["n_cases"],
            n_patients=document["n_patients"],
            cases_per_label=dict(document["cases_per_label"]),
            thresholds=tuple(cut["threshold"] for cut in document["operating_point"]["thresholds"]),
            estimates={
                name: Estimate.from_json(document[name])
                for name in (*METRICS, *document.get(FURTHER, {}))
                if name in document
            },
        )

    def to_json(self) -> dict[str, Any]:
        """The fold as plain JSON."""
        return {
            "fold": self.name,
            "n_cases": self.n_cases,
            "n_patients": self.n_patients,
            "cases_per_label": dict(self.cases_per_label),
            "thresholds": list(self.thresholds),
            "figures": {name: estimate.to_json() for name, estimate in self.estimates.items()},
        }


@dataclass(frozen=True)
class Spread:
    """A metric over folds.

    Attributes:
        mean: Over the folds where it is defined; ``None`` where there are none.
        sd: Standard deviation over these folds (divisor n - 1); ``None`` for fewer than two.
        least: The least.
        greatest: The greatest.
        n_folds: How many folds these are.
        reason: Which folds are left out, or ``None``.
    """

    mean: float | None
    sd: float | None
    least: float | None
    greatest: float | None
    n_folds: int
    reason: str | None = None

    @classmethod
    def over(cls, estimates: Mapping[str, Estimate]) -> Spread:
        """The spread of one metric, by fold."""
        values = [estimate.value for estimate in estimates.values() if estimate.value is not None]
        missing = [f"{name} ({one.reason})" for name, one in estimates.items() if one.value is None]
        reason = f"left out: {', '.join(missing)}" if missing else None
        if not values:
            return cls(None, None, None, None, 0, "undefined in every fold")
        sd = statistics.stdev(values) if len(values) > 1 else None
        return cls(math.fsum(values) / len(values), sd, min(values), max(values), len(values), reason)

    def to_json(self) -> dict[str, Any]:
        """The spread as plain JSON."""
        return {
            "mean": self.mean,
            "sd": self.sd,
            "least": self.least,
            "greatest": self.greatest,
            "n_folds": self.n_folds,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class PerFold:
    """Each fold's metrics, and every metric over folds.

    Attributes:
        folds: The folds.
        over_folds: The spread of each metric.
        auc_within_folds: By label, the AUC that ranks only cases of the same fold against each other.
        notes: What a reader must know first.
    """

    folds: tuple[FoldMetrics, ...]
    over_folds: Mapping[str, Spread]
    auc_within_folds: Mapping[str, Estimate]
    notes: tuple[str, ...] = (NOT_INDEPENDENT,)

    def to_json(self) -> dict[str, Any]:
        """The metrics as plain JSON, valid under :func:`per_fold_schema`."""
        return {
            "folds": [fold.to_json() for fold in self.folds],
            "over_folds": {name: spread.to_json() for name, spread in self.over_folds.items()},
            "auc_within_folds": {label: estimate.to_json() for label, estimate in self.auc_within_folds.items()},
            "notes": list(self.notes),
        }


def over_folds(folds: Sequence[FoldMetrics], within: Mapping[str, Estimate]) -> PerFold:
    """Join the metrics of all folds.

    Args:
        folds: Each fold's own metrics.
        within: As :func:`medcls.evaluation.discrimination.within_folds.auc_within_folds` gives it.

    Raises:
        UsageError: There are no folds, or they have different metrics.
    """
    names = list(folds[0].estimates) if folds else []
    if not folds or any(list(fold.estimates) != names for fold in folds):
        raise UsageError("figures over folds need folds with the same figures")
    spreads = {name: Spread.over({fold.name: fold.estimates[name] for fold in folds}) for name in names}
    return PerFold(tuple(folds), spreads, dict(within))


def scale_warning(pooled: Mapping[str, Estimate], within: Mapping[str, Estimate]) -> tuple[str, ...]:
    """Say it where pooling costs AUC: the folds' probabilities then are on different scales.

    Args:
        pooled: By label, the pooled AUC.
        within: By label, the AUC within folds.
    """
    lower = []
    for label, estimate in within.items():
        together = pooled[label].value
        if together is not None and estimate.value is not None and estimate.value - together > SCALE_GAP:
            lower.append(f"{label} ({together:.2f}, within folds {estimate.value:.2f})")
    if not lower:
        return ()
    return (
        f"the pooled AUC is lower than that within folds: {', '.join(lower)}; the folds' probabilities are on different "
        "scales, so evaluate the ranking within folds",
    )


def pooled_operating_point(points: Mapping[str, OperatingPoint]) -> OperatingPoint:
    """What stands for the operating points of several folds beside pooled metrics.

    Its thresholds are the folds' means, for the reader alone: each case was decided by its own fold's.

    Args:
        points: By fold, all for the same labels.

    Raises:
        UsageError: There are none, or they are for different labels.
    """
    folds = list(points.values())
    if len({one.space for one in folds}) != 1:
        raise UsageError("operating points of different labels cannot be pooled")
    cuts = []
    for index, cut in enumerate(folds[0].cuts):
        values = [one.cuts[index].value for one in folds]
        reason = (
            f"mean of {len(folds)} folds' thresholds ({min(values):.3g} to {max(values):.3g}); "
            "each case was decided by its own fold's"
        )
        value = math.fsum(values) / len(values)
        cuts.append(replace(cut, value=value, sensitivity=None, specificity=None, reason=reason))
    return replace(
        folds[0],
        cuts=tuple(cuts),
        chosen_on="tune of each fold",
        cases_hash=hashlib.sha256("\x1e".join(one.cases_hash for one in folds).encode("utf-8")).hexdigest(),
    )


def per_fold_schema() -> Schema:
    """The JSON Schema of ``per_fold`` in ``metrics.json``."""
    fold = {
        "fold": said(TEXT, "Repeat and number of the fold, as in 1-3."),
        "n_cases": COUNT,
        "n_patients": COUNT,
        "cases_per_label": by_name(COUNT),
        "thresholds": said(listed(NUMBER), "The fold's own, chosen on its tune part."),
        "figures": by_name(ref("estimate")),
    }
    spread = dict.fromkeys(("mean", "sd", "least", "greatest"), or_null(NUMBER))
    spread |= {"n_folds": COUNT, "reason": TEXT_OR_NULL}
    properties = {
        "folds": listed(closed(fold)),
        "over_folds": said(
            by_name(closed(spread)), "Mean and standard deviation over folds, which are not independent."
        ),
        "auc_within_folds": said(
            by_name(ref("estimate")), "By label: the AUC that ranks only cases of the same fold against each other."
        ),
        "notes": listed(TEXT),
    }
    return closed(properties, "Cross-validation: each fold's metrics on its held-out cases.")
