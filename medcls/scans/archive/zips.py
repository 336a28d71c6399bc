"""Zip archives (PKWARE APPNOTE 6.3.10): the central directory and single members, from a seekable file.

The directory is parsed here and not by :mod:`zipfile`, which keeps ten times the memory a member, gives up the whole
archive for one bad name, and lets members share their data.
"""

from __future__ import annotations

import bz2
import stat
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from medcls.errors import ScanRefused
from medcls.scans.archive.entries import (
    DEVICE,
    ENCRYPTED,
    FALSE_SIZE,
    FREE_OF_RATIO,
    FULL_FOLDER,
    LINK,
    MAX_MEMBER_BYTES,
    MAX_MEMBERS,
    MAX_NAME_CHARACTERS,
    TOO_LARGE,
    Entry,
    Problem,
)
from medcls.scans.core.limits import MAX_DEFLATE_RATIO
from medcls.scans.core.refusals import RefusalCode, refusal

_STORED, _DEFLATED, _BZIP2 = 0, 8, 12
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s4B4H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_ALL_ONES = 0xFFFFFFFF
_MAX_DIRECTORY = MAX_NAME_CHARACTERS + MAX_MEMBERS * _CENTRAL.size
_CHUNK = 2**20
_METHOD = Problem(RefusalCode.UNSUPPORTED, "packed by a method that is not known here", "Make a plain zip archive")
_ENCRYPTED_FLAGS = 0x2041  # encrypted, strongly encrypted, directory masked


def zip_entries(handle: BinaryIO, where: object) -> list[Entry]:
    """The members that the central directory lists; folders are left out.

    Raises:
        ScanRefused: ``damaged`` when the directory is cut short, contradicts itself, or members share data;
            ``unsupported`` for a split archive; ``too-large`` for too many members.
    """
    start, size, count = _directory(handle, where)
    if count > MAX_MEMBERS or size > _MAX_DIRECTORY:
        raise refusal(RefusalCode.TOO_LARGE, "the archive holds too many files", where=where)
    handle.seek(start)
    block = handle.read(size)
    if len(block) != size:
        raise _damaged("the directory of the archive is cut short", where)
    entries = list(_parsed(block, where))
    # Some writers count modulo 65,536.
    if (len(entries) - count) & 0xFFFF:
        raise _damaged("the archive does not hold as many files as it declares", where)
    placed = _placed(entries, start, where)
    return [entry for entry in placed if not (entry.name.endswith(("/", "\\")) and entry.problem is None)]


def _directory(handle: BinaryIO, where: object) -> tuple[int, int, int]:
    """Start, size in bytes, and number of entries of the central directory."""
    length = handle.seek(0, 2)
    tail_at = max(0, length - _END.size - 0xFFFF)
    handle.seek(tail_at)
    tail = handle.read(length - tail_at)
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0 and (at + _END.size > len(tail) or _end_of(tail, at) != len(tail)):
        at = tail.rfind(b"PK\x05\x06", 0, at)
    if at < 0:
        raise _damaged("the archive is cut short", where)
    _, disk, first_disk, here, count, size, start, _ = _END.unpack_from(tail, at)
    end = tail_at + at
    if 0xFFFF in (disk, first_disk, here, count) or _ALL_ONES in (size, start):
        wide = _directory_64(handle, end)
        if wide is not None:
            start, size, count, end = wide
            disk = first_disk = 0
    if disk or first_disk:
        raise refusal(RefusalCode.UNSUPPORTED, "one part of a split archive", where=where, remedy="Join the parts")
    # Anything between would mean another archive in front of this one, whose members nobody would see.
    if start + size != end:
        raise _damaged("the directory of the archive is not where it should be", where)
    return start, size, count


def _end_of(tail: bytes, at: int) -> int:
    return at + _END.size + int(_END.unpack_from(tail, at)[-1])


def _directory_64(handle: BinaryIO, end: int) -> tuple[int, int, int, int] | None:
    """Start, size, count, and the place of the Zip64 end record; ``None`` when there is none."""
    if end < _LOCATOR_64.size:
        return None
    handle.seek(end - _LOCATOR_64.size)
    signature, _, at, _ = _LOCATOR_64.unpack(handle.read(_LOCATOR_64.size))
    if signature != b"PK\x06\x07" or at > end - _LOCATOR_64.size - _END_64.size:
        return None
    handle.seek(at)
    signature, _, _, _, _, _, _, count, size, start = _END_64.unpack(handle.read(_END_64.size))
    return (start, size, count, at) if signature == b"PK\x06\x06" else None


def _parsed(block: bytes, where: object) -> Iterator[Entry]:
    at = 0
    seen = 0
    while at < len(block):
        if len(block) - at < _CENTRAL.size or block[at : at + 4] != b"PK\x01\x02":
            raise _damaged("the directory of the archive is damaged", where)
        fields = _CENTRAL.unpack_from(block, at)
        name_at = at + _CENTRAL.size
        extra_at = name_at + fields[12]
        at = extra_at + fields[13] + fields[14]
        seen += 1
        if at > len(block):
            raise _damaged("the directory of the archive is damaged", where)
        if seen > MAX_MEMBERS:
            raise refusal(RefusalCode.TOO_LARGE, "the archive holds too many files", where=where)
        yield _entry(fields, block[name_at:extra_at], block[extra_at : extra_at + fields[13]])


