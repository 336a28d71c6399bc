"""What a command is asked about: a scan, a folder of any depth, or a CSV table of paths."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from medcls.cohort.sources.paths import check_paths, scan_path
from medcls.errors import NothingToDo, ScanRefused, UsageError
from medcls.nearest import beside
from medcls.progress import SILENT, Progress
from medcls.runs.folder import CLASSIFIER_FILE, is_run
from medcls.scans import Refusal, RefusalCode, ScanSource, find_one_or_why, find_scans
from medcls.scans.archive import archive_of
from medcls.scans.core.leniency import Leniency
from medcls.tables import Table, read_table
from medcls.tables.table import folded
from medcls.tables.words import says_nothing

if TYPE_CHECKING:
    from medcls.classifier.predictions import Row

_TABLES = frozenset({".csv", ".tsv", ".xlsx", ".xls", ".ods"})  # what is no CSV of them is said to be none


@dataclass(frozen=True)
class Targets:
    """The scans that an argument stands for.

    Attributes:
        items: Those that can be read and those that are refused: of a table in its order, else the readable ones first.
        columns: The table's further columns, as they are called in the predictions: a name that predictions have themselves, in
            whatever case, has ``table_`` before it; a column without a name that has cells is called by its place.
        cells: What the table says of each item, by those names; empty where there is no table.
        patients: The pseudonym of each item's patient, where it is not the header that says it.
    """

    items: tuple[ScanSource | Refusal, ...]
    columns: tuple[str, ...] = ()
    cells: tuple[Mapping[str, str], ...] = ()
    patients: tuple[str, ...] = ()

    def told(self, number: int, row: Row) -> Row:
        """The row of an item, with what is known of it beside its header."""
        row = replace(row, table=self.cells[number]) if self.cells else row
        return replace(row, patient=self.patients[number]) if self.patients else row


def find_targets(
    scans: str | os.PathLike[str],
    leniency: Leniency,
    taken: Collection[str] = (),
    progress: Progress = SILENT,
    *,
    told: bool = True,
) -> Targets:
    """Find the scans that an argument stands for.

    Args:
        scans: A file, a folder of any depth, or a CSV table with a column ``scan``: each row one scan, named by its text
            there; relative paths start from the table's folder.
        leniency: What to do with an irregular series.
        taken: The columns of the predictions.
        progress: Where to say how far it is.
        told: Say which of a table's columns will stand in the predictions.

    Raises:
        UsageError: There is nothing at the path.
        CohortError: The table has no such column, is no text, or has columns that cannot stand in the predictions.
        NothingToDo: There is no scan and no file to refuse.
    """
    path = Path(scans)
    check_targets(path)
    if path.suffix.lower() in _TABLES:
        targets = _find_listed(path, leniency, taken, progress, told=told)
    elif path.exists():
        found = find_scans(path, leniency=leniency, progress=progress)
        targets = Targets((*found.scans, *found.refused))
    else:
        targets = Targets((_find_named(path, leniency),))
    if not targets.items:
        raise NothingToDo("no scan was found", where=str(path), remedy="Give a scan, or a folder that holds some")
    return targets


def check_targets(scans: str | os.PathLike[str]) -> None:
    """Refuse what :func:`find_targets` would refuse without looking into scans.

    A run is refused too: the pictures in it would be predicted, or it stands in the classifier's place.

    Raises:
        UsageError: There is nothing at the path, or a run.
        CohortError: It is a table, and none of its paths leads anywhere, or no such table.
    """
    path = Path(scans)
    by_name = not path.exists() and path.suffix == "" and is_run(Path("runs") / path)
    if by_name or is_run(path) or (path / CLASSIFIER_FILE).is_file():
        raise UsageError(
            "this is a run or a classifier, not scans",
            where=str(path),
            remedy=f"Give scans, and name it with --model {path}; for a run's test cases: medcls explain --model {path}",
        )
    if not path.exists() and "#" not in path.name and archive_of(path) is None:
        raise UsageError("there is nothing at this path", where=str(path), remedy=beside(path))
    if path.suffix.lower() in _TABLES:
        check_paths([(place, line) for place, _, line in _places(_table_of_scans(path))], path.parent, key="")


def _find_named(path: Path, leniency: Leniency) -> ScanSource | Refusal:
    """The one scan that a name with ``#``, or a path into an archive, means."""
    one = find_one_or_why(path, path.name, leniency=leniency)
    if isinstance(one, Refusal) and one.code == RefusalCode.NO_SCAN:
        raise UsageError(one.reason, where=str(path), remedy=beside(path))
    return one


def _find_listed(path: Path, leniency: Leniency, taken: Collection[str], progress: Progress, *, told: bool) -> Targets:
    table = _table_of_scans(path)
    columns = _further_columns(table, taken)
    if columns and told:
        renamed = {name: table.header[place] for place, name in columns.items() if name != table.header[place]}
        said = (
            f"{renamed[name] or 'one without a name'} as {name}" if name in renamed else name
            for name in columns.values()
        )
        progress.note(f"The table's other columns stand in the predictions as they are, not hashed: {', '.join(said)}")
    items = [_listed(*one, leniency) for one in progress.track(_places(table), "Finding scans")]
    cells = tuple({name: row[place] for place, name in columns.items()} for row in table.rows)
    return Targets(tuple(items), tuple(columns.values()), cells)


def _table_of_scans(path: Path) -> Table:
    table = read_table(path, "the table of scans")
    if "scan" not in table:
        raise table.no_column("scan", "that names the scans")
    return table


def _places(table: Table) -> list[tuple[Path, str, int]]:
    """Where each scan of a table should be, its text there, and its line."""
    rows = zip(table.cells("scan"), table.lines, strict=True)
    return [(scan_path(table.path.parent, name), name, line) for name, line in rows]


def _listed(place: Path, name: str, line: int, leniency: Leniency) -> ScanSource | Refusal:
    """What a line of a table names."""
    if not name or says_nothing(name):
        error = ScanRefused(RefusalCode.NO_SCAN, "the table names no scan in this line")
        return Refusal.of(error, name or f"line {line}", (place,))
    return find_one_or_why(place, name, leniency=leniency)


def _further_columns(table: Table, taken: Collection[str]) -> dict[int, str]:
    """Where a table's columns other than ``scan`` stand, and what they are called in the predictions; see :class:`Targets`.

    Raises:
        CohortError: Two would be called the same.
    """
    known = {folded(name) for name in taken}
    columns: dict[int, str] = {}
    for place, name in enumerate(table.header):
        if name == "scan" or not (name or any(row[place] for row in table.rows)):
            continue
        called = name or f"column_{place + 1}"
        columns[place] = f"table_{called}" if folded(called) in known else called
    names = [folded(name) for name in columns.values()]
    twice = next((name for name in columns.values() if names.count(folded(name)) > 1 or folded(name) in known), None)
    if twice is not None:
        raise table.wrong(
            table.header_line, f"two columns would be called '{twice}' in the predictions", "Rename one of them"
        )
    return columns
