"""What a NRRD or MetaImage header says, and what must hold before any library sees the file."""

from __future__ import annotations

import math
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from medcls.errors import ScanRefused
from medcls.scans.archive import archive_of, exists, is_packed, is_regular, open_file, open_unpacked
from medcls.scans.core.limits import MAX_DEFLATE_RATIO, MAX_HEADER_BYTES, check_size
from medcls.scans.core.notes import Note
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.formats.checks import check_affine, spatial_shape

SIDE_UNKNOWN = (Note.SIDE_UNKNOWN.says("voxel sizes are known, but not which side is left"),)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?nan|[-+]?inf", re.IGNORECASE)
_COUNT = re.compile(r"[-+]?\d{1,18}")
_CHUNK = 1 << 20
_ROOM_BEHIND = 1 << 20  # bytes that may follow the voxels in a compressed stream


@dataclass(frozen=True)
class Geometry:
    """Where voxels are.

    Attributes:
        affine: ``(4, 4)`` voxel to RAS+ millimetres.
        known: Whether the header says which way the axes point; else the affine has the voxel sizes alone.
        notes: What is doubtful.
    """

    affine: NDArray[np.float64]
    known: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ItkHeader:
    """A header that was judged.

    Attributes:
        path: The file that was named.
        pixels: The file that holds the voxels: the same, or the one that a detached header names.
        offset: Where in it they begin, bytes.
        packed: How many bytes they take there when they are compressed; ``None`` for all to the end.
        stored: Spatial axes as stored, fastest first, without the channel.
        shape: Spatial shape ``(x, y)`` or ``(x, y, z)``.
        channels: 1 for grey, 3 for colour.
        dtype: Type of a sample; its byte order says nothing.
        compressed: Whether the voxels are a zlib or gzip stream.
        geometry: Where they are.
        unit: Millimetres in the unit of the header.
        notes: What is doubtful about the values.
    """

    path: Path
    pixels: Path
    offset: int
    packed: int | None
    stored: tuple[int, ...]
    shape: tuple[int, ...]
    channels: int
    dtype: np.dtype[Any]
    compressed: bool
    geometry: Geometry
    unit: float = 1.0
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all voxels."""
        return math.prod(self.stored) * self.channels * self.dtype.itemsize


def header_lines(handle: BinaryIO, where: Path) -> Iterator[str]:
    """The lines of a header, without their ends; whoever asks for them knows which is the last.

    Raises:
        ScanRefused: ``damaged`` when there is no end within :data:`MAX_HEADER_BYTES`, or a line is no text.
    """
    while line := handle.readline(MAX_HEADER_BYTES):
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if handle.tell() > MAX_HEADER_BYTES or any(sign < " " and sign != "\t" for sign in text):
            raise refusal(RefusalCode.DAMAGED, "the header is no text, or has no end", where=where)
        yield text


def counts(text: str, where: Path, *, many: int | None = None) -> tuple[int, ...]:
    """Whole numbers, separated by spaces; ``many`` of them."""
    words = text.split()
    if (many is not None and len(words) != many) or not all(map(_COUNT.fullmatch, words)):
        raise contradiction(where)
    return tuple(int(word) for word in words)


def numbers(text: str, where: Path, *, many: int | None = None) -> tuple[float, ...]:
    """Numbers, separated by spaces; ``many`` of them. They may be no finite ones."""
    words = text.split()
    if (many is not None and len(words) != many) or not all(map(_NUMBER.fullmatch, words)):
        raise contradiction(where)
    return tuple(float(word) for word in words)


def contradiction(where: Path) -> ScanRefused:
    """The refusal for a header that makes no sense."""
    return refusal(RefusalCode.DAMAGED, "the header is incomplete or contradicts itself", where=where)


def spatial(stored: tuple[int, ...], channels: int, where: Path) -> tuple[int, ...]:
    """The shape of an image or a volume of a bearable size; trailing axes of length one are dropped.

    Raises:
        ScanRefused: ``damaged``, ``too-large`` or ``four-dimensional``.
    """
    check_size((*(stored or (0,)), channels), where)
    return spatial_shape(stored, where)


def placed(
    directions: NDArray[np.float64], origin: NDArray[np.float64], to_ras: tuple[float, float, float], where: Path
) -> NDArray[np.float64]:
    """The affine of a volume.

    Args:
        directions: ``(3, 3)``, a row for each axis: the step from one voxel to the next, in the header's space.
        origin: ``(3,)`` centre of the first voxel, in the same space.
        to_ras: What turns the header's space into RAS+: 1 or -1 for each of its axes.
        where: The file, for the message.

    Raises:
        ScanRefused: ``bad-geometry``.
    """
    affine = np.eye(4)
    affine[:3, :3] = np.array(to_ras)[:, np.newaxis] * directions.T
    affine[:3, 3] = np.array(to_ras) * origin
    check_affine(affine, where)
    return affine


def sized(spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """An affine of voxel sizes alone; sizes that are zero or not known become 1."""
    known = [abs(size) if math.isfinite(size) and size else 1.0 for size in spacing]
    return np.diag([*[*known, 1.0, 1.0, 1.0][:3], 1.0])


def data_file(named: str, where: Path) -> Path:
    """The file with the voxels that a detached header names: in the header's own folder or below, and nowhere else.

    Raises:
        ScanRefused: ``unsupported`` for lists and patterns, for places outside and in archives; ``damaged`` when there is
            no such file.
    """
    if not named or named.split()[0] == "LIST" or "%" in named:
        raise refusal(RefusalCode.UNSUPPORTED, "a header of slices that are files of their own", where=where)
    parts = re.split(r"[/\\]", named)
    if ".." in parts or not parts[0] or ":" in named or "\\" in named or named.startswith("~"):
        raise refusal(
            RefusalCode.UNSUPPORTED,
            "the header names a data file outside its own folder",
            where=where,
            remedy="Put the data file beside its header, and name it there without a folder",
        )
    if archive_of(where) is not None or is_packed(where):
        raise refusal(
            RefusalCode.UNSUPPORTED,
            "a header whose data are another file, in an archive or packed",
            where=where,
            remedy="Unpack it first",
        )
    path = where.parent / named
    if not exists(path):
        raise refusal(RefusalCode.DAMAGED, "the data file of this header is missing", where=where)
    if not is_regular(path):
        raise refusal(RefusalCode.DAMAGED, "the data file of this header is no regular file", where=where)
    return path


def open_voxels(pixels: Path, header: Path) -> BinaryIO:
    """Open the file that holds the voxels: a header that holds them itself may be packed as a whole."""
    return open_unpacked(pixels) if pixels == header else open_file(pixels)


def bytes_of(pixels: Path, header: Path) -> int:
    """How many bytes :func:`open_voxels` gives."""
    with open_voxels(pixels, header) as handle:
        return handle.seek(0, os.SEEK_END)


def check_room(header: ItkHeader) -> None:
    """Refuse a header that declares more than its file can hold, before any memory is taken.

    Raises:
        ScanRefused: ``damaged``.
    """
    room = bytes_of(header.pixels, header.path) - header.offset
    held = room if header.packed is None else header.packed
    most = held * MAX_DEFLATE_RATIO if header.compressed else held
    if header.offset < 0 or not 0 <= held <= room or header.size > most:
        raise refusal(RefusalCode.DAMAGED, "the file is shorter than its header declares", where=header.path)


def check_stream(header: ItkHeader) -> None:
    """Unpack a compressed stream to its end, keeping nothing: neither its length nor its checksum is checked by others.

    Raises:
        ScanRefused: ``damaged`` when it is cut short, false, or not of the size that the header declares.
    """
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)
    length, left = 0, header.packed
    with open_voxels(header.pixels, header.path) as handle:
        handle.seek(header.offset)
        while not unpacking.eof and length <= header.size + _ROOM_BEHIND:
            packed = unpacking.unconsumed_tail
            if not packed:
                packed = handle.read(_CHUNK if left is None else min(_CHUNK, left))
                left = None if left is None else left - len(packed)
            try:
                length += len(unpacking.decompress(packed, _CHUNK))
            except zlib.error as error:
                raise _damaged_stream(header) from error
            if not packed:
                break
    if not unpacking.eof:
        raise _damaged_stream(header)
    if not header.size <= length <= header.size + _ROOM_BEHIND:
        raise refusal(RefusalCode.DAMAGED, f"{length} of {header.size} bytes of voxels are there", where=header.path)


def _damaged_stream(header: ItkHeader) -> ScanRefused:
    return refusal(RefusalCode.DAMAGED, "the compressed data are cut short or damaged", where=header.path)
