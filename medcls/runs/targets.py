"""What a command is asked about: a scan, a folder of any depth, or a CSV table of paths."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from medcls.cohort.paths import check_paths, scan_path
from medcls.errors import NothingToDo, ScanRefused, UsageError
from medcls.nearest import beside
from medcls.progress import SILENT, Progress
from medcls.runs.folder import CLASSIFIER_FILE, is_run
from medcls.scans import Found, Refusal, RefusalCode, ScanSource, find_one, find_scans
from medcls.scans.archive import archive_of
from medcls.scans.leniency import Leniency
from medcls.tables import read_table
from medcls.tables.words import says_nothing

_TABLES = frozenset({".csv", ".tsv", ".xlsx", ".xls", ".ods"})  # what is no CSV of them is said to be none


def find_targets(scans: str | os.PathLike[str], leniency: Leniency, progress: Progress = SILENT) -> Found:
    """Find the scans that an argument stands for.

    Args:
        scans: A file, a folder of any depth, or a CSV table with a column ``scan``: each row one scan, named by its text
            there; relative paths start from the table's folder.
        leniency: What to do with an irregular series.
        progress: Where to say how far it is.

    Raises:
        UsageError: There is nothing at the path.
        CohortError: The table has no such column, or is no text.
        NothingToDo: There is no scan and no file to refuse.
    """
    path = Path(scans)
    check_targets(path)
    if path.suffix.lower() in _TABLES:
        found = _find_listed(path, leniency, progress)
    elif path.exists():
        found = find_scans(path, leniency=leniency, progress=progress)
    else:
        found = _find_named(path, leniency)
    if not found.scans and not found.refused:
        raise NothingToDo("no scan was found", where=str(path), remedy="Give a scan, or a folder that holds some")
    return found


def check_targets(scans: str | os.PathLike[str]) -> None:
    """Refuse what :func:`find_targets` would refuse without looking into scans.

    A run is refused too: the pictures in it would be answered, or it stands in the classifier's place.

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
        check_paths([(place, line) for place, _, line in _listed(path)], path.parent, key="")


def _find_named(path: Path, leniency: Leniency) -> Found:
    """The one scan that a name with ``#``, or a path into an archive, means."""
    try:
        return Found(scans=(find_one(path, leniency=leniency),))
    except ScanRefused as refused:
        if refused.code == RefusalCode.NO_SCAN:
            raise UsageError(refused.what, where=str(path), remedy=beside(path)) from refused
        return Found(refused=(Refusal.of(refused, path.name, (path,)),))


def _find_listed(path: Path, leniency: Leniency, progress: Progress) -> Found:
    sources: list[ScanSource] = []
    refused: list[Refusal] = []
    for place, name, line in progress.track(_listed(path), "Finding scans"):
        try:
            if not name or says_nothing(name):
                raise ScanRefused(RefusalCode.NO_SCAN, "the table names no scan in this line")
            sources.append(replace(find_one(place, leniency=leniency), name=name))
        except ScanRefused as refusal:
            refused.append(Refusal.of(refusal, name or f"line {line}", (place,)))
    return Found(scans=tuple(sources), refused=tuple(refused))


def _listed(path: Path) -> list[tuple[Path, str, int]]:
    """Where each scan of a table should be, its text there, and its line."""
    table = read_table(path, "the table of scans")
    if "scan" not in table:
        raise table.no_column("scan", "that names the scans")
    rows = zip(table.cells("scan"), table.lines, strict=True)
    return [(scan_path(path.parent, name), name, line) for name, line in rows]
