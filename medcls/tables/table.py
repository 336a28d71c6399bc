"""A CSV table that a user gives, read strictly: what could be misread is refused, with the line that it stands in.

The format is RFC 4180's, and what spreadsheets make of it: commas, semicolons or tabs; a first line ``sep=;``; a byte
order mark. A column given twice, a row with other cells than the header, and a quote that is not closed are errors, for
each of them moves values into columns that they do not belong to.
"""

from __future__ import annotations

import csv
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medcls.errors import CohortError
from medcls.nearest import one_of
from medcls.tables.text import read_text

MOST_COLUMNS = 16_384
"""As many as a spreadsheet has."""
MOST_CELLS = 20_000_000
_MOST_IN_LINE = 4 * 1024**2
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_ABOVE = "Remove what stands above the names of the columns"
_SEPARATOR = re.compile(r'"?sep=([^"])"?', re.IGNORECASE)
_UNSEEN = "\ufeff\u200b\u200c\u200d\u2060"  # a byte order mark in the middle, and signs without width
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FORMULA = re.compile(r"=[-+(\s]*(?:[^\W\d][\w.]*\(|(?:(?:[\w.]+|'[^']+')!)?\$?[A-Z]{1,3}\$?\d+\b)", re.IGNORECASE)
_QUOTES = "Close the quote, and write a quote inside quotes twice"


@dataclass(frozen=True)
class Table:
    """Rows of text, each with the header's cells, without the blanks around them.

    Attributes:
        path: The file.
        what: What it is, for errors: ``the table of cases``.
        header: The names of the columns; empty where a column has none.
        header_line: The line of the header: 1, or below ``sep=;`` and empty lines.
        lines: The line that each row starts in.
        rows: The cells of each row.
    """

    path: Path
    what: str
    header: tuple[str, ...]
    header_line: int
    lines: tuple[int, ...]
    rows: tuple[tuple[str, ...], ...]

    def __contains__(self, name: object) -> bool:
        return bool(name) and name in self.header

    @property
    def named(self) -> tuple[str, ...]:
        """The columns that have a name."""
        return tuple(filter(None, self.header))

    def cells(self, name: str) -> tuple[str, ...]:
        """The cells of a column.

        Raises:
            CohortError: One has a line break, so that it is no value but lines that a quote holds together; or is a formula.
        """
        place = self.header.index(name)
        for line, row in zip(self.lines, self.rows, strict=True):
            if "\n" in row[place] or "\r" in row[place]:
                raise self.wrong(line, f"a line break in column '{name}'", _QUOTES)
            refuse_formula(f"{self.path}:{line}", name, row[place])
        return tuple(row[place] for row in self.rows)

    def mappings(self) -> Iterator[tuple[int, Mapping[str, str]]]:
        """The line of each row, and its cells by column."""
        for line, row in zip(self.lines, self.rows, strict=True):
            yield line, {name: cell for name, cell in zip(self.header, row, strict=True) if name}

    def wrong(self, line: int | None, what: str, remedy: str = "") -> CohortError:
        """An error about one line, or about the whole table."""
        return CohortError(what, where=str(self.path) if line is None else f"{self.path}:{line}", remedy=remedy)

    def no_column(self, name: str, purpose: str, remedy: str = "") -> CohortError:
        """The error that a column is missing, with the nearest name that is there.

        Args:
            name: The column.
            purpose: What it is wanted for: ``for data.columns.scan``.
            remedy: How to name another.
        """
        below = next((line for line, row in zip(self.lines[:3], self.rows[:3], strict=True) if name in row), None)
        if below is not None:
            return self.wrong(
                self.header_line, f"there is no column '{name}' {purpose}, but line {below} has it", _ABOVE
            )
        there = one_of(name, self.named, "Columns")
        return self.wrong(self.header_line, f"there is no column '{name}' {purpose}", f"{there}{remedy}")


def refuse_formula(where: str, column: str, cell: str) -> None:
    """Refuse the formula of a spreadsheet that stands where its result should: ``=IF(A1;1;0)``, ``=B2``.

    Raises:
        CohortError: The cell is one.
    """
    if _FORMULA.match(cell):
        raise CohortError(
            f"'{cell}' in column '{column}' is a formula of a spreadsheet, not its result",
            where=where,
            remedy="Export the table with values in place of formulas",
        )


