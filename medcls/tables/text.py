"""The text of a file that a user gives: a regular file of bounded size, in an encoding that is known and not guessed."""

from __future__ import annotations

import codecs
from pathlib import Path

from medcls.bounded import read_bounded, why_unreadable
from medcls.errors import CohortError
from medcls.nearest import beside

MOST_BYTES = 256 * 1024**2
"""As much as three million rows of a table of cases."""
_WORKBOOKS = {b"PK\x03\x04": "an Excel or OpenDocument workbook", b"\xd0\xcf\x11\xe0": "an old Excel workbook"}
_AS_CSV = "In a spreadsheet, save it as 'CSV UTF-8'"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


def read_text(path: Path, what: str) -> str:
    """The text of a file, without its byte order mark: UTF-8, or UTF-16 with the mark that says so.

    Args:
        path: The file.
        what: What it should be, for errors: ``the table of cases``.

    Raises:
        CohortError: It is missing, no regular file, too large, may not be read, or is no such text.
    """
    data = _read_bytes(path, what)
    workbook = next((name for magic, name in _WORKBOOKS.items() if data.startswith(magic)), None)
    if workbook is not None:
        raise CohortError(
            f"{what} is {workbook}, not a CSV table", where=str(path), remedy=f"{_AS_CSV}, one sheet a file"
        )
    wide = data.startswith(_UTF16) and not data.startswith(_UTF32)
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        encoding = "UTF-16" if wide else "UTF-8"
        raise CohortError(f"{what} is not {encoding} text", where=f"{path}:{line}", remedy=_AS_CSV) from None
    zero = text.find("\0")
    if zero >= 0:
        line = text.count("\n", 0, zero) + 1
        raise CohortError(f"{what} is no text: it has zero bytes", where=f"{path}:{line}", remedy=_AS_CSV)
    return text


def _read_bytes(path: Path, what: str) -> bytes:
    try:
        return read_bounded(path, MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise CohortError(f"{what} is not there", where=_shown(path), remedy=beside(path)) from None
    except IsADirectoryError:
        raise _folder(path, what) from None
    except PermissionError:
        if path.is_dir():  # Windows says so of a folder
            raise _folder(path, what) from None
        raise CohortError(f"{what} may not be read", where=str(path), remedy="Mend its permissions") from None
    except OSError as error:
        raise CohortError(f"{what} cannot be read: {why_unreadable(error)}", where=str(path)) from None


def _folder(path: Path, what: str) -> CohortError:
    return CohortError(
        f"{what} is a folder, not a file", where=str(path), remedy="Give the CSV table itself, for example one in it"
    )


def _shown(path: Path) -> str:
    return str(path).replace("\0", "\\0")
