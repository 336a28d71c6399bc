"""A compressed file as one that can be read anywhere: unpacked once, into memory or a temporary file without a name.

Members of a compressed tar are asked for in any order, and again; unpacking from the start for each would take a time
that grows with the square of their number. Small archives stay in memory. Larger ones go to a temporary file that has no
name from its beginning, or loses it at once: no other process can open it, and it is gone when this process ends.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tempfile
import threading
import weakref
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Literal

from medcls.errors import ScanRefused
from medcls.scans.archive.entries import FREE_OF_RATIO
from medcls.scans.core.limits import MAX_DEFLATE_RATIO
from medcls.scans.core.refusals import RefusalCode, refusal

Compression = Literal["gz", "bz2", "xz", "zst"]
MAGIC: dict[bytes, Compression] = {
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
}

MAX_UNPACKED = 2**33
"""Bytes that a compressed tar may unpack to."""

IN_MEMORY = 2**26
"""Bytes above which it goes to a temporary file."""

_CHUNK = 2**20
_XZ_MEMORY = 2**27
"""Twice what ``xz -9`` needs."""
_ZSTD_RATIO = 2**15
"""A block of zstd has 128 KiB at most, and takes 4 bytes at least."""


class Unpacked:
    """The unpacked bytes of a gzip, bzip2, xz or zstd file, unpacked as far as they are asked for; safe to share by threads.

    Args:
        handle: The compressed file; it is used until :meth:`finish`.
        compression: How it is packed.
        packed: Its size in bytes.
        where: The archive, for messages.
    """

    def __init__(self, handle: BinaryIO, compression: Compression, packed: int, where: object) -> None:
        self._stream: Iterator[bytes] = unpacking(handle, compression)
        self._packed = packed
        self._where = where
        self._length = 0
        self._lock = threading.Lock()
        self._store: BinaryIO = io.BytesIO()

    def read_at(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset``, fewer only at the end.

        Raises:
            ScanRefused: ``damaged``, ``unsupported``, ``too-large``; ``unreadable`` when there is no room for them.
        """
        with self._lock:
            while self._length < offset + size and self._pull():
                pass
            self._store.seek(offset)
            pieces: list[bytes] = []
            while size > 0 and (piece := self._store.read(size)):
                pieces.append(piece)
                size -= len(piece)
            return b"".join(pieces)

    def finish(self) -> int:
        """Unpack to the end, so that the checksums are verified and the compressed file is no longer needed; all bytes."""
        with self._lock:
            while self._pull():
                pass
        self._stream = iter(())
        return self._length

    def _pull(self) -> bool:
        try:
            piece = next(self._stream, b"")
        except lzma.LZMAError as error:
            if "emory" in str(error):
                raise refusal(RefusalCode.UNSUPPORTED, "xz with too large a dictionary", where=self._where) from error
            raise self._damaged() from error
        except (zlib.error, EOFError, ValueError) as error:
            raise self._damaged() from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise self._damaged() from error
        self._length += len(piece)
        trap = self._length > FREE_OF_RATIO and self._length > self._packed * MAX_DEFLATE_RATIO
        if trap or self._length > MAX_UNPACKED:
            raise refusal(RefusalCode.TOO_LARGE, "it unpacks to too much", where=self._where)
        self._keep(piece)
        return bool(piece)

    def _keep(self, piece: bytes) -> None:
        try:
            if self._length > IN_MEMORY and isinstance(self._store, io.BytesIO):
                # Unbuffered, so that closing it in a forked process does not move the place where this one reads.
                larger: BinaryIO = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
                weakref.finalize(self, larger.close)
                _write(larger, self._store.getvalue())
                self._store = larger
            self._store.seek(0, io.SEEK_END)
            _write(self._store, piece)
        except OSError as error:
            raise refusal(
                RefusalCode.UNREADABLE,
                "there is no room in the temporary folder to look into this archive",
                where=self._where,
                remedy="Free some space, set TMPDIR to another folder, or use an uncompressed tar or a zip archive",
            ) from error

    def _damaged(self) -> ScanRefused:
        return refusal(RefusalCode.DAMAGED, "the packed data are damaged or cut short", where=self._where)


def unpacking(handle: BinaryIO, compression: Compression, piece: int = _CHUNK) -> Iterator[bytes]:
    """The unpacked bytes, in pieces of at most ``piece`` bytes, whatever the packed ones say.

    Raises:
        OSError, EOFError, zlib.error, lzma.LZMAError: The data are damaged, or the file cannot be read.
    """
    handle.seek(0)
    if compression == "gz":
        with gzip.GzipFile(fileobj=handle) as stream:
            while data := stream.read(piece):
                yield data
    elif compression == "bz2":
        yield from _pieces(handle, bz2.BZ2Decompressor, b"BZh", piece)
    elif compression == "zst":
        whole = _zstd(handle.read())
        yield from (bytes(whole[start : start + piece]) for start in range(0, len(whole), piece))
    else:
        yield from _pieces(handle, _xz, b"\xfd7zXZ\0", piece)


def _zstd(packed: bytes) -> bytes | bytearray:
    """All that a zstd file holds, of the size that its frame header declares (RFC 8878, 3.1.1.1)."""
    import imagecodecs

    described = packed[4] if len(packed) > 4 else 0
    single, width = described >> 5 & 1, (0, 2, 4, 8)[described >> 6]
    at = 6 - single + (0, 1, 2, 4)[described & 3]
    size = int.from_bytes(packed[at : at + (width or single)], "little") + (256 if width == 2 else 0)
    if not (width or single):
        raise refusal(RefusalCode.UNSUPPORTED, "zstd that does not say how large it is", remedy="Unpack it first")
    if size > min(FREE_OF_RATIO, len(packed) * _ZSTD_RATIO):
        raise refusal(RefusalCode.TOO_LARGE, "it unpacks to too much")
    try:
        data: bytes | bytearray = imagecodecs.zstd_decode(packed, out=size)
    except imagecodecs.ZstdError as error:
        raise EOFError from error
    if len(data) != size:
        raise EOFError
    return data


def _xz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


def _pieces(
    handle: BinaryIO, make: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor], magic: bytes, piece: int
) -> Iterator[bytes]:
    """One stream after the other; whatever else follows the last is no part of them."""
    decoder, packed = make(), b""
    while True:
        if decoder.eof:
            packed = decoder.unused_data.lstrip(b"\0") or handle.read(_CHUNK).lstrip(b"\0")
            packed += handle.read(len(magic)) if packed else b""
            if not packed.startswith(magic):
                return
            decoder = make()
        elif decoder.needs_input:
            packed = handle.read(_CHUNK)
            if not packed:
                raise EOFError
        data = decoder.decompress(packed, piece)
        packed = b""
        if data:
            yield data


def _write(file: BinaryIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
