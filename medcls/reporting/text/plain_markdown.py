"""Texts for Markdown: nothing that a label or a name holds is taken for markup."""

from __future__ import annotations

import re
from collections.abc import Sequence

from medcls.display import printable

_SIGNS = re.compile(r"([\\`*_\[\]>|#])")


def plain(text: str) -> str:
    """A text in one line, with Markdown's signs escaped."""
    return _SIGNS.sub(r"\\\1", printable(" ".join(text.split()))).replace("&", "&amp;").replace("<", "&lt;")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table; cells are escaped."""
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    return [*lines, *(f"| {' | '.join(plain(cell) for cell in row)} |" for row in rows)]
