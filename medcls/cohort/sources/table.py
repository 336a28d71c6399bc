"""A cohort from a CSV table: one row for each case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from medcls import tables
from medcls.cohort.case import Case, Exclusion
from medcls.cohort.cohort import Cohort, asked_space
from medcls.cohort.sources.label_columns import Marks, read_label_columns
from medcls.cohort.sources.labels import UnlabelledError, check_spelling, labels_of, named_values, unused_values
from medcls.cohort.sources.paths import scan_path
from medcls.config.settings import Columns, DataSettings, Partition, SplitSettings
from medcls.nearest import one_of
from medcls.tables import Table
from medcls.tables.roles import doubted_patients, unread_column
from medcls.tables.words import says_nothing, shortened
from medcls.values.caution import note, serious

_NAMES_OF_FACTS = frozenset(
    {"sex", "gender", "patientsex", "age", "patientage", "ageyears", "ageinyears", "race", "ethnicity", "year"}
    | {"site", "hospital", "centre", "center", "institution", "scanner", "manufacturer", "vendor"}
)

_MOST_VALUES = 5  # of a split column, that an error tells


def read_table(settings: DataSettings, split: SplitSettings, positive: str | None) -> Cohort:
    """Read the cases table.

    Rows without a label or a scan are excluded with a reason; everything that concerns the whole table is an error.

    Raises:
        CohortError: The table is missing, is no sound CSV text, lacks a column, has patients or partitions under another
            name, names a case twice, or a column does not hold what it should.
        ConfigError: Two labels and no positive one; more, and a positive one.
    """
    path = Path(settings.cases or "")
    table = tables.read_table(path, "the table of cases")
    columns = settings.columns
    _check_columns(table, columns)
    rows = [dict(row) for _, row in table.mappings()]
    _check_unread(table, columns, rows, split)
    warnings = _patients(table, columns, rows)
    labels, references, more = _labels(table, rows, settings)
    root = settings.root or path.parent
    cases: list[Case] = []
    excluded: list[Exclusion] = []
    names: dict[str, int] = {}
    for line, row, reference in zip(table.lines, rows, references, strict=True):
        found = _case(table, line, row, columns, reference, root, split)
        first = names.setdefault(found.name, line)
        if first != line:
            raise table.wrong(
                line,
                f"the case of line {line} has the name of line {first}",
                f"Give every row its own name in '{columns.case}'",
            )
        if isinstance(found, Case):
            cases.append(found)
        else:
            excluded.append(found)
    space = asked_space(labels, positive, multilabel=isinstance(columns.label, list))
    unused = _unused(table.named, columns)
    return Cohort(
        space,
        tuple(cases),
        tuple(excluded),
        (*note("table", *warnings, *more), *serious("confounding", *_telling(rows, unused, references))),
        unused=unused,
        source=str(path),
        split_in_words=_split_in_words(rows, columns),
    )


def _split_in_words(rows: Sequence[Mapping[str, str]], columns: Columns) -> str:
    """What the split column says, and how often; empty where it says nothing."""
    values = Counter(filter(None, (row.get(columns.split, "") for row in rows))) if columns.split else Counter[str]()
    said = ", ".join(f"'{value}' ({n})" for value, n in values.most_common(_MOST_VALUES))
    return f"column '{columns.split}' says {said}" if said else ""


def table_names(settings: DataSettings) -> tuple[Case | Exclusion, ...]:
    """Every row of the cases table, by name, whatever its labels and partitions say.

    Raises:
        CohortError: The table is missing, is no sound CSV text, or has no column of scans.
    """
    path, columns = Path(settings.cases or ""), settings.columns
    table = tables.read_table(path, "the table of cases")
    if columns.scan not in table:
        raise table.no_column(columns.scan, "that names the scans")
    found: list[Case | Exclusion] = []
    for line, row in table.mappings():
        name, patient, scan = _named(line, row, columns, settings.root or path.parent)
        if scan is None:
            found.append(Exclusion(name, patient, "no-scan", "the table names no scan", line))
        else:
            found.append(Case(name, patient, scan, (), line=line))
    return tuple(found)


def _patients(table: Table, columns: Columns, rows: list[dict[str, str]]) -> list[str]:
    """Empty the cells that name no patient, in words; refuse names that a spreadsheet changed. What to warn of."""
    name = columns.patient
    if name is None or name not in table:
        return []
    cells = table.cells(name)
    for line, cell in zip(table.lines, cells, strict=True):
        if shortened(cell):
            raise table.wrong(
                line,
                f"'{cell}' in column '{name}' is what a spreadsheet shows of a long number: other patients look the same",
                "Format the column as text, and export it again",
            )
    words = Counter(cell for cell in cells if cell and says_nothing(cell))
    check_spelling(table, name, (cell for cell in cells if cell and cell not in words), "patients")
    for row in rows:
        if row[name] in words:
            row[name] = ""
    said = ", ".join(f"'{word}' ({count})" for word, count in words.items())
    none = [f"column '{name}' says {said}: taken for no patient, not for one patient of that name"] if words else []
    named = zip(table.lines, (row[name] for row in rows), strict=True)
    return [*none, *doubted_patients(named, f"column '{name}'", "Name another in data.columns.patient")]


def _unused(header: Sequence[str], columns: Columns) -> tuple[str, ...]:
    """Columns that hold covariates by their names, and that nothing asks for."""
    labels = _label_columns(columns)
    used = {*labels, *columns.covariates, columns.case, columns.patient, columns.scan, columns.split}
    plain = {name: "".join(sign for sign in name.casefold() if sign.isalpha()) for name in header}
    return tuple(name for name in header if name not in used and plain[name] in _NAMES_OF_FACTS)


def _telling(rows: Sequence[Mapping[str, str]], unused: Sequence[str], references: Sequence[Marks | None]) -> list[str]:
    """What to warn of: covariates that nothing asks for, so that no audit looks at them, and that alone tell every label."""
    found = []
    for name in unused:
        known = [(row[name], marks.has) for row, marks in zip(rows, references, strict=True) if marks and row[name]]
        values, labels = {value for value, _ in known}, {label for _, label in known}
        if len(labels) > 1 and 2 * len(values) <= len(known) and len(set(known)) == len(values):
            found.append(
                f"column '{name}' tells the label of every case: each of its {len(values)} values has cases of one label "
                f"alone, so the network may learn to tell '{name}'. Add cases of other labels to each; "
                "data.columns.covariates has it looked at"
            )
    return found


def _check_columns(table: Table, columns: Columns) -> None:
    labels = _label_columns(columns)
    wanted = [
        ("scan", columns.scan),
        *(("label", name) for name in labels),
        *(("covariates", name) for name in columns.covariates),
    ]
    # 'case', 'patient' and 'split' may be absent, but not when the config names a column of its own for them.
    defaults = Columns()
    for key in ("case", "patient", "split"):
        named = getattr(columns, key)
        if named is not None and named != getattr(defaults, key):
            wanted.append((key, named))
    for key, name in wanted:
        if name not in table:
            missing = table.no_column(name, f"for data.columns.{key}")
            raise UnlabelledError.of(missing) if key == "label" else missing
    for used in (columns.case, columns.patient, columns.scan, columns.split, *labels):
        if used is not None and used in table:
            table.cells(used)  # refuses cells that hold several lines


def _check_unread(table: Table, columns: Columns, rows: list[dict[str, str]], split: SplitSettings) -> None:
    """Refuse a table whose patients or partitions stand under another name: medcls would part the patients without them."""
    used = {*_label_columns(columns), *columns.covariates, columns.case, columns.patient, columns.scan, columns.split}
    optional: tuple[tuple[Literal["patient", "split"], str | None, str, str], ...] = (
        ("patient", columns.patient, "every case would be its own patient", "where it names no patients"),
        ("split", columns.split, "medcls would part the patients anew", "to have medcls part the patients"),
    )
    for role, name, otherwise, null in optional:
        if name != role or role in table:
            continue
        found = unread_column(rows, role, used, split.values if role == "split" else ())
        if found is not None:
            raise table.wrong(
                table.header_line,
                f"there is no column '{role}', but '{found}' looks like it; unread, {otherwise}",
                f"Set data.columns.{role} to {found}, or to null {null}",
            )


def _label_columns(columns: Columns) -> list[str]:
    return columns.label if isinstance(columns.label, list) else [columns.label]


def _labels(
    table: Table, rows: list[dict[str, str]], settings: DataSettings
) -> tuple[tuple[str, ...], list[Marks | None], list[str]]:
    """The labels; what each row says of them, with ``data.label_values`` put into it; and what to warn of."""
    column, names = settings.columns.label, _label_columns(settings.columns)
    unused, present = set(settings.label_values), set[str]()
    for name in names:
        cells = table.cells(name)
        values, absent = named_values(cells, settings.label_values)
        unused &= set(absent)
        present |= set(cells)
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    keys = [key for key in settings.label_values if key in unused]
    warnings = [unused_values(keys, ", ".join(names), present)] if keys else []
    if isinstance(column, list):
        marks, more = read_label_columns(table, rows, column, settings)
        return tuple(column), [*marks], [*warnings, *more]
    labels = labels_of(table, column, [row[column] for row in rows], settings)
    return labels, [Marks((labels.index(row[column]),), ()) if row[column] else None for row in rows], warnings


def _case(
    table: Table,
    line: int,
    row: Mapping[str, str],
    columns: Columns,
    reference: Marks | None,
    root: Path,
    split: SplitSettings,
) -> Case | Exclusion:
    name, patient, scan = _named(line, row, columns, root)
    if scan is None:
        return Exclusion(name, patient, "no-scan", "the table names no scan", line)
    if reference is None:
        return Exclusion(name, patient, "no-label", "the table has no label", line, scan=scan)
    partition = _partition(table, line, row, columns, split)
    if isinstance(columns.label, list) and len(reference.unknown) == len(columns.label):
        return Exclusion(name, patient, "no-label", "none of the case's labels is known", line, scan=scan)
    covariates = {covariate: row[covariate] for covariate in columns.covariates if row[covariate]}
    return Case(name, patient, scan, reference.has, partition, None, covariates, line, unknown=reference.unknown)


def _named(line: int, row: Mapping[str, str], columns: Columns, root: Path) -> tuple[str, str, Path | None]:
    """What a row calls its case, its patient and its scan; words that name nobody are none."""
    name, patient = ((column and row.get(column)) or "" for column in (columns.case, columns.patient))
    scan = row[columns.scan]
    name = (name if not says_nothing(name) else "") or scan or f"line {line}"
    path = None if not scan or says_nothing(scan) else scan_path(root, scan)
    return name, "" if says_nothing(patient) else patient, path


def _partition(
    table: Table, line: int, row: Mapping[str, str], columns: Columns, split: SplitSettings
) -> Partition | None:
    value = row.get(columns.split, "") if columns.split else ""
    if not value:
        return None
    partition = named_partition(value, split)
    if partition is None:
        raise table.wrong(
            line,
            f"'{value}' in column '{columns.split}' names no partition",
            one_of(value, split.values, "Map it in split.values; known"),
        )
    return partition


def named_partition(value: str, split: SplitSettings) -> Partition | None:
    """The partition that a value of a split column, or the name of a folder, stands for."""
    known = {name.lower(): partition for name, partition in split.values.items()}
    return known.get(value.strip().lower())
