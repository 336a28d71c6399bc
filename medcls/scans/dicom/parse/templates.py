"""Templates: what files of one series have in common, so that only what differs has to be walked.

A stretch of bytes that begins at a boundary of elements is walked in one way only. Where a file repeats a stretch of an earlier
one, byte for byte, what a walk would find in it is known.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from medcls.scans.dicom.parse.elements_walk import IMPLICIT, Unclear, Walk, take_element

_LONGEST = 1 << 20
_MOST = 4


@dataclass(frozen=True)
class _Template:
    """A kind of files.

    Attributes:
        syntax: TransferSyntaxUID.
        elements: The bytes of each top-level element of the file last learned, the pixels' only up to their value.
        varying: Which of them differ between files.
        steps: A stretch that all files share, and as bytes the tag of the varying element behind it; empty at the end.
        values, vrs: What a walk finds in the stretches.
    """

    syntax: str
    elements: Sequence[bytes]
    varying: frozenset[int]
    steps: Sequence[tuple[bytes, bytes]]
    values: dict[int, bytes]
    vrs: dict[int, str]

    @classmethod
    def of(cls, syntax: str, elements: Sequence[bytes], varying: frozenset[int], walk: Walk) -> _Template:
        """The template of a file that was walked, and of those that differ from it in ``varying`` elements."""
        ends = sorted(varying)
        steps = [(b"".join(elements[before + 1 : end]), elements[end][:4]) for before, end in pairwise([-1, *ends])]
        steps.append((b"".join(elements[ends[-1] + 1 if ends else 0 :]), b""))
        tags = {_tag(elements[number]) for number in varying}
        values = {tag: value for tag, value in walk.values.items() if tag not in tags}
        vrs = {tag: vr for tag, vr in walk.vrs.items() if tag not in tags}
        return cls(syntax, elements, varying, steps, values, vrs)

    def walk(self, data: bytes, at: int, size: int) -> Walk | None:
        """What a walk of a data set finds; ``None`` when it is of another kind."""
        walk = Walk(self.values.copy(), self.vrs.copy())
        implicit = self.syntax == IMPLICIT
        for stretch, tag in self.steps:
            if not data.startswith(stretch, at):
                return None
            at += len(stretch)
            if tag:
                if not data.startswith(tag, at):
                    return None
                at = take_element(data, at, size, implicit, walk)
        return walk if walk.pixels or at == size else None

    def is_alike(self, syntax: str, elements: Sequence[bytes]) -> bool:
        """Whether the same elements follow each other in another file."""
        if syntax != self.syntax or len(elements) != len(self.elements):
            return False
        return all(one[:4] == other[:4] for one, other in zip(self.elements, elements, strict=True))

    def differing(self, elements: Sequence[bytes]) -> frozenset[int]:
        """The elements that vary once a file that is alike belongs to it."""
        pairs = enumerate(zip(self.elements, elements, strict=True))
        return self.varying.union(number for number, (one, other) in pairs if one != other)


class Templates:
    """The kinds of files walked last."""

    def __init__(self) -> None:
        self._known: tuple[_Template, ...] = ()

    def walk(self, data: bytes, at: int, size: int, syntax: str) -> Walk:
        """Walk a data set up to its pixels.

        Args:
            data: The beginning of the file.
            at: Where the data set begins.
            size: Bytes of the whole file.
            syntax: TransferSyntaxUID.

        Raises:
            Unclear, Short, struct.error: As :func:`medcls.scans.dicom.parse.elements_walk.take_element`.
        """
        for template in self._known:
            walk = template.walk(data, at, size) if template.syntax == syntax else None
            if walk is not None:
                return walk
        walk, elements = _walk_all(data, at, size, syntax)
        if sum(map(len, elements)) <= _LONGEST:
            self._learn(syntax, elements, walk)
        return walk

    def _learn(self, syntax: str, elements: Sequence[bytes], walk: Walk) -> None:
        """Remember a file; one that is like those of a known kind widens it."""
        varying = frozenset({len(elements) - 1} if walk.pixels else ())
        others = []
        for template in self._known:
            if template.is_alike(syntax, elements):
                varying |= template.differing(elements)
            else:
                others.append(template)
        # One assignment, so that threads see either all of it or nothing.
        self._known = (_Template.of(syntax, elements, varying, walk), *others[: _MOST - 1])


def _walk_all(data: bytes, at: int, size: int, syntax: str) -> tuple[Walk, list[bytes]]:
    """What a walk finds, and the bytes of each element."""
    implicit = syntax == IMPLICIT
    if implicit and data[at + 4 : at + 6].isalpha():
        raise Unclear  # explicit after all
    walk, starts = Walk({}, {}), [at]
    while at < size and walk.pixels is None:
        at = take_element(data, at, size, implicit, walk)
        starts.append(at)
    if at > size:
        raise Unclear
    return walk, [data[one:after] for one, after in pairwise(starts)]


def _tag(element: bytes) -> int:
    group, number = struct.unpack_from("<HH", element)
    return int(group << 16 | number)