def _entry(fields: tuple[int, ...], raw: bytes, extra: bytes) -> Entry:
    flags, method, crc, packed, size = fields[5], fields[6], fields[9], fields[10], fields[11]
    attributes, offset = fields[17], fields[18]
    if _ALL_ONES in (packed, size, offset):
        size, packed, offset = _wide(extra, size, packed, offset)
    name = _decoded(raw)
    problem = _problem(name, flags, method, size, packed, attributes)
    return Entry(name, size, offset, problem, packed, method, crc)


def _wide(extra: bytes, *values: int) -> tuple[int, int, int]:
    """Size, packed size and offset, each from the Zip64 extra field where its own is all ones (APPNOTE 4.5.3)."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            count = min(length, len(extra) - at - 4) // 8
            numbers = iter(struct.unpack_from(f"<{count}Q", extra, at + 4))
            size, packed, offset = (next(numbers, value) if value == _ALL_ONES else value for value in values)
            return size, packed, offset
        at += 4 + length
    size, packed, offset = values
    return size, packed, offset


def _decoded(raw: bytes) -> str:
    """UTF-8 where the bytes are that, whatever the flag says: many writers forget it."""
    raw = raw.rstrip(b"\0")  # within a name it is damage: what follows is no less of the name
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp437")


def _problem(name: str, flags: int, method: int, size: int, packed: int, attributes: int) -> Problem | None:
    if name.endswith(("/", "\\")):
        return FULL_FOLDER if size else None
    kind = stat.S_IFMT(attributes >> 16)
    if kind == stat.S_IFLNK:
        return LINK
    if kind not in (0, stat.S_IFREG):
        return DEVICE
    if flags & _ENCRYPTED_FLAGS:
        return ENCRYPTED
    if method not in (_STORED, _DEFLATED, _BZIP2) or flags & 0x20:
        return _METHOD
    too_dense = size > (packed + 1) * MAX_DEFLATE_RATIO
    if (method == _DEFLATED and too_dense) or (method == _STORED and size != packed):
        return FALSE_SIZE
    return TOO_LARGE if size > MAX_MEMBER_BYTES or (size > FREE_OF_RATIO and too_dense) else None


def _placed(entries: list[Entry], directory: int, where: object) -> list[Entry]:
    """The entries with the place where each must end.

    Raises:
        ScanRefused: ``damaged`` when two share bytes, as in archives that unpack to far more than they could hold.
    """
    ends: dict[int, int] = {}
    end = directory
    for entry in sorted(entries, key=lambda entry: entry.offset, reverse=True):
        if entry.offset + _LOCAL.size + entry.packed > end:
            raise _damaged("files of the archive share their bytes", where)
        ends[entry.offset] = end
        end = entry.offset
    return [entry._replace(end=ends[entry.offset]) for entry in entries]


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflater:
    """:func:`zlib.decompressobj` with the interface of :class:`bz2.BZ2Decompressor`."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
        self.eof = False
        self.needs_input = True

    def decompress(self, data: bytes, max_length: int) -> bytes:
        data = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.eof = self._inner.eof
        self.needs_input = not self._inner.unconsumed_tail
        return data


def read_zip_entry(handle: BinaryIO, entry: Entry, where: object, limit: int | None = None) -> bytes:
    """The bytes of a member that has no problem, or its first ``limit`` ones.

    Never unpacks more than one byte beyond the declared size. The checksum is verified unless ``limit`` cuts it short.

    Raises:
        ScanRefused: ``damaged``.
    """
    handle.seek(entry.offset)
    head = handle.read(_LOCAL.size)
    if len(head) < _LOCAL.size or head[:4] != b"PK\x03\x04":
        raise _damaged("it is not where the directory of the archive says", where)
    fields = _LOCAL.unpack(head)
    start = entry.offset + _LOCAL.size + fields[-2] + fields[-1]
    if start + entry.packed > entry.end:
        raise _damaged("files of the archive share their bytes", where)
    handle.seek(start)
    whole = limit is None or limit >= entry.size
    wanted = entry.size if whole or limit is None else limit
    data = handle.read(wanted) if entry.method == _STORED else _unpacked(handle, entry, wanted + whole, where)
    if len(data) != wanted:
        raise _damaged(f"it does not hold the {entry.size} bytes that the archive declares", where)
    if whole and zlib.crc32(data) != entry.crc:
        raise _damaged("its checksum is wrong", where)
    return data


def _unpacked(handle: BinaryIO, entry: Entry, most: int, where: object) -> bytes:
    """What the member unpacks to, ``most`` bytes at most."""
    decoder: _Decoder = _Inflater() if entry.method == _DEFLATED else bz2.BZ2Decompressor()
    left, got = entry.packed, 0
    pieces: list[bytes] = []
    try:
        while got < most and not decoder.eof:
            data = handle.read(min(left, _CHUNK)) if decoder.needs_input else b""
            left -= len(data)
            piece = decoder.decompress(data, most - got)
            pieces.append(piece)
            got += len(piece)
            if not data and not piece:
                raise EOFError
    except (zlib.error, OSError, EOFError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _damaged("it cannot be unpacked", where) from error
    return b"".join(pieces)


def _damaged(what: str, where: object) -> ScanRefused:
    return refusal(RefusalCode.DAMAGED, what, where=where)
