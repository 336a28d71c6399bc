"""Tar archives (POSIX.1-2008 pax, ustar, GNU): where their members are, from any source of bytes.

The headers are parsed here and not by :mod:`tarfile`, which ends in silence at the first damaged header, takes as much
memory for a long name as its header asks for, and keeps several thousand bytes a member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from medcls.errors import ScanRefused
from medcls.scans.archive.entries import AS_FILE, DEVICE, LINK, MAX_MEMBER_BYTES, SPARSE, TOO_LARGE, Entry, Problem
from medcls.scans.core.refusals import RefusalCode, refusal

ReadAt = Callable[[int, int], bytes]
"""``read_at(offset, size)``: that many bytes, fewer only at the end of the file."""

BLOCK = 512
_ZEROS = bytes(BLOCK)
_MAX_STORED = 2**40  # places beyond this cannot be sought in every file system
_MAX_EXTENSION = 2**20
_MAX_EXTENSIONS = 16
_PADDING = 2**20  # the longest record that tar writes
_REGULAR, _LINKS, _DEVICES = b"07\0", b"12", b"346"
_FOLDERS, _LABEL, _SPARSE, _CONTINUED = b"5D", b"V", b"S", b"M"
_WITHOUT_DATA = b"123456"
_UNKNOWN = Problem(RefusalCode.UNSUPPORTED, "a kind of tar member that is not known here", AS_FILE)
_PART = Problem(RefusalCode.UNSUPPORTED, "one part of a split archive", "Join the parts")


@dataclass
class _Extensions:
    """What the headers before a member's own say about it."""

    name: bytes | None = None
    size: int | None = None
    sparse: bool = False
    count: int = field(default=0)


def looks_like_tar(block: bytes) -> bool:
    """Whether the first block of a file is the header of a tar member."""
    return block[257:262] == b"ustar"


def tar_entries(read_at: ReadAt, where: object) -> Iterator[Entry]:
    """The members, in order; folders are left out.

    Raises:
        ScanRefused: ``damaged`` for a header that is none, or an archive without its end mark:
            it has been cut short, and nobody could tell how many members are missing.
    """
    at = 0
    extensions = _Extensions()
    while True:
        block = read_at(at, BLOCK)
        if block == _ZEROS:
            if extensions.count:
                raise _damaged("the archive is damaged: the member that a header is about is missing", where)
            following = _after_end(read_at, at, where)
            if following is None:
                return
            at = following
            continue
        if len(block) < BLOCK:
            raise _damaged("the archive is cut short", where)
        size = _size(block, where)
        kind = block[156:157]
        at += BLOCK
        if kind in b"xXgLK":
            _extend(extensions, kind, _extension(read_at, at, size, extensions, where), where)
            at += _padded(size)
            continue
        size = size if extensions.size is None else extensions.size
        if kind == _SPARSE:
            at = _after_sparse_maps(read_at, at, block, where)
        name = _name(block, extensions)
        stored = 0 if kind in _WITHOUT_DATA else size
        if kind not in _FOLDERS + _LABEL and not (kind in _REGULAR and name.endswith("/") and not size):
            yield Entry(name, stored, at, _problem(kind, stored, extensions))
        at += _padded(stored)
        extensions = _Extensions()


def _size(block: bytes, where: object) -> int:
    """The size that a header declares, its checksum being right (POSIX.1-2008 pax, "ustar Interchange Format")."""
    total = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    # Some old programs summed signed bytes.
    if (off := total - (_number(block[148:156]) or 0)) and off != 256 * sum(byte > 127 for byte in block):
        raise _damaged("the archive is damaged", where)
    size = _number(block[124:136])
    if size is None or not 0 <= size <= _MAX_STORED:
        raise _damaged("the archive is damaged", where)
    return size


