"""Summary of a cohort: distributions without a single case, kept by a run so that later cohorts can be held against it.

Every number is of patients: measures are averaged over a patient's cases. Of a measure it keeps mean, standard deviation and
20 quantiles, without the least and the greatest value; of a fact, how many patients have each value, with values of fewer
than five patients counted as one ('other').
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcls.errors import RunError
from medcls.evaluation.statistics.arrays import Bools, Floats
from medcls.evaluation.subgroups.grouping import NOT_STATED, group_covariate

LEVELS = tuple((2 * index + 1) / 40 for index in range(20))
"""Of the quantiles: 0.025, 0.075, …, 0.975."""
FEWEST = 20
"""Patients: with fewer, a measure would have a quantile for each of them, and is left out."""
FEWEST_WITH_FACT = 5
OTHER = "other"
_FORMAT = 1


@dataclass(frozen=True)
class Measure:
    """The distribution of one measure over patients.

    Attributes:
        n: Patients of whom it is known.
        mean: Mean.
        sd: Standard deviation.
        quantiles: At :data:`LEVELS`.
    """

    n: int
    mean: float
    sd: float
    quantiles: tuple[float, ...]


@dataclass(frozen=True)
class CohortSummary:
    """What is kept of a cohort.

    Attributes:
        n_cases: Cases.
        n_patients: Patients.
        intensity: Measures of the network's input, by name.
        geometry: Measures of the scans' grid, by name.
        labels: Patients with each label.
        covariates: For each fact, patients with each value; :data:`OTHER` for rare ones.
        known: Patients of whom each label is known; of labels that it does not name, all.
    """

    n_cases: int
    n_patients: int
    intensity: Mapping[str, Measure]
    geometry: Mapping[str, Measure]
    labels: Mapping[str, int]
    covariates: Mapping[str, Mapping[str, int]]
    known: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The contents of ``training-summary.json``."""
        return {
            "format": _FORMAT,
            "n_cases": self.n_cases,
            "n_patients": self.n_patients,
            "levels": list(LEVELS),
            "intensity": {name: _measure_json(one) for name, one in self.intensity.items()},
            "geometry": {name: _measure_json(one) for name, one in self.geometry.items()},
            "patients_per_label": dict(self.labels),
            "facts": {name: dict(counts) for name, counts in self.covariates.items()},
            "known_per_label": dict(self.known),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> CohortSummary:
        """What :meth:`to_json` wrote.

        Raises:
            RunError: It is not one, or one of another version.
        """
        try:
            if value["format"] != _FORMAT or tuple(value["levels"]) != LEVELS:
                raise ValueError("another format")
            return cls(
                n_cases=int(value["n_cases"]),
                n_patients=int(value["n_patients"]),
                intensity={name: _measure(one) for name, one in value["intensity"].items()},
                geometry={name: _measure(one) for name, one in value["geometry"].items()},
                labels={name: int(count) for name, count in value["patients_per_label"].items()},
                covariates={
                    name: {group: int(n) for group, n in counts.items()} for name, counts in value["facts"].items()
                },
                known={name: int(n) for name, n in value.get("known_per_label", {}).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(
                "the summary of the training cases is damaged", remedy="Restore training-summary.json, or remove it"
            ) from error


@dataclass(frozen=True, eq=False)
class CohortMeasures:
    """The measures of ``n`` cases.

    Attributes:
        intensity: Name to ``(n,)`` numbers: of the network's input.
        geometry: Name to ``(n,)`` numbers, NaN where not known: of the scans' grid.
        covariates: Name to a text for each case, empty where it is not stated.
        labels: The labels.
        reference: ``(n, labels)`` booleans.
        patients: ``(n,)`` strings.
        known: ``(n, labels)`` booleans, whether the reference says anything of this label.
    """

    intensity: Mapping[str, Floats]
    geometry: Mapping[str, Floats]
    covariates: Mapping[str, Sequence[str]]
    labels: tuple[str, ...]
    reference: Bools
    patients: NDArray[np.str_]
    known: Bools

    @cached_property
    def _owner(self) -> NDArray[np.intp]:
        """``(n,)`` each case's patient, counted from 0."""
        return np.unique(np.asarray(self.patients, dtype=np.str_), return_inverse=True)[1].ravel()

    @property
    def n_patients(self) -> int:
        """Patients."""
        return int(self._owner.max()) + 1 if self._owner.size else 0

    def by_patient(self, values: Floats) -> Floats:
        """The mean over each patient's cases, of the patients of whom it is known."""
        known = np.isfinite(values)
        count = np.bincount(self._owner[known], minlength=self.n_patients)
        total = np.bincount(self._owner[known], weights=values[known], minlength=self.n_patients)
        return np.asarray(total[count > 0] / count[count > 0])

    def patients_per_label(self) -> dict[str, int]:
        """Patients with a case of each label."""
        return self._count(self.reference & self.known)

    def known_per_label(self) -> dict[str, int]:
        """Patients with a case of which each label is known."""
        return self._count(self.known)

    def _count(self, marked: Bools) -> dict[str, int]:
        return {label: len(np.unique(self._owner[one])) for label, one in zip(self.labels, marked.T, strict=True)}

    def patients_per_value(self, covariate: str) -> Counter[str]:
        """Patients with each stated value of a fact, each counted under the first that is stated of them."""
        grouping = group_covariate(covariate, self.covariates[covariate])
        first: dict[int, str] = {}
        for owner, group in zip(self._owner.tolist(), grouping.group.tolist(), strict=True):
            if grouping.groups[group] != NOT_STATED:
                first.setdefault(owner, grouping.groups[group])
        return Counter(first.values())


def summarise_cohort(measures: CohortMeasures) -> CohortSummary:
    """The summary of a cohort; nothing of it is about one patient."""
    return CohortSummary(
        n_cases=len(measures.patients),
        n_patients=measures.n_patients,
        intensity=_summarised(measures, measures.intensity),
        geometry=_summarised(measures, measures.geometry),
        labels=measures.patients_per_label(),
        known=measures.known_per_label(),
        covariates={
            covariate: merged
            for covariate in measures.covariates
            if (merged := _merged(measures.patients_per_value(covariate)))
        },
    )


def _summarised(measures: CohortMeasures, values: Mapping[str, Floats]) -> dict[str, Measure]:
    found = {}
    for name, one in values.items():
        known = measures.by_patient(np.asarray(one, dtype=np.float64))
        if known.size >= FEWEST:
            quantiles = np.quantile(known, LEVELS).tolist()
            found[name] = Measure(known.size, float(known.mean()), float(known.std(ddof=1)), tuple(quantiles))
    return found


def _merged(counts: Counter[str]) -> dict[str, int]:
    """Rare values as one; nothing at all where that one is rare itself and alone."""
    common = {value: n for value, n in counts.most_common() if n >= FEWEST_WITH_FACT}
    rare = sum(counts.values()) - sum(common.values())
    return {**common, OTHER: common.get(OTHER, 0) + rare} if rare else common


def _measure_json(one: Measure) -> dict[str, Any]:
    return {"n": one.n, "mean": one.mean, "sd": one.sd, "quantiles": list(one.quantiles)}


def _measure(value: Mapping[str, Any]) -> Measure:
    quantiles = tuple(float(one) for one in value["quantiles"])
    if len(quantiles) != len(LEVELS):
        raise ValueError("a measure has other quantiles")
    return Measure(int(value["n"]), float(value["mean"]), float(value["sd"]), quantiles)
