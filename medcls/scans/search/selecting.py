"""What of a search a person asked for: all of it, or the one scan that a name with ``#`` means."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from medcls.scans.core.guard import refusing
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.source import Found, ScanSource
from medcls.scans.search.find import by_name


def searched(path: Path) -> Path:
    """The file or folder to search: without the ``#`` and what follows, where they name one of several scans."""
    return path.with_name(path.name.rpartition("#")[0]) if _is_name(path) else path


def chosen(found: Found, path: Path) -> Found:
    """What a path means of what was found at :func:`searched`: the one scan or refusal of that name, or everything.

    Raises:
        ScanRefused: ``no-scan`` when nothing has that name.
    """
    if not _is_name(path):
        return found
    item = by_name(found).get(path.name)
    if item is None:
        suffix = path.name.rpartition("#")[2]
        raise refusal(RefusalCode.NO_SCAN, f"no scan of this folder is called '#{suffix}'", where=path)
    return Found(scans=(item,)) if isinstance(item, ScanSource) else Found(refused=(item,))


def without(found: Found, files: Collection[Path]) -> Found:
    """What was found, less what consists of nothing but these files."""
    left_out = {file.name: file.resolve() for file in files}

    def stays(paths: Iterable[Path]) -> bool:
        return not all(path.name in left_out and path.resolve() == left_out[path.name] for path in paths)

    scans = tuple(scan for scan in found.scans if stays(scan.paths))
    return Found(scans, tuple(item for item in found.refused if stays(item.paths)), found.ignored)


def _is_name(path: Path) -> bool:
    """Whether the last part names one of several scans; a file or folder may itself have ``#`` in its name."""
    with refusing(path):
        return path.name.rpartition("#")[0] != "" and not path.exists()
