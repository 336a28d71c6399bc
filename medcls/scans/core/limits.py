"""Limits on declared and unpacked sizes, which no honest clinical scan meets.

They are checked before memory is asked for, so that a small file that declares a huge scan costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from medcls.scans.core.refusals import RefusalCode, refusal

MAX_IMAGE_PIXELS = 2**28
"""Pixels of one 2-D image: 16,384 squared. The largest mammograms and radiographs have about 2**25."""

MAX_VOXELS = 2**31
"""Samples of one scan, all channels: 8,192 slices of 512 by 512."""

MAX_FRAMES = 2**18
"""Frames of one file: two hours and a half at 30 in a second."""

MAX_HEADER_BYTES = 2**23
"""Bytes that a compressed header may unpack to."""

MAX_DEFLATE_RATIO = 1_100
"""Deflate cannot compress better than 1,032 to 1 (RFC 1951: 258 bytes from 2 bits), so a larger claim is false."""


def check_size(shape: Iterable[int], where: object) -> None:
    """Refuse a scan whose declared shape is empty or too large.

    Args:
        shape: All axes, channels included. The first two spatial axes are not distinguished from the others.
        where: The file, for the message.

    Raises:
        ScanRefused: ``damaged`` for an axis below 1, ``too-large`` beyond :data:`MAX_VOXELS`.
    """
    sizes = [int(size) for size in shape]
    if any(size < 1 for size in sizes):
        raise refusal(RefusalCode.DAMAGED, f"the declared size {_times(sizes)} is empty", where=where)
    if math.prod(sizes) > MAX_VOXELS:
        raise refusal(RefusalCode.TOO_LARGE, f"the declared size {_times(sizes)} is too large", where=where)


def check_image_size(columns: int, rows: int, where: object) -> None:
    """Refuse a 2-D image of more than :data:`MAX_IMAGE_PIXELS` pixels before it is decoded."""
    check_size((columns, rows), where)
    if columns * rows > MAX_IMAGE_PIXELS:
        raise refusal(RefusalCode.TOO_LARGE, f"the declared size {columns}x{rows} is too large", where=where)


def _times(sizes: list[int]) -> str:
    return "x".join(str(size) for size in sizes)


LOOK_SECONDS = 20.0
"""Processor time for the header of one file."""

LOOK_BYTES = 2**29
"""Memory for the header of one file."""

_BYTES_A_VOXEL = 8
_BYTES_ASIDE = 2**28


def read_seconds(shape: Iterable[int], channels: int) -> float:
    """Processor time for reading a scan: JPEG 2000, the slowest, takes some 0.06 s a million voxels."""
    return LOOK_SECONDS + math.prod(shape) * channels / 1e6


def read_bytes(shape: Iterable[int], channels: int) -> int:
    """Memory for reading a scan of 16-bit voxels: four times their own, and what the decoders need aside."""
    return math.prod(shape) * channels * _BYTES_A_VOXEL + _BYTES_ASIDE
