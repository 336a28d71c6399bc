"""Paths: the files of a scan, made into paths one by one when they are asked for, as there may be very many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload


class Paths(Sequence[Path]):
    """The paths of files, in their order; equal to a tuple of the same.

    Args:
        names: The paths as text, as ``str(path)`` gives it.
    """

    __slots__ = ("names",)

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = tuple(names)

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Paths:
        """The same paths."""
        return paths if isinstance(paths, cls) else cls(map(str, paths))

    @overload
    def __getitem__(self, index: int) -> Path: ...

    @overload
    def __getitem__(self, index: slice) -> Paths: ...

    def __getitem__(self, index: int | slice) -> Path | Paths:
        return Paths(self.names[index]) if isinstance(index, slice) else Path(self.names[index])

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Path]:
        return map(Path, self.names)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Paths):
            return self.names == other.names
        return tuple(self) == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Paths({len(self)} files)"