def _number(digits: bytes) -> int | None:
    """An octal number, or GNU's base 256 for those too large for it."""
    if digits[0] in (0x80, 0xFF):
        return int.from_bytes(digits[1:], "big") - (256 ** (len(digits) - 1) if digits[0] == 0xFF else 0)
    text = digits.split(b"\0")[0].strip()
    try:
        return int(text or b"0", 8)
    except ValueError:
        return None


def _extension(read_at: ReadAt, at: int, size: int, extensions: _Extensions, where: object) -> bytes:
    extensions.count += 1
    if size > _MAX_EXTENSION or extensions.count > _MAX_EXTENSIONS:
        raise _damaged("the archive has a header that is too long", where)
    data = read_at(at, size)
    if len(data) < size:
        raise _damaged("the archive is cut short", where)
    return data


def _extend(extensions: _Extensions, kind: bytes, data: bytes, where: object) -> None:
    if kind == b"L":
        extensions.name = data.split(b"\0")[0]
    elif kind in b"xX":
        for key, value in _records(data, where):
            if key in (b"path", b"GNU.sparse.name"):
                extensions.name = value
            elif key == b"size":
                if not (value.isdigit() and len(value) < 20 and int(value) <= _MAX_STORED):
                    raise _damaged("the archive is damaged", where)
                extensions.size = int(value)
            extensions.sparse |= key.startswith(b"GNU.sparse.")


def _records(data: bytes, where: object) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a pax header: ``length key=value``, each ended by a newline."""
    at = 0
    while at < len(data) and data[at : at + 1] != b"\0":
        digits, _, _ = data[at : at + 12].partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        record = data[at + len(digits) + 1 : at + length]
        key, equals, value = record.partition(b"=")
        if length <= len(digits) or at + length > len(data) or not equals or not value.endswith(b"\n"):
            raise _damaged("the archive is damaged", where)
        yield key, value[:-1]
        at += length


def _name(block: bytes, extensions: _Extensions) -> str:
    raw = extensions.name
    if raw is None:
        raw = block[:100].split(b"\0")[0]
        # GNU's own older headers keep times where others keep the folders of a long name.
        prefix = block[345:500].split(b"\0")[0] if block[257:263] == b"ustar\0" else b""
        raw = prefix + b"/" + raw if prefix else raw
    return raw.decode("utf-8", "replace")


def _problem(kind: bytes, size: int, extensions: _Extensions) -> Problem | None:
    if kind in _LINKS:
        return LINK
    if kind in _DEVICES:
        return DEVICE
    if kind == _SPARSE or extensions.sparse:
        return SPARSE
    if kind == _CONTINUED:
        return _PART
    if kind not in _REGULAR:
        return _UNKNOWN
    return TOO_LARGE if size > MAX_MEMBER_BYTES else None


def _after_sparse_maps(read_at: ReadAt, at: int, block: bytes, where: object) -> int:
    more = block[482]
    while more:
        block = read_at(at, BLOCK)
        if len(block) < BLOCK:
            raise _damaged("the archive is cut short", where)
        more = block[504]
        at += BLOCK
    return at


def _after_end(read_at: ReadAt, at: int, where: object) -> int | None:
    """Where the next member begins after blocks of zeros; ``None`` when nothing follows.

    Archives joined end to end go on after their padding, which is two blocks at least. What is no header there is refused as
    any damaged header: it may be what zeros over a header have hidden.
    """
    padding = read_at(at, _PADDING + BLOCK)
    skipped = (len(padding) - len(padding.lstrip(b"\0"))) // BLOCK * BLOCK
    if skipped > _PADDING:
        raise _damaged("the archive is damaged: its end is padded beyond measure", where)
    if not padding[skipped:].strip(b"\0"):
        return None
    if skipped == BLOCK:
        raise _damaged("the archive is damaged: there are zeros in the place of a header", where)
    return at + skipped


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _damaged(what: str, where: object) -> ScanRefused:
    return refusal(RefusalCode.DAMAGED, what, where=where)
