"""Encapsulated pixel data: from items to codestreams (PS3.5 annex A.4)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

Bytes = bytes | memoryview

_ITEM, _END = 0xE000FFFE, 0xE0DDFFFE  # as little-endian words
_start = struct.Struct("<II").unpack_from


def codestreams(data: Bytes, frames: int, offsets: tuple[bytes, bytes] | None) -> Iterator[Bytes]:
    """The codestreams of frames, their fragments joined.

    Args:
        data: The value of the pixel data: a basic offset table, then fragments.
        frames: NumberOfFrames.
        offsets: Extended offset table and its lengths, where the file has them.
    """
    only = _only_fragment(data) if frames == 1 and offsets is None else None
    if only is not None:
        return iter([only])
    from pydicom.encaps import generate_frames

    joined: Iterator[Bytes] = generate_frames(bytes(data), number_of_frames=frames, extended_offsets=offsets)
    return joined


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
