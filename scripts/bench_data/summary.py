"""The one table of the data path: each row beside the usual way and beside the floor."""

from __future__ import annotations

from collections.abc import Sequence

from bench_scans.table import Row, cell_of, spread_cell, table

HEADINGS = ("what", "beside", "medcls", "beside it", "floor", "beside / medcls", "medcls / floor", "target", "reached")
UNITS = {"cpu": "ms of processor time", "wall": "ms of wall time", "memory": "MB"}


def summary(rows: Sequence[Row]) -> str:
    """A Markdown table, one section a block; medians with the smallest and the largest in brackets."""
    return table(HEADINGS, rows, _cells)


def _cells(row: Row) -> tuple[str, ...]:
    target = "–"
    if row.target:
        limit = f"{row.target.limit:.3g}"
        target = (
            f"at most {limit} × its {_spent(row)}" if row.target.kind == "at most" else f"at least {limit} × faster"
        )
    return (
        f"{row.what}, {UNITS[row.clock]}",
        row.peer,
        row.failures[0] or spread_cell(row.ours),
        row.failures[1] or spread_cell(row.theirs),
        spread_cell(row.floor),
        cell_of(row.theirs.median / row.ours.median if row.ours and row.theirs and row.ours.median else None),
        cell_of(row.ours.median / row.floor.median if row.ours and row.floor and row.floor.median else None),
        target,
        {None: "–", True: "yes", False: "**no**"}[row.reached],
    )


def _spent(row: Row) -> str:
    return "memory" if row.clock == "memory" else "time"
