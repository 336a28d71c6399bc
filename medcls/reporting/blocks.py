"""What a section of a page is made of: paragraphs, tables and charts, laid out by one template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medcls.reporting.charts.plots import Chart
from medcls.reporting.text.wording import Shown

Cell = Shown | str


@dataclass(frozen=True)
class Table:
    """A table whose first column is a heading.

    Attributes:
        caption: What it shows.
        heads: Heads of the columns.
        rows: The heading of each row, and its cells.
    """

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]

    @property
    def has_at_end(self) -> bool:
        """Whether a metric in it stands at an end of its interval."""
        return any(isinstance(cell, Shown) and cell.at_end for _, cells in self.rows for cell in cells)


@dataclass(frozen=True)
class Drawing:
    """A chart and what stands under it."""

    chart: Chart
    caption: str


@dataclass(frozen=True)
class Block:
    """A part of a section.

    Attributes:
        heading: A heading of its own, or empty.
        text: Paragraphs.
        table: A table.
        drawings: Charts, side by side.
        missing: Why there is nothing to show; empty when there is.
        folded: What is clicked to see the block; empty: it is shown at once.
    """

    heading: str = ""
    text: tuple[str, ...] = ()
    table: Table | None = None
    drawings: tuple[Drawing, ...] = ()
    missing: str = ""
    folded: str = ""


@dataclass(frozen=True)
class Section:
    """A section of a page.

    Attributes:
        id: Its anchor.
        title: Its heading.
        short: Its name in the list of sections.
        blocks: What stands in it.
    """

    id: str
    title: str
    short: str
    blocks: tuple[Block, ...]

    @property
    def has_at_end(self) -> bool:
        """Whether a metric in one of its tables stands at an end of its interval."""
        return any(block.table is not None and block.table.has_at_end for block in self.blocks)


def missing(name: str, metrics: Mapping[str, Any], heading: str = "") -> Block:
    """The block of a section that was not computed, with the reason that the file gives."""
    reasons = metrics.get("not_computed") or {}
    return Block(heading=heading, missing=str(reasons.get(name) or "it was not computed"))


def drawings(*pairs: tuple[Chart | None, str]) -> tuple[Drawing, ...]:
    """The charts that there are."""
    return tuple(Drawing(chart, caption) for chart, caption in pairs if chart is not None)


def sentence(text: str) -> str:
    """A text as a sentence: a capital first, a full stop last."""
    whole = f"{text[:1].upper()}{text[1:]}"
    return whole if whole.endswith((".", "?", "!")) or not whole else f"{whole}."
