"""Tallies: the same thing said of many scans, as one line with its count and one example."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medcls.scans.core.notes import note_code


@dataclass(frozen=True)
class Tally:
    """What was said of several scans.

    Attributes:
        what: A code, or words.
        count: Of how many scans.
        example: One of them.
    """

    what: str
    count: int
    example: str

    @property
    def of_a_note(self) -> str:
        """The line that is said where a note was counted."""
        scans = "scan" if self.count == 1 else "scans"
        return f"{self.count} {scans} with the note '{self.what}', for example {self.example}"


def tally(said: Iterable[tuple[str, str]]) -> tuple[Tally, ...]:
    """Count what was said, the most frequent first.

    Args:
        said: What, and of which scan; the first one is the example.
    """
    examples: dict[str, list[str]] = {}
    for what, scan in said:
        examples.setdefault(what, []).append(scan)
    found = [Tally(what, len(scans), scans[0]) for what, scans in examples.items()]
    return tuple(sorted(found, key=lambda one: -one.count))


def tally_notes(scans: Iterable[tuple[str, Sequence[str]]]) -> tuple[Tally, ...]:
    """Count the notes of scans by their codes; each scan once.

    Args:
        scans: The scan's name and its notes: a code of :class:`medcls.scans.core.notes.Note` and words, or words alone.
    """
    return tally((code, name) for name, notes in scans for code in dict.fromkeys(map(note_code, notes)))
