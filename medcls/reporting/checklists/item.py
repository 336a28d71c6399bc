"""An item of a reporting guideline, and a checklist of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """One item.

    Attributes:
        number: As the guideline counts it.
        section: The part of a paper that it belongs to.
        text: What it asks for, in our words.
        answers: Names of what a run may know of it (:data:`medcls.reporting.checklists.answers.ANSWERS`).
        authors: What the authors must write, as a run cannot know it.
    """

    number: str
    section: str
    text: str
    answers: tuple[str, ...]
    authors: str


@dataclass(frozen=True)
class Checklist:
    """A guideline's items.

    Attributes:
        name: Of its file.
        title: Of the guideline.
        version: Which version the numbers follow, and where the original is.
        items: In the guideline's order.
    """

    name: str
    title: str
    version: str
    items: tuple[Item, ...]


def item(number: str, section: str, text: str, authors: str, *answers: str) -> Item:
    """An item; short, because tables are made of it."""
    return Item(number, section, text, answers, authors)
