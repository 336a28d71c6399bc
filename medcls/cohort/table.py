"""A cohort from a CSV table: one row for each case."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping
from pathlib import Path

from medcls.cohort.case import Case, Exclusion
from medcls.cohort.cohort import Cohort, check_positive
from medcls.config.settings import Columns, DataSettings, Partition, SplitSettings
from medcls.errors import CohortError

_TRUE = {"1", "1.0", "true", "yes", "y"}
_FALSE = {"0", "0.0", "false", "no", "n"}
_NAMES_OF_FACTS = frozenset(
    {"sex", "gender", "patientsex", "age", "patientage", "ageyears", "ageinyears", "race", "ethnicity", "year"}
    | {"site", "hospital", "centre", "center", "institution", "scanner", "manufacturer", "vendor"}
)


def read_table(settings: DataSettings, split: SplitSettings, positive: str | None) -> Cohort:
    """Read the cases table.

    Rows without a label or a scan are excluded with a reason; everything that concerns the whole table is an error.

    Raises:
        CohortError: The table is missing, is not CSV text, lacks a column, names a case twice, or has an unknown label.
        ConfigError: Two labels and no positive one.
    """
    path = Path(settings.cases or "")
    header, rows = _read_rows(path)
    columns = settings.columns
    _check_columns(path, header, columns)
    if isinstance(columns.label, str):
        for _, row in rows:
            row[columns.label] = settings.label_values.get(row[columns.label], row[columns.label])
    labels = _labels(path, rows, settings)
    root = settings.root or path.parent
    cases: list[Case] = []
    excluded: list[Exclusion] = []
    names: dict[str, int] = {}
    for line, row in rows:
        found = _case(path, line, row, columns, labels, root, split)
        first = names.setdefault(found.name, line)
        if first != line:
            raise CohortError(
                f"the case of line {line} has the name of line {first}",
                where=f"{path}:{line}",
                remedy=f"Give every row its own name in '{columns.case}'",
            )
        if isinstance(found, Case):
            cases.append(found)
        else:
            excluded.append(found)
    multilabel = isinstance(columns.label, list)
    positive = check_positive(positive, labels, multilabel=multilabel)
    return Cohort(tuple(cases), labels, positive, multilabel, tuple(excluded), unused=_unused(header, columns))


def _unused(header: list[str], columns: Columns) -> tuple[str, ...]:
    """Columns that hold facts by their names, and that nothing asks for."""
    labels = columns.label if isinstance(columns.label, list) else [columns.label]
    used = {*labels, *columns.facts, columns.case, columns.patient, columns.scan, columns.split}
    plain = {name: "".join(sign for sign in name.casefold() if sign.isalpha()) for name in header}
    return tuple(name for name in header if name not in used and plain[name] in _NAMES_OF_FACTS)


def _read_rows(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise CohortError("no such table of cases", where=str(path), remedy="Set data.cases to a CSV file") from None
    except (OSError, UnicodeDecodeError):
        raise CohortError(
            "the table of cases cannot be read as UTF-8 text",
            where=str(path),
            remedy="In a spreadsheet, save it as 'CSV UTF-8'",
        ) from None
    lines = text.splitlines()
    if not lines:
        raise CohortError("the table of cases is empty", where=str(path))
    # Spreadsheets write ';' or tabs where the comma is the decimal sign.
    delimiter = max(",;\t", key=lines[0].count)
    reader = csv.DictReader(lines, delimiter=delimiter)
    try:
        rows = [
            (reader.line_num, {name.strip(): (value or "").strip() for name, value in row.items() if name is not None})
            for row in reader
        ]
    except csv.Error as error:
        raise CohortError(f"not a CSV table: {error}", where=f"{path}:{reader.line_num}") from None
    if not rows:
        raise CohortError("the table of cases has a header and no rows", where=str(path))
    return [name.strip() for name in reader.fieldnames or []], rows


def _check_columns(path: Path, header: list[str], columns: Columns) -> None:
    labels = columns.label if isinstance(columns.label, list) else [columns.label]
    wanted = [
        ("scan", columns.scan),
        *(("label", name) for name in labels),
        *(("facts", name) for name in columns.facts),
    ]
    # 'case', 'patient' and 'split' may be absent, but not when the config names a column of its own for them.
    defaults = Columns()
    for key in ("case", "patient", "split"):
        named = getattr(columns, key)
        if named is not None and named != getattr(defaults, key):
            wanted.append((key, named))
    for key, name in wanted:
        if name not in header:
            near = difflib.get_close_matches(name, header, n=1)
            hint = f"Did you mean '{near[0]}'? " if near else ""
            raise CohortError(
                f"there is no column '{name}' for data.columns.{key}",
                where=f"{path}:1",
                remedy=f"{hint}Columns: {', '.join(header)}",
            )


def _labels(path: Path, rows: list[tuple[int, dict[str, str]]], settings: DataSettings) -> tuple[str, ...]:
    column = settings.columns.label
    if isinstance(column, list):
        return tuple(column)
    present = {row[column] for _, row in rows if row[column]}
    if settings.labels is not None:
        for line, row in rows:
            if row[column] and row[column] not in settings.labels:
                near = difflib.get_close_matches(row[column], settings.labels, n=1)
                hint = f"Did you mean '{near[0]}'? " if near else ""
                raise CohortError(
                    f"unknown label '{row[column]}'",
                    where=f"{path}:{line}",
                    remedy=f"{hint}Labels: {', '.join(settings.labels)}",
                )
        return tuple(settings.labels)
    if len(present) < 2:
        raise CohortError(
            f"a classifier needs two labels or more; '{column}' has {len(present)}",
            where=str(path),
            remedy="Check data.columns.label",
        )
    _check_spelling(path, present)
    return tuple(sorted(present))


def _check_spelling(path: Path, labels: set[str]) -> None:
    """Refuse labels that differ only in case: they are one class, spelt in two ways."""
    known: dict[str, str] = {}
    for label in sorted(labels):
        other = known.setdefault(" ".join(label.casefold().split()), label)
        if other != label:
            raise CohortError(
                f"the labels '{other}' and '{label}' differ only in how they are written",
                where=str(path),
                remedy="Write them alike, give one of them another name in data.label_values, or list both in data.labels",
            )


def _case(
    path: Path,
    line: int,
    row: Mapping[str, str],
    columns: Columns,
    labels: tuple[str, ...],
    root: Path,
    split: SplitSettings,
) -> Case | Exclusion:
    name = (columns.case and row.get(columns.case)) or row[columns.scan] or f"line {line}"
    patient = (columns.patient and row.get(columns.patient)) or ""
    if not row[columns.scan]:
        return Exclusion(name, patient, "no-scan", "the table names no scan", line)
    reference = _reference(f"{path}:{line}", row, columns.label, labels)
    if reference is None:
        return Exclusion(name, patient, "no-label", "the table has no label", line)
    facts = {fact: row[fact] for fact in columns.facts if row[fact]}
    partition = _partition(path, line, row, columns, split)
    return Case(name, patient, root / row[columns.scan], reference, partition, None, facts, line)


def _reference(
    where: str, row: Mapping[str, str], column: str | list[str], labels: tuple[str, ...]
) -> tuple[int, ...] | None:
    if isinstance(column, str):
        return (labels.index(row[column]),) if row[column] else None
    marked = []
    for index, name in enumerate(column):
        value = row[name].lower()
        if not value:
            return None
        if value not in _TRUE | _FALSE:
            raise CohortError(f"'{row[name]}' in column '{name}' is neither 0 nor 1", where=where)
        if value in _TRUE:
            marked.append(index)
    return tuple(marked)


def _partition(
    path: Path, line: int, row: Mapping[str, str], columns: Columns, split: SplitSettings
) -> Partition | None:
    value = row.get(columns.split, "") if columns.split else ""
    if not value:
        return None
    partition = named_partition(value, split)
    if partition is None:
        raise CohortError(
            f"'{value}' in column '{columns.split}' names no partition",
            where=f"{path}:{line}",
            remedy=f"Map it in split.values; known: {', '.join(split.values)}",
        )
    return partition


def named_partition(value: str, split: SplitSettings) -> Partition | None:
    """The partition that a value of a split column, or the name of a folder, stands for."""
    known = {name.lower(): partition for name, partition in split.values.items()}
    return known.get(value.strip().lower())
