"""Pixel data where they are, and encapsulated ones from items to codestreams (PS3.5 annex A.4)."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any

Bytes = bytes | memoryview

_ITEM, _END = 0xE000FFFE, 0xE0DDFFFE  # as little-endian words
_AT_ONCE = 1 << 24
_BEGINS = 8  # bytes that tell whether a codestream begins
_start = struct.Struct("<II").unpack_from


class InFile:
    """Pixel data in an open file: their bytes are read when they are asked for.

    Args:
        handle: The file.
        start, length: Where they are in it.
        words: Whether they were written as 16-bit words.
    """

    def __init__(self, handle: Any, start: int, length: int, words: bool) -> None:
        self.words = words
        self._handle, self._start, self._length = handle, start, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> bytes:
        first, end, _ = part.indices(self._length)
        self._handle.seek(self._start + first)
        found: bytes = self._handle.read(max(0, end - first))
        return found

    def from_start(self) -> Any:
        """The file, to be read from the first byte on."""
        self._handle.seek(self._start)
        return self._handle


Stored = Bytes | InFile


def stream(data: Stored) -> Iterator[bytes]:
    """The bytes of all fragments after the basic offset table, one after the other: a bit stream that is one (A.4.5 on)."""
    source = data.from_start() if isinstance(data, InFile) else io.BytesIO(data)
    table = True
    while len(head := source.read(8)) == 8:
        item, length = _start(head, 0)
        if item != _ITEM or length == 0xFFFFFFFF:
            return
        while length and (part := source.read(min(length, _AT_ONCE))):
            length -= len(part)
            if not table:
                yield part
        table = False


def codestreams(data: Stored, frames: int, offsets: tuple[bytes, bytes] | None) -> Iterator[Bytes]:
    """The codestreams of frames, their fragments joined.

    Args:
        data: The value of the pixel data: a basic offset table, then fragments.
        frames: NumberOfFrames.
        offsets: Extended offset table and its lengths, where the file has them.
    """
    if isinstance(data, Bytes) and frames == 1 and offsets is None:
        only = _only_fragment(data)
        if only is not None:
            return iter([only])
    from pydicom.encaps import generate_frames

    source = data.from_start() if isinstance(data, InFile) else bytes(data)
    joined: Iterator[Bytes] = generate_frames(source, number_of_frames=frames, extended_offsets=offsets)
    return joined


def count_codestreams(data: Stored) -> int:
    """How many fragments after the basic offset table begin a codestream, which may go on in others."""
    found, at, table = 0, 0, True
    while len(head := data[at : at + 8 + _BEGINS]) >= 8:
        item, length = _start(head, 0)
        if item != _ITEM or length == 0xFFFFFFFF:
            break
        found += not table and _begins(bytes(head[8 : 8 + length]))
        at, table = at + 8 + length, False
    return found


def _begins(fragment: bytes) -> bool:
    """Whether a fragment begins as JPEG and JPEG-LS do (SOI and a marker), JPEG 2000 (SOC, SIZ), or RLE (PS3.5 G.5)."""
    if fragment.startswith((b"\xff\xd8\xff", b"\xff\x4f\xff\x51")):
        return True
    if len(fragment) < _BEGINS:
        return False
    segments, first = _start(fragment, 0)
    return bool(0 < segments < 16 and first == 64)


def _only_fragment(data: Bytes) -> Bytes | None:
    """The one fragment of the only frame, not copied; ``None`` when there are others, or the items are odd."""
    try:
        table, length = _start(data, 0)
        first, size = _start(data, 8 + length)
        start = 16 + length
        end, nothing = _start(data, start + size)
    except struct.error:
        return None
    return data[start : start + size] if (table, first, end, nothing) == (_ITEM, _ITEM, _END, 0) else None
