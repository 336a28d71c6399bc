"""Comparison of two classifiers on the same cases.

====================== ===================================== ===================================
metric                 one case for each patient             several cases of a patient
====================== ===================================== ===================================
AUC                    paired DeLong                         bootstrap by patient
sensitivity            McNemar, on the cases with the label  bootstrap by patient
specificity            McNemar, on those without it          bootstrap by patient
accuracy               McNemar, on all cases                 bootstrap by patient
macro AUC              bootstrap by patient                  bootstrap by patient
====================== ===================================== ===================================

The positive one of two labels, and each label of a multi-label classifier, get AUC, sensitivity and specificity.
Exclusive labels get accuracy; three or more, and multi-label, macro AUC. Identical predictions differ by exactly 0,
with an interval of 0 to 0 and no p-value: the difference has no variance. Where several are compared, or several
metrics without one being named first, p-values must be adjusted: :func:`compare_several`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation.comparison.differences import Difference, Pair
from medcls.evaluation.comparison.paired import Test
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.schema_parts import (
    COUNT,
    NUMBER,
    SHARE,
    TEXT,
    TEXT_OR_NULL,
    Schema,
    closed,
    listed,
    or_null,
    ref,
    said,
)
from medcls.evaluation.statistics.arrays import Bools
from medcls.evaluation.statistics.holm import holm
from medcls.evaluation.thresholds.confidence import check_same_labels
from medcls.evaluation.thresholds.operating_point import OperatingPoint


@dataclass(frozen=True)
class Comparison:
    """Two classifiers on the same cases.

    Attributes:
        names: Of the first and the second.
        n_cases: Cases.
        n_patients: Patients.
        differences: One for each metric (and label).
        confidence: Confidence level of all intervals.
        replicates: Bootstrap replicates.
        seed: Their seed.
    """

    names: tuple[str, str]
    n_cases: int
    n_patients: int
    differences: tuple[Difference, ...]
    confidence: float
    replicates: int
    seed: int

    def of(self, metric: str, label: str | None = None) -> Difference:
        """The difference of one metric; without a label the first of this name.

        Raises:
            UsageError: There is none.
        """
        for one in self.differences:
            if one.metric == metric and label in (None, one.label):
                return one
        raise UsageError(f"no metric '{metric}' was compared")

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain JSON, valid under :func:`comparison_schema`."""
        return {
            "first": self.names[0],
            "second": self.names[1],
            "n_cases": self.n_cases,
            "n_patients": self.n_patients,
            "differences": [one.to_json() for one in self.differences],
            "intervals": {"confidence": self.confidence, "replicates": self.replicates, "seed": self.seed},
        }


def compare_predictions(
    first: Predictions,
    second: Predictions,
    first_point: OperatingPoint,
    second_point: OperatingPoint,
    settings: EvaluationSettings | None = None,
    seed: int = 0,
    names: tuple[str, str] = ("first", "second"),
    cases: tuple[Sequence[str], Sequence[str]] | None = None,
    called: tuple[Bools | None, Bools | None] = (None, None),
) -> Comparison:
    """Compare two classifiers' predictions about the same cases, in the same order.

    Args:
        first: One classifier's predictions.
        second: The other's.
        first_point: The first's operating point, chosen elsewhere.
        second_point: The second's.
        settings: Confidence level and number of replicates.
        seed: Seed of the bootstrap.
        names: What the two are called.
        cases: The names of the cases in both, to be checked too.
        called: For each, ``(n, labels)`` decisions that were made already, each by its own classifier's operating point
            (cross-validation); ``None``: the operating point decides.

    Raises:
        UsageError: The cases, patients, reference labels or labels differ, a point is for other labels, or decisions do not
            fit the predictions.
    """
    _check(first, second, names, cases)
    check_same_labels(first, first_point)
    check_same_labels(second, second_point)
    settings = settings or EvaluationSettings()
    decisions = _decisions(first, first_point, called[0]), _decisions(second, second_point, called[1])
    same_thresholds = first_point.thresholds == second_point.thresholds
    return Comparison(
        names=(names[0], names[1]),
        n_cases=first.n_cases,
        n_patients=first.resampling.n_patients,
        differences=Pair((first, second), decisions, same_thresholds, settings, seed).differences(),
        confidence=settings.confidence,
        replicates=settings.replicates,
        seed=seed,
    )


