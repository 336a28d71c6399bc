"""Whether the paths of a table lead anywhere: most often all are wrong, for one reason, or a few are."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from medcls.cohort.case import Case
from medcls.errors import CohortError
from medcls.files import home_path
from medcls.scans.archive import archive_of

_OF_A_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def scan_path(root: Path, cell: str) -> Path:
    """The path that a table's cell means: from a folder on, absolute, or from ``~`` on."""
    return root / (home_path(cell) if cell.startswith("~") else cell)


def leads_somewhere(path: Path) -> bool:
    """Whether something is at a path: a file, a folder, a part of a folder by its ``#name``, or a place in an archive."""
    whole = path.with_name(path.name.partition("#")[0]) if path.name.partition("#")[0] else path
    return os.path.lexists(path) or os.path.lexists(whole) or archive_of(path) is not None


def check_paths(cases: Sequence[Case], root: Path) -> None:
    """Refuse a cohort none of whose scans is there.

    Args:
        cases: The cases of a table.
        root: The folder that their paths start from.

    Raises:
        CohortError: So it is; with the first path that was looked for, and what is there of it.
    """
    if not cases or any(leads_somewhere(case.scan) for case in cases):
        return
    first = cases[0]
    count = "the scan is" if len(cases) == 1 else f"none of the {len(cases)} scans is"
    line = f" (line {first.line})" if first.line is not None else ""
    raise CohortError(
        f"{count} where the table says; looked first for {first.scan}{line}", remedy=_remedy(first.scan, root)
    )


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


def _remedy(path: Path, root: Path) -> str:
    """The likeliest reason, tried out."""
    cell = os.path.relpath(path, root) if path.is_relative_to(root) else str(path)
    if _OF_A_DRIVE.match(cell) and os.sep == "/":
        return "It is the path of a drive on Windows: write paths from a folder on, and set data.root to that folder"
    slashed = cell.replace("\\", "/")
    if "\\" in cell and os.sep == "/":
        return f"Write / in place of Windows' backslashes: {slashed}" + _from_elsewhere(slashed, root)
    return (_from_elsewhere(cell, root) or _what_is_there(path)).strip()


def _from_elsewhere(cell: str, root: Path) -> str:
    """Where a relative path would be right."""
    if leads_somewhere(root / cell):
        return ""
    shorter = Path(*Path(cell).parts[1:]) if len(Path(cell).parts) > 1 else None
    inner = sorted(one for one in root.iterdir() if one.is_dir()) if os.access(root, os.R_OK | os.X_OK) else []
    for folder in (Path.cwd(), root.parent, *inner):
        if leads_somewhere(folder / cell):
            return f" It is there from {folder} on: set data.root to that folder"
    if shorter is not None and leads_somewhere(root / shorter):
        return f" It is there without its first folder: set data.root to a folder that holds '{Path(cell).parts[0]}'"
    return ""


def _what_is_there(path: Path) -> str:
    there = next((parent for parent in path.parents if parent.is_dir()), Path(path.anchor))
    named = path.relative_to(there).parts[0]
    return f"There is a folder {there}, and no '{named}' in it; paths start from the table's folder, or from data.root"
