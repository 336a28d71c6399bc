"""Run-length frames (RLE Lossless, PS3.5 annex G) of writers whose last run claims more than is left of its segment."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from medcls.scans.codecs.encapsulation import Bytes
from medcls.scans.core.refusals import RefusalCode, refusal

_HEADER = struct.Struct("<16I")


def decode_runs(data: Bytes, planes: int, size: int) -> NDArray[np.uint8]:
    """Decode byte planes, where the standard decoder gives up.

    Args:
        data: The frame: its header, then a segment for each plane.
        planes: How many there are: samples a pixel times bytes a sample.
        size: Bytes of each: rows times columns.

    Returns:
        ``(planes, size)``.

    Raises:
        ScanRefused: ``damaged`` when a plane has fewer bytes, or has more in runs behind the one that completes it.
    """
    if len(data) < _HEADER.size:
        raise refusal(RefusalCode.DAMAGED, "a run-length frame is cut short")
    count, *offsets = _HEADER.unpack_from(data)
    starts = offsets[:planes]
    ends = [*starts[1:], len(data)]
    ordered = all(start < end for start, end in zip(starts, ends, strict=True))
    if count != planes or not ordered or starts[0] < _HEADER.size:
        raise refusal(
            RefusalCode.DAMAGED, f"a run-length frame has {count} segments, or not in order; {planes} are needed"
        )
    decoded = [_plane(bytes(data[start:end]), size) for start, end in zip(starts, ends, strict=True)]
    return np.stack([np.frombuffer(plane, np.uint8) for plane in decoded])


def _plane(segment: bytes, size: int) -> bytes:
    plane, at = bytearray(), 0
    while at < len(segment) and len(plane) < size:
        run = segment[at]
        if run < 128:  # so many and one more follow as they are
            plane += segment[at + 1 : at + 2 + run]
            at += 2 + run
        else:  # the next one is repeated; 128 says nothing
            plane += segment[at + 1 : at + 2] * (257 - run if run > 128 else 0)
            at += 2 if run > 128 else 1
    if len(plane) < size:
        raise refusal(RefusalCode.DAMAGED, f"a run-length frame has {len(plane)} of {size} values")
    if segment[at:].strip(b"\0"):
        raise refusal(RefusalCode.DAMAGED, f"a run-length frame has more than the {size} values that are declared")
    return bytes(plane[:size])