def compare_several(
    classifiers: Sequence[tuple[str, Predictions, OperatingPoint]],
    settings: EvaluationSettings | None = None,
    seed: int = 0,
    *,
    called: Mapping[str, Bools] | None = None,
) -> tuple[Comparison, ...]:
    """Every pair of several classifiers on the same cases, with p-values adjusted by Holm over the pairs.

    Args:
        classifiers: Name, predictions and operating point of each.
        settings: Confidence level and number of replicates.
        seed: Seed of the bootstrap.
        called: By name, decisions that were made already; see :func:`compare_predictions`.

    Raises:
        UsageError: As :func:`compare_predictions`, or there are fewer than two.
    """
    if len(classifiers) < 2:
        raise UsageError("a comparison needs two classifiers at least")
    made = called or {}
    return with_holm(
        [
            compare_predictions(
                *(a[1], b[1], a[2], b[2], settings, seed), names=(a[0], b[0]), called=(made.get(a[0]), made.get(b[0]))
            )
            for a, b in combinations(classifiers, 2)
        ]
    )


def with_holm(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The comparisons with ``p_adjusted``: each metric (of each label) is one family over all comparisons."""
    families: dict[tuple[str, str | None], list[float]] = defaultdict(list)
    for comparison in comparisons:
        for one in comparison.differences:
            if one.p_value is not None:
                families[one.metric, one.label].append(one.p_value)
    adjusted = {family: iter(holm(values)) for family, values in families.items()}
    return tuple(
        replace(
            comparison,
            differences=tuple(
                one if one.p_value is None else replace(one, p_adjusted=next(adjusted[one.metric, one.label]))
                for one in comparison.differences
            ),
        )
        for comparison in comparisons
    )


def comparison_schema() -> Schema:
    """The schema of :meth:`Comparison.to_json`; an ``estimate`` is looked for under ``$defs``."""
    difference = closed(
        {
            "figure": {"enum": ["auc", "sensitivity", "specificity", "accuracy", "macro_auc"]},
            "label": said(TEXT_OR_NULL, "The label that it is of; null over all labels."),
            "first": or_null(SHARE),
            "second": or_null(SHARE),
            "difference": said(ref("estimate"), "First minus second."),
            "test": {"enum": [test.value for test in Test]},
            "statistic": or_null(NUMBER),
            "p_value": said(or_null(SHARE), "Two-sided."),
            "p_adjusted": said(or_null(SHARE), "By Holm over several comparisons."),
            "reason": TEXT_OR_NULL,
        }
    )
    return closed(
        {
            "first": TEXT,
            "second": TEXT,
            "n_cases": COUNT,
            "n_patients": COUNT,
            "differences": listed(difference),
            "intervals": closed({"confidence": SHARE, "replicates": COUNT, "seed": COUNT}),
        },
        "Two classifiers on the same cases.",
    )


def _decisions(predictions: Predictions, point: OperatingPoint, called: Bools | None) -> Bools:
    if called is None:
        return point.decide(predictions.probabilities)
    if called.shape != predictions.reference.shape:
        raise UsageError(f"decisions {called.shape} do not fit predictions {predictions.reference.shape}")
    return called


def _check(
    first: Predictions, second: Predictions, names: tuple[str, str], cases: tuple[Sequence[str], Sequence[str]] | None
) -> None:
    """Refuse to pair what is not about the same cases."""
    which = f"{names[0]} and {names[1]}"
    first.space.check_same(second.space, names, "Compare predictions of the same labels")
    if first.n_cases != second.n_cases:
        raise UsageError(
            f"{which} are about other cases: {first.n_cases} and {second.n_cases}",
            remedy="Give both for the same cases, in the same order",
        )
    apart = (first.patients != second.patients) | (first.reference != second.reference).any(axis=1)
    apart |= (first.known != second.known).any(axis=1)
    if cases is not None:
        apart |= np.asarray(cases[0], dtype=np.str_) != np.asarray(cases[1], dtype=np.str_)
    if apart.any():
        raise UsageError(
            f"{which} differ in case, patient or reference label in {int(apart.sum())} of {apart.size} rows, "
            f"first in row {int(np.argmax(apart)) + 1}",
            remedy="Give both for the same cases, in the same order, with the same reference",
        )
