"""A guideline's checklist filled from a run: what the run knows, and what only the authors can write."""

from __future__ import annotations

from dataclasses import dataclass

from medcls.reporting.blocks import Block, Section, Table
from medcls.reporting.checklists.answers import ANSWERS
from medcls.reporting.checklists.claim import CLAIM
from medcls.reporting.checklists.item import Checklist, Item
from medcls.reporting.checklists.stard_ai import STARD_AI
from medcls.reporting.checklists.tripod_ai import TRIPOD_AI
from medcls.reporting.record import Record
from medcls.reporting.text.plain_markdown import plain, table

CHECKLISTS = (CLAIM, TRIPOD_AI, STARD_AI)
FILES = tuple(f"{one.name}.md" for one in CHECKLISTS)
NOT_AVAILABLE = "not available: the run cannot know this"
_MIND = (
    "Filled by medcls from one run, in its own words. The guideline's text is the one that counts: check every item against "
    "the original before you hand it in. What the run says does not replace what authors must write."
)
_HEADS = ("Item", "Section", "Asked for", "From the run", "Where", "Authors must write")


@dataclass(frozen=True)
class FilledItem:
    """An item with what the run knows of it.

    Attributes:
        item: The item.
        values: The answers; empty where the run knows none.
        places: Where more of each stands.
    """

    item: Item
    values: tuple[str, ...]
    places: tuple[str, ...]

    @property
    def filled(self) -> bool:
        """Whether the run knows anything of it."""
        return bool(self.values)

    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        said = ". ".join(f"{value[:1].upper()}{value[1:]}" for value in self.values) if self.filled else NOT_AVAILABLE
        where = "; ".join(dict.fromkeys(place for one in self.places for place in one.split("; ")))
        one = self.item
        return one.number, one.section, one.text, said, where or "–", one.authors


@dataclass(frozen=True)
class FilledChecklist:
    """A checklist filled from a run."""

    checklist: Checklist
    items: tuple[FilledItem, ...]

    @property
    def counted(self) -> str:
        """How many items the run could say something to."""
        return f"{sum(one.filled for one in self.items)} of {len(self.items)} rows are filled from the run"


def filled_checklists(record: Record) -> tuple[FilledChecklist, ...]:
    """Every checklist, filled."""
    return tuple(FilledChecklist(one, tuple(_filled(each, record) for each in one.items)) for one in CHECKLISTS)


def _filled(item: Item, record: Record) -> FilledItem:
    found = [said for name in item.answers if (said := ANSWERS[name](record)) is not None]
    return FilledItem(item, tuple(value for value, _ in found), tuple(place for _, place in found))


def markdown(filled: FilledChecklist, title: str) -> str:
    """A filled checklist as a Markdown page."""
    lines = [
        f"# {filled.checklist.title}: {plain(title)}",
        "",
        filled.checklist.version,
        "",
        _MIND,
        "",
        f"{filled.counted}.",
        "",
        *table(_HEADS, [one.cells() for one in filled.items]),
    ]
    return "\n".join(lines) + "\n"


def checklists_section(filled: tuple[FilledChecklist, ...]) -> Section:
    """All checklists, folded, for the report."""
    blocks = (Block(text=(_MIND,)), *map(_folded, filled))
    return Section("checklists", "Reporting checklists", "Checklists", blocks)


def _folded(filled: FilledChecklist) -> Block:
    checklist = filled.checklist
    rows = tuple((cells[0], cells[1:]) for cells in (one.cells() for one in filled.items))
    table = Table(f"{checklist.title}: {filled.counted}.", _HEADS, rows)
    return Block(text=(checklist.version,), table=table, folded=checklist.title)
