"""A file of scores as text: its columns by role, and errors that name its lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

from medcls.config.settings import SplitSettings
from medcls.errors import CohortError, UsageError
from medcls.nearest import one_of
from medcls.tables import read_table
from medcls.tables.roles import unread_column
from medcls.tables.table import refuse_formula

PREFIX = "p_"
_OWN_COLUMNS = ("predicted", "prediction_set", "refer", "slices", "fold")  # what medcls itself writes beside the scores


@dataclass(frozen=True)
class ScoreColumns:
    """Which column holds what. A column ``p_LABEL`` for each label takes the place of ``score``.

    Attributes:
        case: Name of the case; without it, cases are called by their line.
        patient: Patient of the case; without it, every case is its own patient.
        reference: Reference label; several are joined by ``; ``.
        score: One score, higher for the positive label.
        partition: ``tune`` or ``test`` (and their usual other names); without it, all cases are test.
        unknown: Of several labels those of which it is not known whether the case has them, joined by ``; ``.
        given: Those that the caller named, which must exist.
    """

    case: str = "case"
    patient: str = "patient"
    reference: str = "reference"
    score: str = "score"
    partition: str = "partition"
    unknown: str = "unknown"
    given: frozenset[str] = field(default=frozenset())

    @classmethod
    def of(cls, named: Mapping[str, str]) -> ScoreColumns:
        """The usual columns, but for those named.

        Raises:
            UsageError: There is no such role.
        """
        roles = [one.name for one in fields(cls) if one.name != "given"]
        for role in named:
            if role not in roles:
                raise UsageError(f"'{role}' is no role of a column", remedy=one_of(role, roles, "Roles"))
        return replace(cls(), **dict(named), given=frozenset(named))

    def roles(self) -> dict[str, str]:
        """Role to column."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "given"}


@dataclass(frozen=True)
class ScoreSheet:
    """A table as text, and which column holds what."""

    path: Path
    header: Sequence[str]
    rows: Sequence[tuple[int, Mapping[str, str]]]
    columns: ScoreColumns

    @property
    def lines(self) -> tuple[int, ...]:
        """The line of each row."""
        return tuple(line for line, _ in self.rows)

    def check(self) -> None:
        """Refuse a file without the columns that are needed, or were named, and one whose patients would stay unread."""
        for role, name in self.columns.roles().items():
            if name not in self.header and (role == "reference" or role in self.columns.given):
                there = one_of(name, filter(None, self.header), "Columns")
                raise CohortError(
                    f"there is no column '{name}' for the {role}",
                    where=f"{self.path}:1",
                    remedy=f"{there}. Name it with --columns {role}=COLUMN",
                )

        used = {*self.columns.roles().values()}
        for line, row in self.rows:
            for name in row:
                if name in used or name.startswith(PREFIX):
                    refuse_formula(f"{self.path}:{line}", name, row[name])
        unread: tuple[tuple[Literal["patient", "partition"], str, tuple[str, ...]], ...] = (
            ("patient", "every case would be its own patient", ()),
            ("partition", "all cases would be test", tuple(SplitSettings().values)),
        )
        for role, otherwise, sides in unread:
            rows = [row for _, row in self.rows]
            looked_for = self.columns.roles()[role]
            found = None if looked_for in self.header else unread_column(rows, role, used, sides)
            if found is not None:
                raise CohortError(
                    f"there is no column '{role}', but '{found}' looks like it; unread, {otherwise}",
                    where=f"{self.path}:1",
                    remedy=f"Name it with --columns {role}={found}, or rename the column",
                )

    def score_columns(self) -> dict[str, str]:
        """Label to column for ``p_LABEL`` columns; ``{'': column}`` for one score."""
        several = {name[len(PREFIX) :]: name for name in self.header if name.startswith(PREFIX) and name != PREFIX}
        if "score" in self.columns.given or (self.columns.score in self.header and not several):
            return {"": self.columns.score}
        if self.columns.score in self.header:
            raise CohortError(
                f"there are both '{self.columns.score}' and '{PREFIX}LABEL' columns",
                where=f"{self.path}:1",
                remedy=f"Name the score to evaluate with --columns score={self.columns.score}, or remove that column",
            )
        if not several:
            raise CohortError(
                f"there is no column '{self.columns.score}', and no '{PREFIX}LABEL'",
                where=f"{self.path}:1",
                remedy="Name the column of scores with --columns score=COLUMN",
            )
        return several

    def cells(self, role: str) -> tuple[str, ...] | None:
        """The cells of a role's column; ``None`` where the file has no such column."""
        name = self.columns.roles()[role]
        return tuple(row[name] for _, row in self.rows) if name in self.header else None

    def further(self, scored: Mapping[str, str], wanted: Sequence[str] | None) -> dict[str, tuple[str, ...]]:
        """The columns that were asked for to form subgroups, else all that have no other role."""
        taken = {*self.columns.roles().values(), *scored.values(), *_OWN_COLUMNS}
        rest = [name for name in self.header if name and name not in taken and not name.startswith(PREFIX)]
        for name in wanted or ():
            if name == self.columns.reference:
                raise self.wrong(1, f"'{name}' is the reference itself, and no fact to form subgroups by")
            if name not in self.header:
                raise CohortError(
                    f"there is no column '{name}' to form subgroups by",
                    where=f"{self.path}:1",
                    remedy=one_of(name, filter(None, self.header), "Columns"),
                )
        return {name: tuple(row[name] for _, row in self.rows) for name in (rest if wanted is None else wanted)}

    def wrong(self, line: int, what: str, remedy: str = "") -> CohortError:
        """An error about one line."""
        return CohortError(what, where=f"{self.path}:{line}", remedy=remedy)


def read_rows(path: Path) -> tuple[Sequence[str], list[tuple[int, Mapping[str, str]]]]:
    """Header, and the line and cells of every row.

    Raises:
        CohortError: The file is missing, or no table.
    """
    table = read_table(path, "the file of scores")
    return table.header, list(table.mappings())
