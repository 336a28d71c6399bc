"""Joins what several models said about the same cases, so that they can be compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from medcls.errors import CohortError
from medcls.scores.canonical_order import in_order
from medcls.scores.comparison.contestant import Contestant
from medcls.scores.comparison.dropped_cases import Dropped, dropped_by, left_out_notes, names_evaluated, remedy
from medcls.scores.score_table import ScoreTable


@dataclass(frozen=True, eq=False)
class Joined:
    """Models with the same cases in the same order.

    Attributes:
        contestants: The models, each with the shared cases alone.
        dropped: For each model, which of its own test cases are left out.
        left_out: Evaluated cases of any of them that another lacks or failed on.
        notes: What a reader must know of the join.
    """

    contestants: tuple[Contestant, ...]
    dropped: tuple[Dropped, ...]
    left_out: int
    notes: tuple[str, ...]


def join(contestants: Sequence[Contestant]) -> Joined:
    """Keep the test cases for which every model has a score.

    Raises:
        UsageError: The models are for other labels, or have the same name.
        CohortError: No case is shared, no shared case has one of the labels, or a case has another reference label in one
            of them.
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
    places = [_evaluated_places(one.table) for one in models]
    shared = [name for name in places[0] if all(name in other for other in places[1:])]
    dropped = dropped_by(models, shared)
    if not shared:
        raise CohortError(
            "no case is in all of them",
            where=", ".join(one.table.source for one in models),
            remedy=f"Case names must be the same in all: those of predictions.csv where a run is compared. {remedy(models)}",
        )
    kept = [
        replace(one, table=one.table.take([place[name] for name in shared]))
        for one, place in zip(models, places, strict=True)
    ]
    for other in kept[1:]:
        _check_reference(kept[0], other)
    _check_labels(models, kept[0], dropped)
    everything = {name for one in models for name in names_evaluated(one.table)}
    notes = (*left_out_notes(dropped, models), *_notes(kept))
    return Joined(tuple(_same_patients(kept)), dropped, len(everything) - len(shared), notes)


def _like(first: Contestant, other: Contestant) -> Contestant:
    table = other.table.with_labels(first.table.labels)
    table.space.check_same(
        first.table.space,
        (f"'{other.name}'", f"'{first.name}'"),
        "Compare models with the same positive label, all multi-label or none",
    )
    cuts = {cut.label: cut for cut in other.point.cuts}
    ordered = tuple(cuts[label] for label in table.space.scored) if cuts else ()
    return replace(other, table=table, point=replace(other.point, space=table.space, cuts=ordered))


def _evaluated_places(table: ScoreTable) -> dict[str, int]:
    rows = np.flatnonzero(table.where("test") & ~table.failed)
    return {table.names[row]: int(row) for row in rows}


def _check_reference(first: Contestant, other: Contestant) -> None:
    apart = (first.table.reference != other.table.reference) | (first.table.known != other.table.known)
    differ = np.flatnonzero(apart.any(axis=1))
    if differ.size:
        row = int(differ[0])
        raise CohortError(
            f"the case has another reference label than in line {first.table.lines[row]} of {first.table.source}",
            where=f"{other.table.source}:{other.table.lines[row]}",
            remedy="Mend the tables: models are compared against the same reference",
        )


def _check_labels(models: Sequence[Contestant], kept: Contestant, dropped: Sequence[Dropped]) -> None:
    """Refuse what the join has left without a label: its metrics, and those of all labels together, would be undefined."""
    for index, label in enumerate(kept.table.labels):
        had = any(one.table.reference[one.table.where("test"), index].any() for one in models)
        if had and not kept.table.reference[:, index].any():
            raise CohortError(
                f"of the cases that all of them share none has the label '{label}': {'; '.join(one.words for one in dropped)}",
                where=", ".join(one.table.source for one in models),
                remedy=remedy(models),
            )


def _same_patients(contestants: Sequence[Contestant]) -> list[Contestant]:
    """Give all the patients of the first that knows them, and an order that names nothing: see ``score_order``."""
    known = next((one.table for one in contestants if one.table.patients_known), contestants[0].table)
    alike = [replace(one.table, patients=known.patients, patients_known=known.patients_known) for one in contestants]
    return [replace(one, table=table) for one, table in zip(contestants, in_order(alike), strict=True)]


def _notes(contestants: Sequence[Contestant]) -> tuple[str, ...]:
    notes = []
    if not any(one.table.patients_known for one in contestants):
        notes.append("no table names patients: every case counts as its own")
    notes += [
        note
        for one in contestants
        if one.table.patients_known
        for note in one.table.doubted_patients(f"the column of patients of '{one.name}'")
    ]
    notes += [*_other_patients(contestants), *_same_predictions(contestants), *_other_units(contestants)]
    notes += [
        f"'{one.name}' is a cross-validation: each held-out case was predicted by its own fold's classifier at its own "
        "threshold"
        for one in contestants
        if one.decided is not None
    ]
    return tuple(notes)


def _other_patients(contestants: Sequence[Contestant]) -> list[str]:
    """Where two tables that know patients do not give the same cases to one patient, whatever they call patients."""
    first, *others = [one for one in contestants if one.table.patients_known] or [contestants[0]]
    notes = []
    for other in others:
        pairs = set(zip(first.table.patients.tolist(), other.table.patients.tolist(), strict=True))
        if not len(pairs) == len({one for one, _ in pairs}) == len({one for _, one in pairs}):
            notes.append(
                f"'{first.name}' and '{other.name}' give the cases to different patients: those of '{first.name}' were "
                "taken. Where they are wrong, so are the intervals"
            )
    return notes


def _same_predictions(contestants: Sequence[Contestant]) -> list[str]:
    """Pairs with identical predictions: hardly two models."""
    return [
        f"'{one.name}' and '{other.name}' have identical predictions (the same score for every case): are they two models?"
        for one, other in combinations(contestants, 2)
        if np.array_equal(one.table.scores, other.table.scores)
    ]


def _other_units(contestants: Sequence[Contestant]) -> list[str]:
    """Where some scores are between 0 and 1 and others do not."""
    outside = [f"'{one.name}'" for one in contestants if not one.table.are_probabilities]
    if not 0 < len(outside) < len(contestants):
        return []
    return [
        f"scores of {', '.join(outside)} are outside 0 to 1, and the others' do not: no threshold is the same for both"
    ]
