"""The run's tables: who was in it, who was left out, and what the classifier said about each case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medcls.classifier.predictions import MULTILABEL_SEPARATOR, SET_COLUMNS, Prediction, set_cells
from medcls.cohort import Case, Cohort
from medcls.cohort.patient_key import patient_pseudonym
from medcls.cohort.sources.paths import path_from
from medcls.config import PARTITIONS, Partition
from medcls.files import read_csv, reading_kept, write_csv
from medcls.privacy import Pseudonyms
from medcls.runs.scan_notes import notes_cell
from medcls.tables.words import NO_LABEL


def write_cohort(path: Path, cohort: Cohort, content: Mapping[str, str], pseudonyms: Pseudonyms) -> None:
    """Write ``cohort.csv``: case, patient, partition, reference, labels that are not known, covariates, pixels, notes.

    Args:
        path: The file.
        cohort: The cases with their partitions.
        content: Case name to a digest of its scan's voxels.
        pseudonyms: For everything that names somebody.
    """
    covariates = sorted({name for case in cohort.cases for name in case.covariates})
    rows = [
        dict(case.covariates)
        | cohort_row(case, cohort.labels, pseudonyms)
        | {"pixels": pseudonyms.pixels(content[case.name]), "notes": notes_cell(case, pseudonyms)}
        for case in cohort.cases
    ]
    write_csv(path, [*case_columns(cohort), *covariates, "pixels", "notes"], rows)


def case_columns(cohort: Cohort) -> list[str]:
    """The columns that every table has for a case."""
    return ["case", "patient", "partition", "reference", *(["unknown"] if cohort.multilabel else [])]


def cohort_row(case: Case, labels: Sequence[str], pseudonyms: Pseudonyms) -> dict[str, Any]:
    """The cells of :func:`case_columns`."""
    return {
        "case": pseudonyms.case(case.name),
        "patient": pseudonym_of(case, pseudonyms),
        "partition": case.partition,
        "reference": MULTILABEL_SEPARATOR.join(labels[index] for index in case.reference) or NO_LABEL,
        **({"unknown": MULTILABEL_SEPARATOR.join(labels[index] for index in case.unknown)} if case.unknown else {}),
    }


def pseudonym_of(case: Case, pseudonyms: Pseudonyms) -> str:
    """The pseudonym of a case's patient: the same that ``infer`` gives a scan with this patient in its header."""
    return patient_pseudonym(case.patient, pseudonyms)


def read_partitions(path: Path) -> dict[str, Partition]:
    """Case pseudonym to partition, as ``cohort.csv`` has them.

    Raises:
        RunError: The table is damaged.
    """
    with reading_kept(path):
        found: dict[str, Partition] = {row["case"]: row["partition"] for row in read_csv(path)}  # type: ignore[misc]
        if not found or not all(case and partition in PARTITIONS for case, partition in found.items()):
            raise ValueError("no cases with their partitions")
    return found


def read_patients(path: Path) -> dict[str, str]:
    """Pseudonym of a patient to the partition, as ``cohort.csv`` has them.

    Raises:
        RunError: The table is damaged.
    """
    with reading_kept(path):
        return {row["patient"]: row["partition"] for row in read_csv(path)}


def write_excluded(path: Path, cohort: Cohort, pseudonyms: Pseudonyms, start: Path | None = None) -> None:
    """Write ``excluded.csv``: case, patient, code, reason and the table's line of every case that is not used.

    Args:
        path: The file.
        cohort: The cohort.
        pseudonyms: For all that names somebody.
        start: The folder that the scans' paths are given from, in a column ``scan``; ``None``: they are not given.
    """
    rows = [
        {
            "case": pseudonyms.case(exclusion.name),
            "patient": patient_pseudonym(exclusion.patient, pseudonyms) if exclusion.patient else None,
            "code": exclusion.code,
            "reason": exclusion.reason,
            "line": exclusion.line,
            "scan": None if start is None or exclusion.scan is None else path_from(start, exclusion.scan),
        }
        for exclusion in cohort.excluded
    ]
    write_csv(path, ["case", "patient", "code", "reason", "line", *(["scan"] if start is not None else [])], rows)


def write_predictions(
    path: Path, cohort: Cohort, case_predictions: Mapping[str, Prediction], pseudonyms: Pseudonyms
) -> None:
    """Write ``predictions.csv``: what ``cohort.csv`` has but covariates, predicted and ``p_LABEL`` for each label."""
    columns = [f"p_{label}" for label in cohort.labels]
    rows = []
    for case in cohort.cases:
        if case.name in case_predictions:
            prediction = case_predictions[case.name]
            row = cohort_row(case, cohort.labels, pseudonyms)
            row["predicted"] = MULTILABEL_SEPARATOR.join(prediction.predicted)
            rows.append(row | dict(zip(columns, prediction.probabilities, strict=True)) | set_cells(prediction))
    write_csv(path, [*case_columns(cohort), "predicted", *columns, *SET_COLUMNS], rows)
