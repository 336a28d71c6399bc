"""Columns that a table may have: one that stands there under another name would be left unread without a word."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Literal

from medcls.nearest import looks_like
from medcls.tables.table import folded
from medcls.tables.words import is_date

_DIGIT = re.compile(r"\d")
_CALLED: Mapping[str, frozenset[str]] = {
    "patient": frozenset({"patientid", "patientno", "patientnr", "patientnumber", "patientcode", "patientname"})
    | frozenset({"patid", "pid", "mrn", "subject", "subjectid", "participant", "participantid"}),
    "partition": frozenset({"split", "subset", "datasplit"}),
    "split": frozenset({"partition", "subset", "datasplit"}),
}
"""What others call a column, without blanks and signs."""


def unread_column(
    rows: Sequence[Mapping[str, str]],
    role: Literal["patient", "split", "partition"],
    used: Container[str | None],
    sides: Iterable[str] = (),
) -> str | None:
    """The column that most likely holds what a column called ``role`` would; ``None`` where the table has none such.

    Args:
        rows: Cells by column, none of which has that very name.
        role: The name that was looked for.
        used: Columns that are read as something else.
        sides: Words for partitions: a column that has no others, and several of them, holds partitions whatever its name.
    """
    others = [name for name in rows[0] if name not in used]
    known = {folded(side) for side in sides}
    held = (name for name in others if known and _holds({folded(row[name]) for row in rows}, known))
    return next((name for name in others if _means(name, role)), None) or next(held, None)


def doubted_patients(cells: Iterable[tuple[int | None, str]], where: str, remedy: str) -> list[str]:
    """What to warn of where most of a column of patients are dates: whoever was there on one day would be one patient.

    Args:
        cells: With their lines, if they have any, of which the warning names one: it quotes no cell, for a date may tell who
            it is.
        where: What the column is called.
        remedy: How to name another.
    """
    named = [(line, cell) for line, cell in cells if cell]
    dates = [(line, cell) for line, cell in named if is_date(cell)]
    if 2 * len(dates) <= len(named):
        return []
    which = "all" if len(dates) == len(named) else str(len(dates))
    line, form = dates[0][0], _DIGIT.sub("0", dates[0][1])
    place = form if line is None else f"line {line}: {form}"
    return [
        f"{where} should name patients, and {which} of its values are dates ({place}): all cases of a day "
        f"count as one patient, and a patient with several days as several. {remedy}, or remove the dates where no patient is "
        "known"
    ]


def _means(name: str, role: str) -> bool:
    plain = "".join(sign for sign in folded(name) if sign.isalnum())
    return plain in _CALLED[role] or looks_like(plain, role)


def _holds(cells: set[str], known: set[str]) -> bool:
    return cells <= known and len(cells) > 1
