"""Whether the paths of a table lead anywhere: most often all are wrong, for one reason, or a few are."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from medcls.cohort.case import Case
from medcls.errors import CohortError
from medcls.files import home_path
from medcls.nearest import beside, no_url
from medcls.scans.archive import archive_of

_OF_A_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def scan_path(root: Path, cell: str) -> Path:
    """The path that a table's cell means: from a folder on, absolute, or from ``~`` on."""
    return root / (home_path(cell) if cell.startswith("~") else cell)


def path_from(start: Path, path: Path) -> str:
    """A path as it is shown to somebody who knows the folder that it starts from: with forward slashes, absolute elsewhere."""
    return path.relative_to(start).as_posix() if path.is_relative_to(start) else str(path)


def leads_somewhere(path: Path) -> bool:
    """Whether something is at a path: a file, a folder, a part of a folder by its ``#name``, or a place in an archive."""
    whole = path.with_name(path.name.partition("#")[0]) if path.name.partition("#")[0] else path
    return os.path.lexists(path) or os.path.lexists(whole) or archive_of(path) is not None


def check_paths(scans: Sequence[tuple[Path, int | None]], root: Path, *, key: str = "data.root") -> None:
    """Refuse a table none of whose scans is there.

    Args:
        scans: The path of each scan, and the line that it stands in.
        root: The folder that the paths start from.
        key: What can name another such folder; empty: nothing.

    Raises:
        CohortError: So it is; with the first path that was looked for, and what is there of it.
    """
    if not scans or any(leads_somewhere(scan) for scan, _ in scans):
        return
    first, number = scans[0]
    count = "the one scan is not" if len(scans) == 1 else f"none of the {len(scans)} scans is"
    line = f" (line {number})" if number is not None else ""
    what = f"{count} where the table says; looked first for {first}{line}"
    raise CohortError(what, remedy=_remedy(first, root, key))


def missing_in_words(cases: Sequence[Case], of: int) -> str:
    """What to say of the scans that are not there while others are.

    Args:
        cases: Those whose paths lead nowhere, at least one.
        of: How many cases there are.
    """
    first = cases[0]
    line = f", line {first.line}" if first.line is not None else ""
    lead = "leads" if len(cases) == 1 else "lead"
    example = f"{first.scan}{line}" if len(cases) == 1 else f"{first.scan}{line}, for one"
    return f"{len(cases)} of {of} scan paths {lead} nowhere: {example}"


def _remedy(path: Path, root: Path, key: str) -> str:
    """The likeliest reason, tried out."""
    if remedy := no_url(path):
        return remedy
    cell = os.path.relpath(path, root) if path.is_relative_to(root) else str(path)
    if _OF_A_DRIVE.match(cell) and os.sep == "/":
        start = f", and set {key} to that folder" if key else ": the table's"
        return f"It is the path of a drive on Windows: write paths from a folder on{start}"
    slashed = cell.replace("\\", "/")
    if "\\" in cell and os.sep == "/":
        elsewhere = _from_elsewhere(slashed, root, key)
        return f"Write / in place of Windows' backslashes: {slashed}" + (f". {elsewhere}" if elsewhere else "")
    start = "; paths start from the table's folder" + (f", or from {key}" if key else "")
    return _from_elsewhere(cell, root, key) or f"{beside(path)}{start}"


def _from_elsewhere(cell: str, root: Path, key: str) -> str:
    """Where a relative path would be right."""
    if leads_somewhere(root / cell):
        return ""
    head, *rest = Path(cell).parts
    inner = sorted(one for one in root.iterdir() if one.is_dir()) if os.access(root, os.R_OK | os.X_OK) else []
    for folder in (Path.cwd(), root.parent, *inner):
        if leads_somewhere(folder / cell):
            return f"It is there from {folder} on: " + (f"set {key} to that folder" if key else "put the table there")
    if rest and leads_somewhere(root.joinpath(*rest)):
        mend = f"set {key} to a folder that holds '{head}'" if key else f"leave out '{head}'"
        return f"It is there without its first folder: {mend}"
    return ""
