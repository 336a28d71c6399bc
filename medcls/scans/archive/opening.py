"""Files and members of archives alike, by path: opened, read, measured, listed."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from medcls.bounded import check_regular, open_regular
from medcls.errors import ScanRefused
from medcls.scans.archive.entries import MAX_MEMBERS, Entry, Member, index_of
from medcls.scans.archive.tars import BLOCK, ReadAt, looks_like_tar, tar_entries
from medcls.scans.archive.unpacked import MAGIC, Compression, Unpacked, unpacking
from medcls.scans.archive.zips import read_zip_entry, zip_entries
from medcls.scans.core.refusals import RefusalCode, refusal

_NOT_THERE = frozenset({errno.ENOTDIR, errno.ENOENT, errno.ENAMETOOLONG})
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08PK\x03\x04", b"PK00PK\x03\x04")
_DOCUMENTS = (b"[Content_Types].xml", b"_rels/.rels", b"mimetype")
"""Names that the zip files of office programs begin with: they are documents, and no folders of scans."""
_KEPT = 4
_Kind = Literal["zip", "tar"] | Compression


@dataclass(frozen=True)
class _Archive:
    """An archive whose members are known. Only a compressed tar keeps a file open: its unpacked bytes."""

    index: dict[str, Entry]
    is_zip: bool
    unpacked: Unpacked | None = None

    def read(self, handle: BinaryIO, entry: Entry, where: object, limit: int | None) -> bytes:
        if entry.problem is not None:
            raise entry.problem.error(where)
        if self.is_zip:
            return read_zip_entry(handle, entry, where, limit)
        read_at = _reading(handle) if self.unpacked is None else self.unpacked.read_at
        wanted = entry.size if limit is None else min(limit, entry.size)
        data = read_at(entry.offset, wanted)
        if len(data) != wanted:
            raise refusal(RefusalCode.DAMAGED, "the archive is cut short", where=where)
        return data


@dataclass
class _Kept:
    """The archives that this process used last. Locks and open files of a parent process are not taken over."""

    pid: int = field(default_factory=os.getpid)
    lock: threading.Lock = field(default_factory=threading.Lock)
    archives: OrderedDict[tuple[object, ...], _Archive] = field(default_factory=OrderedDict)

    def get(self, key: tuple[object, ...], handle: BinaryIO, where: object) -> _Archive:
        with self.lock:
            archive = self.archives.get(key)
            if archive is None:
                archive = self.archives[key] = _indexed(handle, where)
            self.archives.move_to_end(key)
            while len(self.archives) > 1 and (
                len(self.archives) > _KEPT or sum(len(kept.index) for kept in self.archives.values()) > MAX_MEMBERS
            ):
                self.archives.popitem(last=False)
            return archive


_kept = _Kept()


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar archive, the latter compressed or not, by its content.

    Documents of office programs, which are zip files too, are none. A member of an archive may be asked about; the members
    *of* such a member cannot be reached, so that it is to be refused.

    Raises:
        OSError: The file cannot be read.
        ScanRefused: It is a member of an archive, and cannot be read.
    """
    head = read_file(path, BLOCK)
    if not (head.startswith(_ZIP) or head.startswith(tuple(MAGIC)) or looks_like_tar(head)):
        return False
    with open_file(path) as handle:
        return _kind(handle) is not None


def members(path: Path) -> tuple[Member, ...]:
    """The files inside an archive, sorted by name; folders are left out, links and the like have a ``problem``.

    Raises:
        ScanRefused: ``damaged``, ``too-large``, ``unsupported``, ``unreadable``; ``not-an-image`` when it is no archive.
        OSError: The file cannot be read.
    """
    with _opened(path) as (_, archive):
        named = sorted(archive.index.items(), key=lambda item: item[0].split("/"))
        return tuple(Member(path / name, name, entry.size, entry.problem) for name, entry in named)


def archive_of(path: Path) -> Path | None:
    """The regular file that ``path`` would be in, were that an archive; ``None`` for paths that exist themselves."""
    try:
        os.lstat(path)
        return None
    except OSError:
        pass
    for parent in path.parents:
        try:
            mode = os.stat(parent).st_mode
        except OSError as error:
            if error.errno in _NOT_THERE:
                continue
            return None
        return parent if stat.S_ISREG(mode) else None
    return None


