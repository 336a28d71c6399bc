"""One file that is packed by itself (``IM0001.dcm.gz``, ``scan.nii.xz``), read in place as if it were not."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, BinaryIO

from medcls.scans.archive.opening import open_file
from medcls.scans.archive.unpacked import MAGIC, Unpacked

ENDINGS = (".gz", ".bz2", ".xz", ".zst")
_MAGIC_BYTES = max(map(len, MAGIC))


def open_unpacked(path: Path) -> BinaryIO:
    """Open what a file holds: its bytes, or those that it unpacks to; both can seek.

    No more is unpacked than is asked for; to seek its end, or to read to it, verifies the checksum.

    Raises:
        OSError, ScanRefused: As :func:`medcls.scans.archive.open_file`. Reading raises ``damaged`` where the packed data are,
            and ``too-large`` when they are a trap.
    """
    handle = open_file(path)
    head = handle.read(_MAGIC_BYTES)
    compression = next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), None)
    size = handle.seek(0, os.SEEK_END)
    handle.seek(0)
    if compression is None:
        return handle
    return io.BufferedReader(_Inside(handle, Unpacked(handle, compression, size, path), path), 1 << 16)


def read_unpacked(path: Path, limit: int | None = None) -> bytes:
    """The bytes that :func:`open_unpacked` gives, or the first ``limit`` of them."""
    with open_unpacked(path) as handle:
        return handle.read(-1 if limit is None else limit)


def unpacked_size(path: Path) -> int:
    """How many bytes :func:`open_unpacked` gives."""
    with open_unpacked(path) as handle:
        return handle.seek(0, os.SEEK_END)


def is_packed(path: Path) -> bool:
    """Whether a file is packed by itself, or an archive that is packed as a whole."""
    with open_file(path) as handle:
        return handle.read(_MAGIC_BYTES).startswith(tuple(MAGIC))


def unpacked_name(path: Path) -> Path:
    """The name of what a file unpacks to."""
    return path.with_suffix("") if path.suffix.lower() in ENDINGS else path


class _Inside(io.RawIOBase):
    """The unpacked bytes as a file, whose ``name`` pydicom asks for."""

    def __init__(self, packed: BinaryIO, unpacked: Unpacked, path: Path) -> None:
        self.name = str(path)
        self._packed, self._unpacked = packed, unpacked
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, memory: Any) -> int:
        data = self._unpacked.read_at(self._at, len(memory))
        memory[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        starts = {os.SEEK_SET: lambda: 0, os.SEEK_CUR: lambda: self._at, os.SEEK_END: self._unpacked.finish}
        self._at = max(0, starts[whence]() + offset)
        return self._at

    def close(self) -> None:
        self._packed.close()
        super().close()