def read_table(path: Path, what: str = "the table") -> Table:
    """Read a table that a user gives.

    Args:
        path: A CSV file, UTF-8 or UTF-16, separated by commas, semicolons or tabs.
        what: What it is, for errors.

    Raises:
        CohortError: The file is missing or no such table: its text, its size, a column given twice, a row with more or
            fewer cells than the header, a quote that is not closed, or no rows.
    """
    text = read_text(path, what)
    if not text.strip():
        raise CohortError(f"{what} is empty", where=str(path))
    lines = _numbered(text, path)
    first, head = next((number, line) for number, line in lines if line.strip())
    stated = _SEPARATOR.fullmatch(head.strip("\r\n ").lstrip(_UNSEEN))
    if stated:
        first, head = next(((number, line) for number, line in lines if line.strip()), (first, ""))
    if not head:
        raise CohortError(f"{what} has no header", where=f"{path}:{first}")
    following = next(((number, line) for number, line in lines if line.strip()), (first, ""))
    delimiter = stated.group(1) if stated else _delimiter(head, following[1], f"{path}:{first}")
    records = _records(itertools.chain([(first, head), following], lines), delimiter, path)
    header_line, cells = next(records)
    header = tuple(cells)
    _check_header(header, path, header_line)
    kept = [(line, tuple(row)) for line, row in _checked(records, header, delimiter, path)]
    if not kept:
        raise CohortError(f"{what} has a header and no rows", where=str(path))
    _check_title(header, kept[0][1], f"{path}:{header_line}")
    numbers, rows = zip(*kept, strict=True)
    return Table(path, what, header, header_line, numbers, rows)


def _numbered(text: str, path: Path) -> Iterator[tuple[int, str]]:
    """The lines with their ends and numbers; one that no table has is refused before it is taken apart."""
    for number, found in enumerate(_LINE.finditer(text), 1):
        line = found.group()
        columns = max(line.count(delimiter) for delimiter in _DELIMITERS) + 1
        if columns > MOST_COLUMNS and '"' not in line:
            raise CohortError(f"{columns} columns; a table has {MOST_COLUMNS} at most", where=f"{path}:{number}")
        if len(line) > _MOST_IN_LINE:
            raise CohortError(f"a line of {len(line)} characters is no row of a table", where=f"{path}:{number}")
        yield number, line


def _check_title(header: Sequence[str], first: Sequence[str], where: str) -> None:
    """Refuse a title that a spreadsheet wrote above the header: it fills one cell, and the true header below many."""
    if header[0] and not any(header[1:]) and len(list(filter(None, first))) > 1 and " " in header[0]:
        raise _title(where)


def _title(where: str) -> CohortError:
    return CohortError(
        "this line has one cell and the next several: it looks like a title, not like the header",
        where=where,
        remedy=_ABOVE,
    )


def _delimiter(head: str, following: str, where: str) -> str:
    """The sign that parts the header: spreadsheets write ';' or tabs where the comma is the decimal sign."""
    counts = {sign: _cells_in(head, sign) for sign in _DELIMITERS}
    most = max(counts.values())
    best = [sign for sign, count in counts.items() if count == most]
    if most == 1:
        if "|" in head:
            raise CohortError("the columns are separated by '|'", where=where, remedy="Separate them by commas")
        unparted = not any(sign in head for sign in _DELIMITERS)
        words, below = len(head.split()) if unparted else 1, max(_cells_in(following, sign) for sign in _DELIMITERS)
        if words > 1 and '"' not in head and words in (below, len(following.split())):
            raise CohortError("the header is separated by blanks", where=where, remedy="Separate the columns by commas")
        if words > 1 and below > 1:
            raise _title(where)
        return ","
    if len(best) > 1:
        names = " or ".join(_DELIMITERS[sign] for sign in best)
        raise CohortError(
            f"it cannot be told whether a {names} parts the columns",
            where=where,
            remedy="Put a line 'sep=,' before the header",
        )
    return best[0]


def _cells_in(line: str, delimiter: str) -> int:
    """How many cells the beginning of a line has; a quote that is not closed holds the rest of it."""
    return len(next(csv.reader([line[: csv.field_size_limit()]], delimiter=delimiter, skipinitialspace=True), [""]))