def open_file(path: Path) -> BinaryIO:
    """Open a file, or a member of an archive, for reading; both can seek.

    Raises:
        OSError: As :func:`medcls.bounded.open_regular`, when no archive holds it either.
        ScanRefused: The archive or the member cannot be read correctly.
    """
    try:
        return open_regular(path)
    except OSError as error:
        missing = error
    return io.BytesIO(_member_bytes(path, missing))


def read_file(path: Path, limit: int | None = None) -> bytes:
    """The bytes of a file or of a member, or the first ``limit`` of them; no more than those are unpacked.

    Raises:
        OSError, ScanRefused: As :func:`open_file`.
    """
    try:
        with open_regular(path) as handle:
            return handle.read(-1 if limit is None else limit)
    except OSError as error:
        missing = error
    return _member_bytes(path, missing, limit)


def file_stat(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change in nanoseconds, for a member that of its archive.

    Raises:
        OSError, ScanRefused: As :func:`open_file`.
    """
    try:
        status = os.stat(path)
        check_regular(status.st_mode, path)
        return status.st_size, status.st_mtime_ns
    except OSError as error:
        missing = error
    with _holding(path, missing) as (handle, _, entry):
        return entry.size, os.fstat(handle.fileno()).st_mtime_ns


def exists(path: Path) -> bool:
    """Whether there is such a file, folder, or member of an archive; never raises."""
    return os.path.exists(path) or is_regular(path)


def is_regular(path: Path) -> bool:
    """Whether there is such a regular file or member of an archive; never raises."""
    try:
        file_stat(path)
    except (OSError, ValueError, ScanRefused):
        return False
    return True


def _member_bytes(path: Path, missing: OSError, limit: int | None = None) -> bytes:
    with _holding(path, missing) as (handle, archive, entry):
        return archive.read(handle, entry, path, limit)


@contextlib.contextmanager
def _holding(path: Path, missing: OSError) -> Iterator[tuple[BinaryIO, _Archive, Entry]]:
    """The archive that holds ``path``, and the member; else ``missing`` is raised."""
    archive_path = archive_of(path) if missing.errno in _NOT_THERE else None
    if archive_path is None:
        raise missing
    name = "/".join(path.parts[len(archive_path.parts) :])
    with _opened(archive_path, missing) as (handle, archive):
        entry = archive.index.get(name)
        if entry is None:
            raise missing
        yield handle, archive, entry


@contextlib.contextmanager
def _opened(path: Path, missing: OSError | None = None) -> Iterator[tuple[BinaryIO, _Archive]]:
    global _kept
    if _kept.pid != os.getpid():
        _kept = _Kept()
    with open_regular(path) as handle:
        status = os.fstat(handle.fileno())
        key = (os.fspath(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        try:
            archive = _kept.get(key, handle, path)
        except _NoArchive:
            if missing is not None:
                raise missing from None
            raise refusal(RefusalCode.NOT_AN_IMAGE, "this is no archive", where=path) from None
        yield handle, archive


class _NoArchive(Exception):
    pass


def _indexed(handle: BinaryIO, where: object) -> _Archive:
    kind = _kind(handle)
    if kind is None:
        raise _NoArchive
    if kind == "zip":
        return _Archive(index_of(zip_entries(handle, where), where), is_zip=True)
    if kind == "tar":
        return _Archive(index_of(tar_entries(_reading(handle), where), where), is_zip=False)
    unpacked = Unpacked(handle, kind, os.fstat(handle.fileno()).st_size, where)
    index = index_of(tar_entries(unpacked.read_at, where), where)
    unpacked.finish()
    return _Archive(index, is_zip=False, unpacked=unpacked)


def _kind(handle: BinaryIO) -> _Kind | None:
    handle.seek(0)
    head = handle.read(BLOCK)
    if head.startswith(_ZIP):
        return None if head[30 : 30 + int.from_bytes(head[26:28], "little")] in _DOCUMENTS else "zip"
    if looks_like_tar(head):
        return "tar"
    for magic, compression in MAGIC.items():
        if head.startswith(magic):
            return compression if looks_like_tar(_unpacked_head(handle, compression)) else None
    return None


def _unpacked_head(handle: BinaryIO, compression: Compression) -> bytes:
    """The first block inside a compressed file; shorter when that is damaged."""
    head = b""
    with contextlib.suppress(Exception):
        for piece in unpacking(handle, compression, BLOCK):
            head += piece
            if len(head) >= BLOCK:
                break
    return head


def _reading(handle: BinaryIO) -> ReadAt:
    def read_at(offset: int, size: int) -> bytes:
        handle.seek(offset)
        return handle.read(size)

    return read_at
