"""A caution: what a reader must know before believing a metric, and how grave it is.

In files and on the screen a caution is its text; that of an allowed leak begins with :data:`LEAKAGE`, which is put before
it here alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

LEAKAGE = "LEAKAGE"


class Severity(IntEnum):
    """How grave a caution is, the gravest first: the order in which cautions are shown."""

    LEAKAGE = 1
    """Cases that were trained on are evaluated: the metrics are too favourable."""
    SERIOUS = 2
    """A metric, or its interval, may be wrong."""
    NOTE = 3
    """What was done with the data, or what the metrics rest on."""


@dataclass(frozen=True)
class Caution:
    """What a reader must know before believing a metric.

    Attributes:
        severity: How grave it is.
        code: What it is about, in a word or two, for programs.
        text: One sentence, without names of patients.
    """

    severity: Severity
    code: str
    text: str

    @property
    def is_leakage(self) -> bool:
        """Whether patients or images are on two sides, which the user allowed."""
        return self.severity is Severity.LEAKAGE

    def __str__(self) -> str:
        return f"{LEAKAGE}: {self.text}" if self.is_leakage else self.text


def leakage(text: str) -> Caution:
    """That of a leak which the user allowed."""
    return Caution(Severity.LEAKAGE, "leakage", text)


def serious(code: str, *texts: str) -> tuple[Caution, ...]:
    """One for each text: a metric may be wrong."""
    return tuple(Caution(Severity.SERIOUS, code, text) for text in texts)


def note(code: str, *texts: str) -> tuple[Caution, ...]:
    """One for each text: how the metrics came about."""
    return tuple(Caution(Severity.NOTE, code, text) for text in texts)


def in_order(cautions: Iterable[Caution]) -> list[Caution]:
    """The gravest first, and otherwise as they came."""
    return sorted(cautions, key=lambda caution: caution.severity)
