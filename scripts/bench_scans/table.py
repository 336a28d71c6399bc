"""Rows of the result: what was compared with what, the ratio, the target, and whether it is reached."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .clock import Sample, Spread

Clock = Literal["cpu", "wall", "memory"]
HEADINGS = ("what", "peer", "medcls ms", "peer ms", "floor ms", "ratio", "target", "reached", "wall ms")


@dataclass(frozen=True)
class Figures:
    """What was measured in one block, by reader.

    Attributes:
        samples: Repeats of each reader.
        failures: Why a reader has none.
    """

    samples: Mapping[str, Sequence[Sample]]
    failures: Mapping[str, str]

    def spread(self, name: str, clock: Clock) -> Spread | None:
        """In milliseconds; megabytes for memory, which :class:`Sample` carries as bytes in both fields."""
        given = self.samples.get(name)
        if not given:
            return None
        values = [sample.wall if clock == "wall" else sample.cpu for sample in given]
        return Spread.of(values).scaled(1e-6 if clock == "memory" else 1e3)

    def fastest(self, names: Sequence[str]) -> str | None:
        """The one with the smallest median of processor time."""
        there = [name for name in names if self.samples.get(name)]
        return min(there, key=lambda name: _median(self, name)) if there else None


def _median(figures: Figures, name: str) -> float:
    spread = figures.spread(name, "cpu")
    return spread.median if spread else math.inf


@dataclass(frozen=True)
class Target:
    """``at most`` compares medcls / peer, ``at least`` peer / medcls (how many times faster)."""

    kind: Literal["at most", "at least"]
    limit: float


@dataclass(frozen=True)
class Row:
    """One comparison. ``ratio`` is medcls / peer for a target ``at most``, else peer / medcls."""

    block: str
    what: str
    peer: str
    clock: Clock
    ours: Spread | None
    theirs: Spread | None
    floor: Spread | None
    ratio: float | None
    target: Target | None
    reached: bool | None
    wall: tuple[float | None, float | None]
    failures: tuple[str, str] = ("", "")


def compare(
    block: str,
    what: str,
    figures: Figures,
    ours: str,
    peer: str,
    *,
    target: Target | None = None,
    floor: str | None = None,
    clock: Clock = "cpu",
) -> Row:
    """One row: ``ours`` against ``peer``, by the medians."""
    mine, theirs = figures.spread(ours, clock), figures.spread(peer, clock)
    ratio = None
    if mine and theirs:
        at_most = target is not None and target.kind == "at most"
        above, below = (mine, theirs) if at_most else (theirs, mine)
        ratio = above.median / below.median if below.median else math.inf
    walls = (None, None) if clock == "memory" else tuple(_wall(figures, name) for name in (ours, peer))
    return Row(
        block=block,
        what=what,
        peer=peer,
        clock=clock,
        ours=mine,
        theirs=theirs,
        floor=figures.spread(floor, clock) if floor else None,
        ratio=ratio,
        target=target,
        reached=None if target is None else is_reached(ratio, target),
        wall=(walls[0], walls[1]),
        failures=(figures.failures.get(ours, ""), figures.failures.get(peer, "")),
    )


def is_reached(ratio: float | None, target: Target) -> bool:
    if ratio is None:
        return False
    return ratio <= target.limit if target.kind == "at most" else ratio >= target.limit


def _wall(figures: Figures, name: str) -> float | None:
    spread = figures.spread(name, "wall")
    return spread.median if spread else None


def markdown(rows: Sequence[Row]) -> str:
    """The table, one section a block."""
    return table(HEADINGS, rows, _cells)


def table(headings: Sequence[str], rows: Sequence[Row], cells: Callable[[Row], Sequence[str]]) -> str:
    """A Markdown table with a line for each row, and one with its name before each block."""
    lines = ["| " + " | ".join(headings) + " |", "| " + " | ".join("---" for _ in headings) + " |"]
    block = ""
    for row in rows:
        if row.block != block:
            block = row.block
            lines.append(f"| **{block}** |" + " |" * (len(headings) - 1))
        lines.append("| " + " | ".join(cells(row)) + " |")
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    ours, theirs = row.failures[0] or spread_cell(row.ours), row.failures[1] or spread_cell(row.theirs)
    target = f"{row.target.kind} {row.target.limit:g}" if row.target else "–"
    reached = {None: "–", True: "yes", False: "**no**"}[row.reached]
    wall = " / ".join(cell_of(value) for value in row.wall) if any(row.wall) else "–"
    unit = {"cpu": "", "wall": " (wall time)", "memory": " (MB)"}[row.clock]
    what = row.what + unit
    return what, row.peer, ours, theirs, spread_cell(row.floor), _ratio(row), target, reached, wall


def _ratio(row: Row) -> str:
    if row.ratio is None:
        return "–"
    cost = row.target is not None and row.target.kind == "at most"
    words = {True: ("times the time", "times the memory"), False: ("times faster", "times less")}[cost]
    return f"{row.ratio:.2f} {words[row.clock == 'memory']}"


def spread_cell(spread: Spread | None) -> str:
    if spread is None:
        return "–"
    return f"{cell_of(spread.median)} ({cell_of(spread.low)}–{cell_of(spread.high)})"


def cell_of(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"
