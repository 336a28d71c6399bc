"""Files that appear whole or not at all: write beside, flush to disk, rename. And where files that may be lost are kept.

A reader, or a crash at any moment, sees either the old file or the new one.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from medcls.bounded import read_bounded, why_unreadable
from medcls.display import escaped
from medcls.errors import MedclsError, RunError, StorageError, UsageError
from medcls.leftovers import new_part

CACHE_VARIABLE = "MEDCLS_CACHE"
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"-\d+(?:[.,]\d+)?", re.ASCII)  # is no formula, and is to be found again as it was given
_CSV_BYTES = 1 << 30
_IN_CELLS = "\n\u00a0\u202f"  # not printable to Python, and no harm
_STORAGE_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EPERM}
_NO_SPACE = "Free some space or choose another folder"
_NO_PERMISSION = "Choose a folder that you may write to, or mend the permissions of this one"
_REMEDIES = {
    errno.EACCES: _NO_PERMISSION,
    errno.EPERM: _NO_PERMISSION,
    errno.EROFS: "Choose a folder that can be written to",
}


def cache_folder(name: str) -> Path:
    """``$MEDCLS_CACHE/<name>``, else ``medcls/<name>`` in the user's cache folder; it is not made.

    Raises:
        StorageError: ``MEDCLS_CACHE`` names a file, or a place below one; or there is no home folder.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        there = next(place for place in (Path(named), *Path(named).absolute().parents) if place.exists())
        if not there.is_dir():
            raise StorageError(
                f"{CACHE_VARIABLE} names a folder, and {there} is a file",
                where=named,
                remedy="Name another, or unset it",
            )
        return Path(named) / name
    base = os.environ.get("LOCALAPPDATA") or os.environ.get("XDG_CACHE_HOME") or home_folder(CACHE_VARIABLE) / ".cache"
    return Path(base) / "medcls" / name


def home_folder(instead: str) -> Path:
    """The user's home folder.

    Args:
        instead: The environment variable that names what would be in it.

    Raises:
        StorageError: It is not known, as for a user of a container who is in no list of users.
    """
    try:
        return Path.home()
    except RuntimeError:
        remedy = f"Set the environment variable HOME, or {instead}"
        raise StorageError("the home folder of this user is not known", remedy=remedy) from None


def home_path(path: str | os.PathLike[str]) -> Path:
    """A path with ``~`` read as shells read it; they leave it as it is within words such as ``--out=~/answers``.

    Raises:
        StorageError: The home folder that it means is not known.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise StorageError(f"no home folder is known for '{path}'", remedy="Write the path without ~") from None


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str], *, private: bool = False) -> Iterator[IO[bytes]]:
    """Open a binary file for writing that replaces ``path`` only when the block ends well.

    Args:
        path: The file to write; its folder is made when missing.
        private: Readable by the owner alone (0600), for files that hold patient data.

    Raises:
        StorageError: The disk is full, read-only, or the folder may not be written to. Nothing is left behind.
    """
    target = Path(path)
    beside: str | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, beside = new_part(target)
        with os.fdopen(descriptor, "wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
            if sys.platform == "win32":  # which renames no open file; elsewhere it is claimed as long as it is open
                handle.close()
            os.chmod(beside, 0o600 if private else 0o666 & ~_umask())
            os.replace(beside, target)
            beside = None
    except OSError as error:
        raise storage_error(error, target) from error
    finally:
        if beside is not None:
            with contextlib.suppress(OSError):
                os.unlink(beside)


def storage_error(error: OSError, path: Path) -> Exception:
    """Turn an operating system's refusal to write into one line; any other error is returned as it is."""
    if error.errno in _STORAGE_ERRNOS:
        reason = os.strerror(error.errno or 0).lower()
        return StorageError(
            f"cannot write {path.name}: {reason}",
            where=str(path.parent),
            remedy=f"{_REMEDIES.get(error.errno or 0, _NO_SPACE)}; what was finished before is intact",
        )
    return error


