"""What a scan's files and voxels hold, as digests: BLAKE3, which is cryptographic and as fast as files are read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from medcls.errors import ScanRefused
from medcls.scans.archive import archive_of, file_stat, open_file
from medcls.scans.core.paths import Paths
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ReadableScan, ScanSource
from medcls.scans.formats.installed import maker

_CHUNK = 1 << 20


def content_digest(source: ReadableScan) -> str:
    """BLAKE3 over the lengths and bytes of a scan's files, in order, hexadecimal.

    Raises:
        ScanRefused: A file cannot be read.
    """
    whole = blake3(_maker(source))
    memory = memoryview(bytearray(_CHUNK))
    try:
        for path in source.paths:
            length = 0
            with open_file(path) as handle:
                while count := handle.readinto(memory):  # type: ignore[attr-defined]
                    whole.update(memory[:count])
                    length += count
            whole.update(length.to_bytes(8, "little"))
    except OSError as error:
        raise _unreadable(source) from error
    return whole.hexdigest()


def state_digest(source: ReadableScan, key: bytes) -> tuple[bytes, int]:
    """What the file system says of a scan's files, in one keyed digest that gives none of it away.

    Path, size, time of the last change of the content and of the entry, device and inode of each file; for a member of an
    archive, its name, its size, and those of the archive.

    Args:
        source: The scan.
        key: 32 secret bytes.

    Returns:
        The digest, 32 bytes, and the latest time of a change, nanoseconds.

    Raises:
        ScanRefused: A file cannot be reached.
    """
    digest, newest = blake3(_maker(source), key=key), 0
    try:
        for name in Paths.of(source.paths).names:
            status, size = _status(name)
            newest = max(newest, status.st_mtime_ns, status.st_ctime_ns)
            numbers = (size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino)
            digest.update(f"{os.path.abspath(name)}\0{numbers}\n".encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise _unreadable(source) from error
    return digest.digest(), newest


def _maker(source: ReadableScan) -> bytes:
    """Which package reads it, where that is not medcls: another version may read other numbers."""
    return maker(source.kind).encode() if isinstance(source, ScanSource) else b""


def _status(name: str) -> tuple[os.stat_result, int]:
    try:
        status = os.stat(name)
        return status, status.st_size
    except OSError:
        archive = archive_of(Path(name))
        if archive is None:
            raise
        return os.stat(archive), file_stat(Path(name))[0]


class PixelDigest:
    """BLAKE3 over a scan's voxels, slice by slice, and over their shape and type; equal for the same image in another file."""

    def __init__(self) -> None:
        self._digest = blake3()

    def add(self, pixels: NDArray[np.generic]) -> None:
        """Take the next slice ``(y, x)`` or ``(C, y, x)``."""
        self._digest.update(np.ascontiguousarray(pixels).data.cast("B"))

    def of(self, scan: Scan) -> str:
        """The digest once all slices were added, hexadecimal."""
        self._digest.update(repr((scan.array.shape, scan.array.dtype.str)).encode("ascii"))
        return self._digest.hexdigest()


def pixel_digest(scan: Scan) -> str:
    """The :class:`PixelDigest` of a whole scan."""
    digest = PixelDigest()
    volume = scan.layers
    for k in range(volume.shape[3]):
        digest.add(volume[..., k].transpose(0, 2, 1))
    return digest.of(scan)


def _unreadable(source: ReadableScan) -> ScanRefused:
    return ScanRefused(
        "unreadable",
        "a file cannot be read",
        where=source.name,
        remedy="Check that it exists, and who may read it",
    )
