"""The section of a run that was trained again: what came back of the first one."""

from __future__ import annotations

from collections.abc import Iterable

from medcls.reporting.blocks import Block, Section


def reproduction_section(sentences: Iterable[str]) -> Section:
    """What came back and what did not, the verdict first."""
    return Section("reproduction", "Trained again", "Trained again", (Block(text=tuple(sentences)),))
