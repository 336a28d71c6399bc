"""What a run said of its test cases, as one model to compare; a cross-validation without test: of the cases held out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from medcls.evaluation import OperatingPoint
from medcls.scores.comparison.contestant import Contestant
from medcls.scores.csv_columns import ScoreColumns, ScoreSheet, read_rows
from medcls.scores.read_csv import labels_in, scores_of
from medcls.scores.score_table import ScoreTable
from medcls.tables.words import NO_LABEL

HELD_OUT = "pooled"
"""The partition, in ``predictions.csv`` and ``metrics.json``, of what folds said of cases that they never saw."""


def predictions_of_run(path: Path, name: str, point: OperatingPoint, partition: str) -> Contestant:
    """The predictions in a run's ``predictions.csv``.

    Held-out cases keep what their own fold decided. With repeats a case has a prediction in each; they are joined repeat by
    repeat with those of another cross-validation, and count as one patient's.

    Args:
        path: The table.
        name: What the model is called.
        point: The operating point; for held-out cases the folds' in one, for the reader.
        partition: The one that ``metrics.json`` reports: :data:`HELD_OUT` or another.

    Raises:
        CohortError: The table is missing or damaged.
    """
    header, everything = read_rows(path)
    apart = partition == HELD_OUT
    rows = [(line, row) for line, row in everything if (row.get("partition") == HELD_OUT) == apart]
    if apart:
        repeats = len({_repeat(row) for _, row in rows})
        rows = [(line, {**row, "case": _case(row, repeats), "partition": "test"}) for line, row in rows]
    if point.multilabel:  # older runs leave the cell of a case without labels empty
        rows = [(line, {**row, "reference": row.get("reference") or NO_LABEL}) for line, row in rows]
    table = scores_of(
        ScoreSheet(path, header, rows, ScoreColumns()),
        positive=point.positive,
        multilabel=point.multilabel,
        covariates=(),
    )
    decided = {row["case"]: _labels(row, table) for _, row in rows} if apart else None
    return Contestant(name, table, point, of_run=True, decided=decided)


def _repeat(row: Mapping[str, str]) -> str:
    """A fold is called ``REPEAT-FOLD``."""
    return row["fold"].partition("-")[0]


def _case(row: Mapping[str, str], repeats: int) -> str:
    return row["case"] if repeats < 2 else f"{row['case']}, repeat {_repeat(row)}"


def _labels(row: Mapping[str, str], table: ScoreTable) -> frozenset[str]:
    said = labels_in(row["predicted"]) if table.multilabel else [row["predicted"]]
    # A label that a spreadsheet would take for a formula has medcls's own mark before it.
    return frozenset(label if label in table.labels else label.removeprefix("'") for label in said if label)
