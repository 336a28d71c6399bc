"""The section about shift: how far an external cohort is from the training cohort, and what that means."""

from __future__ import annotations

from medcls.reporting.blocks import Block, Cell, Section, Table, sentence
from medcls.reporting.text.numbers import decimal, percent
from medcls.values import documents

_GROUPS = {
    "intensity": "Network’s input",
    "geometry": "Scans’ grid",
    "labels": "Share with label",
    "scanner": "Rare or absent in training",
}
_SHARES = frozenset({"labels", "scanner"})
_NOTHING = "–"


def section(metrics: documents.Partition) -> Section:
    """What it means first, then the rows."""
    found = metrics["shift"]
    table = Table(
        f"{found['n_external']} patients here against {found['n_training']} in training. Verdict: by the size of the "
        "difference, where it is more than chance (p, adjusted for all rows, below 0.05). ‘Rare or absent in training’: share "
        "of the patients with a value that fewer than five training patients had.",
        ("Compared", "Training", "Here", "Difference", "KS", "p", "Shift"),
        tuple((f"{_GROUPS[row['group']]}: {row['name']}", _cells(row)) for row in found["rows"]),
    )
    block = Block(text=tuple(found["meanings"]), table=table if found["rows"] else None)
    reasons = [sentence(f"‘{row['name']}’: {row['reason']}") for row in found["rows"] if row["reason"]]
    notes = [Block(text=tuple(reasons), folded="Why a number is missing")] if reasons else []
    return Section("shift", "Are these cases like the training cases?", "Shift", (block, *notes))


def _cells(row: documents.ShiftRow) -> tuple[Cell, ...]:
    p = row["p_adjusted"]
    return (
        _number(row["training"], row),
        _number(row["external"], row),
        _NOTHING if row["difference"] is None else decimal(row["difference"]),
        _NOTHING if row["ks"] is None else decimal(row["ks"]),
        _NOTHING if p is None else "below 0.001" if p < 0.001 else f"{p:.3f}",
        str(row["verdict"]),
    )


def _number(value: float | None, row: documents.ShiftRow) -> str:
    if value is None:
        return _NOTHING
    return f"{percent(value)} %" if row["group"] in _SHARES else f"{value:.3g}"