def _records(lines: Iterable[tuple[int, str]], delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, and the line that each starts in; the first is the header."""
    read: list[tuple[int, str]] = []  # the lines of the row that is being read

    def watched() -> Iterator[str]:
        for one in lines:
            read.append(one)
            yield one[1]

    reader = csv.reader(watched(), delimiter=delimiter, strict=True, skipinitialspace=True)
    width = None
    while True:
        read.clear()
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise _malformed(str(error), read, delimiter, path) from None
        if row is None:
            return
        _check_one_row(row, width, read, delimiter, path)
        cells = [cell.strip().strip(_UNSEEN).strip() for cell in row]
        if any(cells):
            width = width or len(cells)
            yield read[0][0], cells


def _malformed(error: str, read: Sequence[tuple[int, str]], delimiter: str, path: Path) -> CohortError:
    line, text = read[0]
    if "field larger" in error:
        what = f"a cell has more than {csv.field_size_limit():,} characters: is a quote not closed?"
        return CohortError(what, where=f"{path}:{line}", remedy=_QUOTES)
    place = _cells_in(text, delimiter)
    what = "text stands after a closing quote" if "expected after" in error else "a quote is opened and not closed"
    return CohortError(f"{what} (column {place})", where=f"{path}:{line}", remedy=_QUOTES)


def _check_one_row(
    row: Sequence[str], width: int | None, read: Sequence[tuple[int, str]], delimiter: str, path: Path
) -> None:
    """Refuse lines that two stray quotes join into one row: they then hold just the cells that the lines have too many."""
    breaks = len(read) - 1
    inside = sum(cell.count(delimiter) for cell in row if "\n" in cell or "\r" in cell)
    if width is not None and breaks and inside == breaks * (width - 1):
        raise CohortError(
            f"a quote joins the lines {read[0][0]} to {read[-1][0]} into one row",
            where=f"{path}:{read[0][0]}",
            remedy=f"{_QUOTES}; write remarks in one line",
        )


def _check_header(header: Sequence[str], path: Path, line: int) -> None:
    if len(header) > MOST_COLUMNS:
        raise CohortError(f"{len(header)} columns; a table has {MOST_COLUMNS} at most", where=f"{path}:{line}")
    known: dict[str, tuple[int, str]] = {}
    for place, name in enumerate(header, 1):
        first, other = known.setdefault(folded(name), (place, name))
        if name and first != place:
            same = f"the column '{name}'" if other == name else f"the column '{other}', also as '{name}',"
            raise CohortError(
                f"{same} is there twice (columns {first} and {place})",
                where=f"{path}:{line}",
                remedy="Rename or remove one of them",
            )


def folded(name: str) -> str:
    """A name without what the eye does not tell apart: case, width, blanks and signs without width."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKC", name) if unicodedata.category(sign) != "Cf")
    return " ".join(plain.casefold().split())


def _checked(
    records: Iterable[tuple[int, list[str]]], header: Sequence[str], delimiter: str, path: Path
) -> Iterator[tuple[int, list[str]]]:
    cells = 0
    for line, row in records:
        if len(row) != len(header):
            what, remedy = _other_cells(row, header, delimiter)
            if not cells and len(row) > len(header):
                remedy += f"; where the first line is a title, {_ABOVE[0].lower()}{_ABOVE[1:]}"
            raise CohortError(what, where=f"{path}:{line}", remedy=remedy)
        unseen = next((name for name, cell in zip(header, row, strict=True) if _CONTROL.search(cell)), None)
        if unseen is not None:
            raise CohortError(
                f"a control character in column '{unseen}'", where=f"{path}:{line}", remedy="Remove it from the cell"
            )
        cells += len(row)
        if cells > MOST_CELLS:
            raise CohortError(
                f"a table of more than {MOST_CELLS:,} cells", where=f"{path}:{line}", remedy="Leave out columns"
            )
        yield line, row


def _other_cells(row: Sequence[str], header: Sequence[str], delimiter: str) -> tuple[str, str]:
    """Why a row has more or fewer cells than the header, and how to mend it."""
    sign, text = _DELIMITERS.get(delimiter, f"'{delimiter}'"), delimiter.join(row)
    others = (name for one, name in _DELIMITERS.items() if one != delimiter and _cells_in(text, one) == len(header) > 1)
    other = next(others, None)
    if other is not None:
        return f"this line is separated by {other}s, and the header by {sign}s", "Separate all lines by one sign"
    count = "1 cell" if len(row) == 1 else f"{len(row)} cells"
    remedy = f"Put quotes around a cell that holds a {sign}" if len(row) > len(header) else "Write every cell"
    return f"{count}, but the header has {len(header)}", remedy
