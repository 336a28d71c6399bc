"""Shift: how far another cohort is from the one that a classifier was trained on, and what that means for its metrics.

What is compared, patient by patient: the brightness of the network's input, the scans' grid, how common each label is, and
makers and models of scanners, and sites. Each row has a size and a p-value; p-values are adjusted by Holm over all rows. A
row's verdict is ``none`` unless its adjusted p-value is below 0.05 and its size reaches a cut-off:

=================== ================================================ ======== ==========
rows                size                                             ``some`` ``strong``
=================== ================================================ ======== ==========
intensity, geometry standardised mean difference                     0.1      0.5
intensity, geometry Kolmogorov and Smirnov's statistic               0.1      0.3
labels              standardised difference of two shares            0.1      0.5
scanner             share that training did not have, above its own  0.1      0.5
=================== ================================================ ======== ==========

The standardised difference divides by the root of the mean of both variances (Austin, Statistics in Medicine 2009;28:3083).
The training cohort is known by its quantiles alone (:mod:`medcls.evaluation.shift.kolmogorov_smirnov`). The p-values are those
of Kolmogorov and Smirnov's test for two samples (the limiting distribution) and of Fisher's exact test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from scipy.stats import fisher_exact

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
    said,
)
from medcls.evaluation.shift.cohort_summary import FEWEST as FEWEST_IN_TRAINING
from medcls.evaluation.shift.cohort_summary import FEWEST_WITH_FACT, OTHER, CohortMeasures, CohortSummary, Measure
from medcls.evaluation.shift.kolmogorov_smirnov import ks_p_value, ks_statistic, like_lengths
from medcls.evaluation.shift.wording import meanings
from medcls.evaluation.statistics.arrays import Floats
from medcls.evaluation.statistics.holm import holm

SIGNIFICANT = 0.05
SOME, STRONG = 0.1, 0.5
KS_SOME, KS_STRONG = 0.1, 0.3
_ROUNDING = 1e-6  # of a mean
FEWEST = 10
"""Patients of a cohort, without whom a measure is not compared."""


class Verdict(StrEnum):
    """How large a shift is."""

    NONE = "none"
    SOME = "some"
    STRONG = "strong"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ShiftRow:
    """One thing that was compared.

    Attributes:
        group: ``intensity``, ``geometry``, ``labels`` or ``scanner``.
        name: What it is.
        training: Mean over training patients, or the share of them.
        external: The same of the other cohort.
        difference: Standardised difference, external minus training; for a scanner fact that of the shares. ``None``
            where there is none.
        ks: Kolmogorov and Smirnov's statistic; ``None`` for shares.
        p_value: Two-sided; ``None`` where nothing could be tested.
        p_adjusted: By Holm over all rows.
        verdict: One of :class:`Verdict`.
        reason: Why it is not known, or why a number is missing.
    """

    group: str
    name: str
    training: float | None
    external: float | None
    difference: float | None
    ks: float | None
    p_value: float | None
    p_adjusted: float | None
    verdict: Verdict
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON."""
        return {
            "group": self.group,
            "name": self.name,
            "training": self.training,
            "external": self.external,
            "difference": self.difference,
            "ks": self.ks,
            "p_value": self.p_value,
            "p_adjusted": self.p_adjusted,
            "verdict": self.verdict.value,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class CohortShift:
    """How far a cohort is from the training cohort.

    Attributes:
        n_training: Training patients.
        n_external: Patients of the cohort.
        rows: What was compared.
        meanings: What it means for the metrics, in sentences.
    """

    n_training: int
    n_external: int
    rows: tuple[ShiftRow, ...]
    meanings: tuple[str, ...]

    def of(self, name: str) -> ShiftRow:
        """The row of this name.

        Raises:
            KeyError: There is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """The section of ``metrics.json``, valid under :func:`shift_schema`."""
        return {
            "n_training": self.n_training,
            "n_external": self.n_external,
            "rows": [row.to_json() for row in self.rows],
            "meanings": list(self.meanings),
        }


def cohort_shift(training: CohortSummary, external: CohortMeasures) -> CohortShift:
    """Compare a cohort with the training cohort.

    Args:
        training: What was kept of the training cohort.
        external: The other cohort's measures; what the summary does not have is a row that is not known, and says why.
    """
    rows = [
        *(_measured("intensity", name, one, external.intensity, external) for name, one in training.intensity.items()),
        *_not_kept("intensity", training.intensity, external.intensity, external),
        *(_measured("geometry", name, one, external.geometry, external) for name, one in training.geometry.items()),
        *_not_kept("geometry", training.geometry, external.geometry, external),
        *_labels(training, external),
        *_scanner(training, external),
    ]
    evaluated = _adjusted(rows)
    return CohortShift(
        training.n_patients,
        external.n_patients,
        evaluated,
        meanings(
            [(row.group, row.verdict.value, row.name, row.training, row.external, row.reason) for row in evaluated]
        ),
    )


def shift_schema() -> Schema:
    """The schema of :meth:`CohortShift.to_json`."""
    row = closed(
        {
            "group": {"enum": ["intensity", "geometry", "labels", "scanner"]},
            "name": TEXT,
            "training": said(
                or_null(NUMBER),
                "Mean over the training patients, or share of them; in scanner rows of those with a value that fewer than "
                f"{FEWEST_WITH_FACT} training patients had.",
            ),
            "external": or_null(NUMBER),
            "difference": said(
                or_null(NUMBER), "Standardised, external minus training; of shares for scanner covariates."
            ),
            "ks": or_null(SHARE),
            "p_value": or_null(SHARE),
            "p_adjusted": said(or_null(SHARE), "By Holm over all rows."),
            "verdict": {"enum": [verdict.value for verdict in Verdict]},
            "reason": TEXT_OR_NULL,
        }
    )
    return closed(
        {
            "n_training": said(COUNT, "Patients."),
            "n_external": said(COUNT, "Patients."),
            "rows": listed(row),
            "meanings": listed(TEXT),
        },
        "How far the cohort is from the one that the classifier was trained on.",
    )


def _measured(
    group: str, name: str, training: Measure, given: Mapping[str, Floats], external: CohortMeasures
) -> ShiftRow:
    values = external.by_patient(np.asarray(given[name], dtype=np.float64)) if name in given else np.zeros(0)
    if values.size < FEWEST:
        mean = float(values.mean()) if values.size else None
        few = f"fewer than {FEWEST} patients of whom it is known"
        return ShiftRow(group, name, training.mean, mean, None, None, None, None, Verdict.UNKNOWN, few)
    mean, variance = float(values.mean()), float(values.var(ddof=1))
    difference, reason = _standardised(mean - training.mean, variance, training)
    if group == "geometry":
        training, values = like_lengths(training, values)
    statistic = ks_statistic(training, values)
    p_value = ks_p_value(statistic, training, values.size)
    return ShiftRow(group, name, training.mean, mean, difference, statistic, p_value, None, Verdict.NONE, reason)


def _not_kept(
    group: str, training: Mapping[str, Measure], given: Mapping[str, Floats], external: CohortMeasures
) -> list[ShiftRow]:
    """What is known of the cohort, but was known of too few training patients for a distribution of it to be kept."""
    reason = f"it is known of fewer than {FEWEST_IN_TRAINING} training patients"
    rows = []
    for name, one in given.items():
        if name not in training:
            values = external.by_patient(np.asarray(one, dtype=np.float64))
            mean = float(values.mean()) if values.size else None
            rows.append(ShiftRow(group, name, None, mean, None, None, None, None, Verdict.UNKNOWN, reason))
    return rows


def _standardised(difference: float, variance: float, training: Measure) -> tuple[float | None, str | None]:
    """The standardised difference, or why there is none; what rounding can do is no difference."""
    small = _ROUNDING * abs(training.mean)
    if abs(difference) <= small:
        return 0.0, None
    spread = math.sqrt((variance + training.sd**2) / 2)
    return (difference / spread, None) if spread > small else (None, "each cohort has one value throughout")


def _labels(training: CohortSummary, external: CohortMeasures) -> list[ShiftRow]:
    """The share of the patients of whom each label is known."""
    found, known = external.patients_per_label(), external.known_per_label()
    return [
        _shares(
            "labels",
            label,
            (count, training.known.get(label, training.n_patients)),
            (found.get(label, 0), known.get(label, 0)),
        )
        for label, count in training.labels.items()
    ]


def _scanner(training: CohortSummary, external: CohortMeasures) -> list[ShiftRow]:
    """The share of patients whose scanner or site is none of those that training had often; in training that of rare ones."""
    rows = []
    for covariate, counts in training.covariates.items():
        values = external.patients_per_value(covariate) if covariate in external.covariates else {}
        stated = sum(values.values())
        unseen = sum(n for value, n in values.items() if value not in counts or value == OTHER)
        if not stated:
            reason = "it is stated for no patient"
            rows.append(ShiftRow("scanner", covariate, None, None, None, None, None, None, Verdict.UNKNOWN, reason))
        else:
            rows.append(_shares("scanner", covariate, (counts.get(OTHER, 0), sum(counts.values())), (unseen, stated)))
    reason = "it is known of no training patient"
    for covariate in external.covariates:
        if covariate not in training.covariates and external.patients_per_value(covariate):
            rows.append(ShiftRow("scanner", covariate, None, None, None, None, None, None, Verdict.UNKNOWN, reason))
    return rows


def _shares(group: str, name: str, training: tuple[int, int], external: tuple[int, int]) -> ShiftRow:
    if not training[1] or not external[1]:
        return ShiftRow(group, name, None, None, None, None, None, None, Verdict.UNKNOWN, "there are no patients")
    one, other = training[0] / training[1], external[0] / external[1]
    table = [[count, n - count] for count, n in (training, external)]
    p_value = float(np.clip(fisher_exact(table).pvalue, 0, 1))
    variance = (one * (1 - one) + other * (1 - other)) / 2
    difference: float | None = other - one
    if group == "labels":
        difference = (other - one) / math.sqrt(variance) if variance > 0 else None if other != one else 0.0
    return ShiftRow(group, name, one, other, difference, None, p_value, None, Verdict.NONE)


def _adjusted(rows: list[ShiftRow]) -> tuple[ShiftRow, ...]:
    adjusted = iter(holm([row.p_value for row in rows if row.p_value is not None]))
    return tuple(
        row if row.p_value is None else replace(row, p_adjusted=(p := next(adjusted)), verdict=_verdict(row, p))
        for row in rows
    )


def _verdict(row: ShiftRow, p_adjusted: float) -> Verdict:
    if p_adjusted >= SIGNIFICANT:
        return Verdict.NONE
    size = math.inf if row.difference is None else row.difference if row.group == "scanner" else abs(row.difference)
    ks = row.ks or 0.0
    if size >= STRONG or ks >= KS_STRONG:
        return Verdict.STRONG
    return Verdict.SOME if size >= SOME or ks >= KS_SOME else Verdict.NONE
