"""Which of each model's own test cases a comparison leaves out, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medcls.reporting.text.numbers import counted
from medcls.scores.comparison.contestant import Contestant
from medcls.scores.score_table import ScoreTable

SAME_SPLIT = (
    "Each run tests on the cases of its own split: train all with the same table and the same split.seed, or with a column of "
    "partitions in the table; or evaluate each on one table with 'medcls evaluate RUN --cases', and compare these evaluations"
)
SAME_CASES = "Give every file a score for the same cases, under the same names, and the same test rows"


@dataclass(frozen=True)
class Dropped:
    """What is left out of one model's cases.

    Attributes:
        name: The model's.
        n_evaluated: Its own test cases.
        reasons: Why cases are left out, in words, to how many; a case counts for the first reason that holds.
    """

    name: str
    n_evaluated: int
    reasons: Mapping[str, int]

    @property
    def n_left_out(self) -> int:
        """How many of its cases are left out."""
        return sum(self.reasons.values())

    @property
    def words(self) -> str:
        """How many, and why."""
        why = ", ".join(f"{count} {'is' if count == 1 else 'are'} {reason}" for reason, count in self.reasons.items())
        left = "1 is" if self.n_left_out == 1 else f"{self.n_left_out} are"
        return f"of the {counted(self.n_evaluated, 'case')} of '{self.name}' {left} left out{f': {why}' if why else ''}"

    def to_json(self) -> dict[str, Any]:
        """For ``comparison.json``."""
        return {"n_judged": self.n_evaluated, "n_left_out": self.n_left_out, "reasons": dict(self.reasons)}


def dropped_by(models: Sequence[Contestant], shared: Sequence[str]) -> tuple[Dropped, ...]:
    """What each model's cases lose when only ``shared`` ones are kept."""
    return tuple(_of(one, [other for other in models if other is not one], set(shared)) for one in models)


def left_out_notes(dropped: Sequence[Dropped], models: Sequence[Contestant]) -> list[str]:
    """A note for each model that loses cases, and what to do about it where runs have parted their cases differently."""
    notes = [one.words for one in dropped if one.n_left_out]
    elsewhere = any("not among" in reason for one in dropped for reason in one.reasons)
    return [*notes, remedy(models)] if elsewhere else notes


def remedy(models: Sequence[Contestant]) -> str:
    """How the models could have been evaluated on the same cases."""
    return SAME_SPLIT if any(one.of_run for one in models) else SAME_CASES


def names_evaluated(table: ScoreTable) -> list[str]:
    """The table's own test cases, with a score or without."""
    return [table.names[row] for row in np.flatnonzero(table.where("test"))]


def _of(one: Contestant, others: Sequence[Contestant], shared: set[str]) -> Dropped:
    names = names_evaluated(one.table)
    tests = [(other, set(names_evaluated(other.table)), _failed(other.table)) for other in others]
    own = _failed(one.table)

    def reason(name: str) -> str:
        if name in own:
            return "without a score of its own"
        for other, test, failed in tests:
            if name not in test:
                return f"not among the test cases of '{other.name}'"
            if name in failed:
                break
        return f"without a score of '{other.name}'"

    return Dropped(one.name, len(names), Counter(reason(name) for name in names if name not in shared))


def _failed(table: ScoreTable) -> set[str]:
    return {table.names[row] for row in np.flatnonzero(table.failed)}
