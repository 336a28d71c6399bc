"""Joins what several models said about the same cases, so that they can be compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medcls.errors import CohortError, UsageError
from medcls.evaluation import OperatingPoint, Predictions
from medcls.evaluation.score_scale import ScoreScales
from medcls.runs.score_table import ScoreTable


@dataclass(frozen=True, eq=False)
class Contestant:
    """One model to compare.

    Attributes:
        name: What it is called.
        table: What it said.
        point: Its operating point, in the scores' own unit.
    """

    name: str
    table: ScoreTable
    point: OperatingPoint

    def judged(self) -> tuple[Predictions, OperatingPoint]:
        """Predictions and operating point for evaluation, on ranks where the scores are no probabilities."""
        scales: ScoreScales | None = self.table.scales()
        everyone = np.ones(len(self.table.names), dtype=np.bool_)
        return self.table.predictions(everyone, scales), self.point if scales is None else scales.ranked(self.point)


@dataclass(frozen=True, eq=False)
class Joined:
    """Models with the same cases in the same order.

    Attributes:
        contestants: The models, each with the shared cases alone.
        left_out: Judged cases of any of them that another lacks or failed on.
        notes: What a reader must know of the join.
    """

    contestants: tuple[Contestant, ...]
    left_out: int
    notes: tuple[str, ...]


def join(contestants: Sequence[Contestant]) -> Joined:
    """Keep the test cases for which every model has a score.

    Raises:
        UsageError: The models are for other labels, or have the same name.
        CohortError: No case is shared, or a case has another reference label in one of them.
    """
    first = contestants[0]
    models = [_like(first, one) for one in contestants]
    if any(not one.table.cases_known for one in models) and len({one.table.source for one in models}) > 1:
        unnamed = next(one for one in models if not one.table.cases_known)
        raise CohortError(
            "cases cannot be joined without their names",
            where=unnamed.table.source,
            remedy="Add a column 'case', or name one with --columns case=COLUMN",
        )
    places = [_judged_places(one.table) for one in models]
    shared = [name for name in places[0] if all(name in other for other in places[1:])]
    if not shared:
        raise CohortError(
            "no case is in all of them",
            where=", ".join(one.name for one in models),
            remedy="Case names must be the same in all: those of predictions.csv where a run is compared",
        )
    kept = [
        replace(one, table=one.table.take([place[name] for name in shared]))
        for one, place in zip(models, places, strict=True)
    ]
    for other in kept[1:]:
        _check_reference(kept[0], other)
    everything = {name for one in models for name in _names(one.table)}
    return Joined(
        tuple(_same_patients(kept)), len(everything) - len(shared), _notes(len(everything) - len(shared), kept)
    )


def _like(first: Contestant, other: Contestant) -> Contestant:
    table = other.table.with_labels(first.table.labels)
    if (table.positive, table.multilabel) != (first.table.positive, first.table.multilabel):
        raise UsageError(
            f"'{other.name}' and '{first.name}' do not ask the same question",
            remedy="Compare models with the same positive label, all multi-label or none",
        )
    cuts = {cut.label: cut for cut in other.point.cuts}
    ordered = tuple(cuts[label] for label in table.scored) if cuts else ()
    return replace(other, table=table, point=replace(other.point, labels=table.labels, cuts=ordered))


def _names(table: ScoreTable) -> list[str]:
    return [table.names[row] for row in np.flatnonzero(table.where("test"))]


def _judged_places(table: ScoreTable) -> dict[str, int]:
    rows = np.flatnonzero(table.where("test") & ~table.failed)
    return {table.names[row]: int(row) for row in rows}


def _check_reference(first: Contestant, other: Contestant) -> None:
    differ = np.flatnonzero((first.table.reference != other.table.reference).any(axis=1))
    if differ.size:
        row = int(differ[0])
        raise CohortError(
            f"the case has another reference label than in line {first.table.lines[row]} of {first.table.source}",
            where=f"{other.table.source}:{other.table.lines[row]}",
            remedy="Mend the tables: models are compared against the same reference",
        )


def _same_patients(contestants: Sequence[Contestant]) -> list[Contestant]:
    """Give all the patients of the first that knows them: bootstrap draws must be the same for all."""
    known = next((one.table for one in contestants if one.table.patients_known), contestants[0].table)
    return [
        replace(one, table=replace(one.table, patients=known.patients, patients_known=known.patients_known))
        for one in contestants
    ]


def _notes(left_out: int, contestants: Sequence[Contestant]) -> tuple[str, ...]:
    notes = []
    if left_out:
        notes.append(
            f"{left_out} {'case is' if left_out == 1 else 'cases are'} left out, because not every model has a score for it"
        )
    if not any(one.table.patients_known for one in contestants):
        notes.append("no table names patients: every case counts as its own")
    return tuple(notes)