def as_path(value: object, what: str) -> Path:
    """What a caller of Python gave as a path.

    Raises:
        UsageError: It is none, but a number, a table or the like; or empty, which would be the working folder.
    """
    if isinstance(value, str) and not value:  # an array is not compared with a text
        raise UsageError(f"{what} is an empty path", remedy="Name a file or a folder")
    if isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str):
        return Path(value)
    raise UsageError(f"{what} must be a path, and is none", remedy="Give one path, as text")


def as_path_or_none(value: object, what: str) -> Path | None:
    """The same of a path that may be left out."""
    return None if value is None else as_path(value, what)


def check_writable(folder: Path) -> None:
    """Refuse a folder in which nothing can be written, before hours are spent on what shall be there; it is not made.

    Raises:
        UsageError: It is a file, or would be below one.
        StorageError: The folder, or the nearest one above it that is there, takes no files.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    try:
        with tempfile.TemporaryFile(dir=there):
            return
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
    if not there.is_dir():
        what = "this is a file, not a folder" if there == folder else f"{there} is a file, not a folder"
        raise UsageError(what, where=str(folder), remedy="Choose another folder")
    what = (
        f"nothing can be written here: {reason}" if there == folder else f"nothing can be written in {there}: {reason}"
    )
    raise StorageError(what, where=str(folder), remedy="Choose a folder that you may write to")


def write_bytes(path: str | os.PathLike[str], data: bytes, *, private: bool = False) -> None:
    """Write ``data`` as a whole file."""
    with whole_file(path, private=private) as handle:
        handle.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` as a whole UTF-8 file; half a surrogate pair, as in names that are no UTF-8, becomes an escape."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write ``value`` as a whole JSON file; NaN and infinity are errors, not silent non-JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as a whole CSV file; ``None`` becomes an empty cell, and no cell can start a formula (CWE-1236).

    Signs that steer a terminal, or cannot be written as UTF-8, are written as escapes: ``\\x1b``.
    """
    with whole_file(path) as raw:
        text = _LinesOver(raw)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([_cell(name) for name in columns])
        for row in rows:
            writer.writerow([_cell(row.get(name)) for name in columns])


def read_csv(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """Read the rows that :func:`write_csv` wrote, cells as they were given to it (numbers as text; escapes stay)."""
    text = io.StringIO(read_bounded(path, _CSV_BYTES).decode("utf-8"), newline="")
    return [{_uncell(name): _uncell(value) for name, value in row.items()} for row in csv.DictReader(text)]


@contextlib.contextmanager
def reading_kept(
    path: str | os.PathLike[str], remedy: str = "Restore the file from a copy of the run"
) -> Iterator[None]:
    """Read, and make values of, a file that an earlier run wrote: whatever it lacks or garbles is one error that names it.

    Args:
        path: The file; the block reads it, and does nothing that can fail for another reason.
        remedy: What the user can do about it.

    Raises:
        RunError: The file is damaged, missing, or cannot be read.
    """
    file = Path(path)
    try:
        yield
    except OSError as error:
        what = f"{file.name} is missing or cannot be read: {why_unreadable(error)}"
        raise RunError(what, where=str(file), remedy=remedy) from error
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError, csv.Error, MedclsError) as error:
        raise RunError(f"{file.name} is damaged", where=str(file), remedy=remedy) from error


def write_with(path: str | os.PathLike[str], save: Callable[[IO[bytes]], object], *, private: bool = False) -> None:
    """Let ``save`` write into an open binary file, and put the file in place when it returns."""
    with whole_file(path, private=private) as handle:
        save(handle)


class _LinesOver:
    """The little of a text file that ``csv`` needs, over a binary one."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw

    def write(self, text: str) -> int:
        return self._raw.write(text.encode("utf-8"))


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return "" if value is None else value
    text = str(value)
    marked = f"'{text}" if text.lstrip("'").startswith(_FORMULA_SIGNS) and not _NUMBER.fullmatch(text) else text
    return escaped(marked, keep=_IN_CELLS)


def _uncell(value: str) -> str:
    return value[1:] if value[:1] == "'" and value.lstrip("'").startswith(_FORMULA_SIGNS) else value


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
