"""Simple measures of prepared cases: read once, for the baseline and for what is known of the training cohort."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medcls.bounded import read_json
from medcls.cohort import Case, Cohort
from medcls.cohort.case import known_matrix, reference_matrix
from medcls.evaluation.shift.cohort_summary import CohortMeasures, CohortSummary, summarise_cohort
from medcls.evaluation.shift.distribution_shift import CohortShift, cohort_shift
from medcls.evaluation.shift.out_of_distribution import Familiar, Traits, familiar_with
from medcls.files import reading_kept, write_json
from medcls.preprocessing.features import INTENSITIES, feature_names, simple_features
from medcls.preprocessing.traits import traits_of
from medcls.progress import SILENT, Progress
from medcls.workflows.data.prepare import Material

NAME = "training-summary.json"
_SCANNER = ("manufacturer", "model", "field_strength", "kernel", "site")
_AXES = ("x", "y", "z")


@dataclass(frozen=True, eq=False)
class Features:
    """The simple features of cases.

    Attributes:
        names: Of the features.
        by_case: Case name to ``(k,)`` numbers.
    """

    names: tuple[str, ...]
    by_case: Mapping[str, NDArray[np.float64]]

    def of(self, cases: Sequence[Case]) -> NDArray[np.float64]:
        """``(n, k)`` of these cases, in their order."""
        return np.stack([self.by_case[case.name] for case in cases])


def measure(material: Material, progress: Progress = SILENT) -> Features:
    """The features of every case, read from the prepared store one case at a time.

    Raises:
        StorageError: A prepared scan is gone or damaged.
    """
    cases = material.cohort.cases
    by_case = {case.name: simple_features(material.entries[case.name]) for case in progress.track(cases, "Measuring")}
    return Features(feature_names(material.recipe.dimensions), by_case)


def familiar_cases(material: Material, features: Features, known: Sequence[Case], checked: Sequence[Case]) -> Familiar:
    """What a classifier keeps of the scans that it knows, and how many of others of their kind it calls far from them.

    Args:
        material: The prepared cases.
        features: Of all of them.
        known: What it was trained on.
        checked: Cases that were not.

    Raises:
        StorageError: A prepared scan is gone or damaged.
    """
    kept = familiar_with(
        [_traits(material, features, case) for case in known], [case.patient or case.name for case in known]
    )
    return kept.checked(_traits(material, features, case) for case in checked)


def _traits(material: Material, features: Features, case: Case) -> Traits:
    entry = material.entries[case.name]
    if case.source is None:
        raise ValueError("a case that was prepared has a scan")
    return traits_of(case.source, entry, entry.attributes, entry.values, features.by_case[case.name])


def write_training_summary(folder: Path, cohort: Cohort, cases: Sequence[Case], features: Features) -> CohortSummary:
    """Write ``training-summary.json``: distributions over the training patients, and nothing about one of them."""
    summary = summarise_cohort(_measures(cohort, cases, features))
    write_json(folder / NAME, summary.to_json())
    return summary


def read_training_summary(folder: Path) -> CohortSummary | None:
    """The summary of the training cohort that the run in ``folder`` keeps; ``None`` where it keeps none.

    Raises:
        RunError: The summary is damaged.
    """
    path = folder / NAME
    if not os.path.lexists(path):
        return None
    with reading_kept(path, "Restore the file, or remove it"):
        return CohortSummary.from_json(read_json(path))


def shift_from_training(summary: CohortSummary, cohort: Cohort, features: Features) -> CohortShift:
    """How far a cohort is from the training cohort."""
    return cohort_shift(summary, _measures(cohort, cohort.cases, features))


def _measures(cohort: Cohort, cases: Sequence[Case], features: Features) -> CohortMeasures:
    values = features.of(cases)
    return CohortMeasures(
        intensity={name: values[:, features.names.index(name)] for name in INTENSITIES},
        geometry=_geometry(cases),
        covariates={name: [str(case.covariates.get(name, "")) for case in cases] for name in _SCANNER},
        labels=cohort.labels,
        reference=reference_matrix(cases, len(cohort.labels)),
        patients=np.array([case.patient or case.name for case in cases], dtype=np.str_),
        known=known_matrix(cases, len(cohort.labels)),
    )


def _geometry(cases: Sequence[Case]) -> dict[str, NDArray[np.float64]]:
    """Voxels and millimetres along each axis of the scans; NaN where a scan has no such axis, or no geometry."""
    found = {}
    for axis, name in enumerate(_AXES):
        sources = [case.source for case in cases]
        lengths = [one.shape[axis] if one is not None and axis < len(one.shape) else np.nan for one in sources]
        sizes = [
            one.spacing[axis] if one is not None and one.sized and axis < len(one.spacing) else np.nan
            for one in sources
        ]
        for words, values in ((f"voxels along {name}", lengths), (f"voxel size along {name} (mm)", sizes)):
            if np.isfinite(values).any():
                found[words] = np.array(values, dtype=np.float64)
    return found
