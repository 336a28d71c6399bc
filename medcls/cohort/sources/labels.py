"""What a column of labels says: its labels, or why it cannot be a column of labels as it stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from medcls.config.settings import DataSettings
from medcls.errors import CohortError
from medcls.nearest import nearest, one_of
from medcls.tables import Table
from medcls.tables.words import holds_several, looks_like_measure, same_label, same_value, says_nothing

_FEWEST_CASES = 2
"""Of a label, on average: a column whose values hardly repeat holds names or remarks."""
_MOST_LABELS = 20
_APART = ", give one of them another name in data.label_values, or list both in data.labels"


class UnlabelledError(CohortError):
    """The table has no labels at all."""

    @classmethod
    def of(cls, error: CohortError) -> UnlabelledError:
        """An error that comes of it."""
        return cls(error.what, where=error.where, remedy=error.remedy)


def labels_of(table: Table, column: str, cells: Sequence[str], settings: DataSettings) -> tuple[str, ...]:
    """The labels of a column, in order.

    Args:
        table: For the lines of errors.
        column: Its name.
        cells: The column's values as :func:`named_values` gives them.
        settings: Labels that are named, which are then all that may occur.

    Raises:
        CohortError: A value stands for no label, is one that ``data.labels`` does not name, is one label in two spellings,
            holds several labels, or is a measure; or there are fewer than two.
    """
    named = settings.labels or ()
    explicit = {*named, *settings.label_values.values()}
    for line, cell in zip(table.lines, cells, strict=True):
        if cell and cell not in explicit and says_nothing(cell):
            raise table.wrong(
                line,
                f"'{cell}' in column '{column}' is a label, or no label is known: which of the two is not clear",
                "Leave the cell empty where none is known; where it is a label, list it in data.labels",
            )
        if named and cell and cell not in named:
            raise table.wrong(line, f"unknown label '{cell}'", one_of(cell, named, "Labels"))
    if named:
        return tuple(named)
    counts = Counter(cell for cell in cells if cell)
    _check_several(table, column, cells, counts)
    if len(counts) < 2:
        only = "".join(f", '{label}'" for label in counts)
        wrong = table.wrong(
            None,
            f"a classifier needs two labels or more; '{column}' has {len(counts)}{only}, and {len(cells) - counts.total()} of "
            f"its {len(cells)} cells are empty",
            "Check data.columns.label",
        )
        raise wrong if counts else UnlabelledError.of(wrong)
    _check_measure(table, column, counts)
    check_spelling(table, column, counts, "labels", _APART)
    return tuple(sorted(counts))


def named_values(cells: Sequence[str], values: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What cells mean by ``data.label_values``, and those of its keys that no cell has."""
    present = set(cells)
    return [values.get(cell, cell) for cell in cells], [key for key in values if key not in present]


def unused_values(unused: Sequence[str], column: str, present: Iterable[str]) -> str:
    """A warning about keys of ``data.label_values`` that never occur."""
    there = sorted(set(filter(None, present)))
    meant = {key: nearest(key, there) for key in unused}
    hints = [f"'{key}'" + (f" (did you mean '{name}'?)" if name is not None else "") for key, name in meant.items()]
    return f"data.label_values names {', '.join(hints)}, which column '{column}' does not have"


def check_spelling(table: Table, column: str, values: Iterable[str], what: str, apart: str = "") -> None:
    """Refuse values that are one, written in two ways: Ill and ill, 1 and 1.0 and 01; of labels also 1 and yes.

    Raises:
        CohortError: There are such.
    """
    pair = (same_label if what == "labels" else same_value)(values)
    if pair is None:
        return
    cells = table.cells(column)
    line = table.lines[cells.index(pair[1])] if pair[1] in cells else None
    raise table.wrong(
        line,
        f"the {what} '{pair[0]}' and '{pair[1]}' in column '{column}' differ only in how they are written",
        f"Write them alike{apart}",
    )


def _check_several(table: Table, column: str, cells: Sequence[str], counts: Mapping[str, int]) -> None:
    """Refuse cells that hold several labels: as they stand each mixture would be a label of its own."""
    for line, cell in zip(table.lines, cells, strict=True):
        if holds_several(cell, counts):
            raise table.wrong(
                line,
                f"'{cell}' in column '{column}' holds several labels",
                "Give each label a column of 0 and 1, and list the columns in data.columns.label; where it is one label, list "
                "it in data.labels",
            )


def _check_measure(table: Table, column: str, counts: Mapping[str, int]) -> None:
    if looks_like_measure(counts):
        raise table.wrong(
            None,
            f"column '{column}' has {len(counts)} different numbers: it looks like a measure, not like labels",
            "Name a column of labels in data.columns.label, or list the numbers in data.labels",
        )
    if len(counts) > _MOST_LABELS and sum(counts.values()) < _FEWEST_CASES * len(counts):
        raise table.wrong(
            None,
            f"column '{column}' has {len(counts)} different values in {sum(counts.values())} rows: they look like names or "
            "remarks, not like labels",
            "Name a column of labels in data.columns.label, or list the labels in data.labels",
        )
