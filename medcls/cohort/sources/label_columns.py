"""Columns of 0 and 1, one for each label: what each row says, and what the config says of cells that say neither.

CheXpert's labeller writes 1, 0, -1 for an uncertain mention, and nothing where a finding is not mentioned. Its U-Ones, U-Zeroes
and U-Ignore (Irvin et al., AAAI 2019) are ``data.uncertain``: ``positive``, ``negative`` and ``unknown``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from medcls.config.settings import DataSettings
from medcls.tables import Table
from medcls.tables.table import folded
from medcls.tables.words import NO, UNCERTAIN, YES, says_nothing

_Kind = Literal["uncertain", "blank"]
_CHOICES: Mapping[_Kind, str] = {"blank": "unknown or negative", "uncertain": "unknown, negative or positive"}


@dataclass(frozen=True)
class Marks:
    """What a row says, as places of labels.

    Attributes:
        has: Those that it has.
        unknown: Those of which it is not known.
    """

    has: tuple[int, ...]
    unknown: tuple[int, ...]


@dataclass(frozen=True)
class _Cell:
    """A cell that says neither yes nor no."""

    kind: _Kind
    line: int
    column: str
    text: str


def read_label_columns(
    table: Table, rows: Sequence[Mapping[str, str]], names: Sequence[str], settings: DataSettings
) -> tuple[list[Marks], list[str]]:
    """What each row says of each label, and what to warn of.

    Args:
        table: For the lines of errors.
        rows: Its rows, with ``data.label_values`` put into them.
        names: The columns of the labels.
        settings: What cells mean that say neither yes nor no.

    Raises:
        CohortError: A cell is none that such a column has, or says neither, and the settings do not say what that means.
    """
    meaning: Mapping[_Kind, str] = {"blank": settings.blank, "uncertain": settings.uncertain}
    marks: list[Marks] = []
    neither: list[_Cell] = []
    for line, row in zip(table.lines, rows, strict=True):
        said = {place: _said(table, line, name, row[name]) for place, name in enumerate(names)}
        open_ = {place: cell for place, cell in said.items() if isinstance(cell, _Cell)}
        neither += open_.values()
        taken = {place: meaning[cell.kind] for place, cell in open_.items()}
        marks.append(
            Marks(
                tuple(place for place, cell in said.items() if cell is True or taken.get(place) == "positive"),
                tuple(place for place in said if taken.get(place) == "unknown"),
            )
        )
    _check_meant(table, neither, meaning)
    kinds = {cell.kind for cell in neither}
    return marks, [_in_words(kind, word, names, neither) for kind, word in meaning.items() if kind in kinds]


def _said(table: Table, line: int, column: str, text: str) -> bool | _Cell:
    plain = folded(text)
    if plain in YES | NO:
        return plain in YES
    if plain in UNCERTAIN:
        return _Cell("uncertain", line, column, text)
    if not plain or says_nothing(text):
        return _Cell("blank", line, column, text)
    raise table.wrong(
        line,
        f"'{text}' in column '{column}' is neither 0 nor 1",
        f'Say what it means: data.label_values: {{"{text}": "1"}}, or "0"',
    )


def _check_meant(table: Table, neither: Sequence[_Cell], meaning: Mapping[_Kind, str]) -> None:
    """Refuse cells that nothing says the meaning of; and words for nothing, of which no choice makes a no."""
    refused = [cell for cell in neither if meaning[cell.kind] == "refuse"]
    if not refused:
        refused = [cell for cell in neither if cell.kind == "blank" and cell.text and meaning["blank"] == "negative"]
    if not refused:
        return
    first, counts = refused[0], Counter(cell.kind for cell in refused)
    what = f"'{first.text}'" if first.text else "an empty cell"
    like = " and ".join(f"{n} {kind} {'cell' if n == 1 else 'cells'}" for kind, n in counts.items())
    keys = "; ".join(f"data.{kind}: {_CHOICES[kind]}" for kind in counts if meaning[kind] == "refuse")
    raise table.wrong(
        first.line,
        f"{what} in column '{first.column}' says neither 0 nor 1 ({like} in columns of labels)",
        f"Say what such cells mean: {keys}"
        if keys
        else f'Say what it means: data.label_values: {{"{first.text}": "0"}}, or data.blank: unknown',
    )


def _in_words(kind: _Kind, word: str, names: Sequence[str], neither: Sequence[_Cell]) -> str:
    found = Counter(cell.column for cell in neither if cell.kind == kind)
    counted = ", ".join(f"{name} {found[name]}" for name in names if found[name])
    return f"{kind} cells of labels are taken for {word} (data.{kind}): {counted}"
