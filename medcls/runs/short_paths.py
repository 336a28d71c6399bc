"""Names of files and folders with no more of the path than tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def tails(paths: Sequence[Path]) -> list[tuple[str, ...]]:
    """For each path its last parts, as many as no other path ends with; the same path twice has the same tail."""
    return [_tail(path, [other for other in paths if other != path]) for path in paths]


def _tail(path: Path, others: Sequence[Path]) -> tuple[str, ...]:
    parts = path.parts
    for length in range(1, len(parts)):
        if all(other.parts[-length:] != parts[-length:] for other in others):
            return parts[-length:]
    return parts
