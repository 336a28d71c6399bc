"""The table of a cross-validation: each fold's metrics, their mean and spread, and the pooled metrics, distinguished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medcls.reporting.text.wording import NOT_ESTIMABLE, Shown, show
from medcls.values import documents

_FIGURES = ("auc", "sensitivity", "specificity", "balanced_accuracy", "ppv", "npv", "brier")


@dataclass(frozen=True)
class FoldRow:
    """One fold.

    Attributes:
        name: Repeat and number.
        cases: Held-out cases.
        patients: Held-out patients.
        metrics: Its metrics, with intervals.
    """

    name: str
    cases: int
    patients: int
    metrics: tuple[Shown, ...]


@dataclass(frozen=True)
class FoldsTable:
    """Everything that the section of folds shows.

    Attributes:
        titles: Names of the columns.
        rows: A row for each fold.
        means: Mean and standard deviation over folds, for each column.
        pooled: The pooled metrics with their intervals.
        pooled_cases: How many predictions were pooled.
        pooled_patients: Of how many patients.
        within: By label, the AUC within folds.
        notes: What a reader must know first.
    """

    titles: tuple[str, ...]
    rows: tuple[FoldRow, ...]
    means: tuple[str, ...]
    pooled: tuple[Shown, ...]
    pooled_cases: int
    pooled_patients: int
    within: tuple[tuple[str, Shown], ...]
    notes: tuple[str, ...]


def folds_table(per_fold: documents.PerFold | None, pooled: documents.Partition | None) -> FoldsTable | None:
    """The table, from ``per_fold`` and ``pooled`` of ``metrics.json``; ``None`` where there was no cross-validation."""
    if per_fold is None or pooled is None:
        return None
    rows = tuple(
        FoldRow(one["fold"], one["n_cases"], one["n_patients"], _shown(one["figures"])) for one in per_fold["folds"]
    )
    spreads = per_fold["over_folds"]
    return FoldsTable(
        titles=tuple(shown.title for shown in _shown(pooled)),
        rows=rows,
        means=tuple(_mean(name, spreads.get(name)) for name in _FIGURES),
        pooled=_shown(pooled),
        pooled_cases=pooled["n_cases"],
        pooled_patients=pooled["n_patients"],
        within=tuple((label, show("auc", one)) for label, one in per_fold["auc_within_folds"].items()),
        notes=tuple(f"{note[:1].upper()}{note[1:]}." for note in per_fold["notes"]),
    )


def _shown(metrics: Mapping[str, Any]) -> tuple[Shown, ...]:
    return tuple(show(name, metrics.get(name)) for name in _FIGURES)


def _mean(name: str, spread: documents.Spread | None) -> str:
    """Mean and standard deviation in the figure's own unit."""
    if spread is None or spread["mean"] is None:
        return NOT_ESTIMABLE
    mean, sd = (show(name, _bare(spread[key])).value for key in ("mean", "sd"))
    return mean if spread["sd"] is None else f"{mean} (SD {sd})"


def _bare(value: float | None) -> documents.Estimate:
    return {"value": value, "low": None, "high": None, "method": "none", "reason": None}
