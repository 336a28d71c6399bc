"""One entry of the prepared store: a safetensors file with the views of one scan, read through a memory map.

Opening an entry reads its header alone, which carries a keyed checksum, and compares the file's length with it. A view's bytes
are compared with their checksum when they are first read by a process. So nothing damaged is served, and nothing is read that
nobody asked for.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from medcls.bounded import open_regular, parse_json
from medcls.errors import StorageError
from medcls.files import whole_file
from medcls.preprocessing.images.encoding import Codes, Encoding
from medcls.preprocessing.images.prepared import Prepared
from medcls.preprocessing.images.source_values import SourceValues
from medcls.preprocessing.store.digest_cache import secret
from medcls.preprocessing.store.ingest import Ingested

_FORMAT = "medcls-prepared-5"
_LONGEST_HEADER = 1 << 26
_LENGTH_BYTES = 8
_CHECK_BYTES = 8
_KEYED_BYTES = 16
_DTYPES: dict[str, np.dtype[Any]] = {"U8": np.dtype(np.uint8), "F16": np.dtype("<f2")}


@dataclass(frozen=True)
class StoredPrepared:
    """What a recipe made of one scan, on disk: light, and safe to send to another process.

    Attributes:
        path: The safetensors file.
        views: Number of views.
        shape: Shape of one view: ``(C, rows, columns)`` or ``(C, x, y, z)``.
        encoding: What the stored codes mean.
        planes: Channels that are stored: one where all are alike, else all.
        content: BLAKE3 of the scan's files, hexadecimal; equal for copies of the same files.
        pixels: BLAKE3 of the scan's voxels and shape, hexadecimal; equal for the same image in another file.
        modality: As :attr:`medcls.scans.Scan.modality`.
        attributes: As :attr:`medcls.scans.Scan.attributes`: they name nobody.
        notes: What reading and recipe decided about this scan; what its search doubted stands in
            :attr:`medcls.scans.ScanSource.notes`.
    """

    path: Path = field(repr=False)
    views: int
    shape: tuple[int, ...]
    encoding: Encoding
    planes: int
    content: str
    pixels: str
    modality: str = "OT"
    attributes: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    _place: _Place = field(default_factory=lambda: _Place(), repr=False)
    _checked: bytearray = field(default_factory=bytearray, repr=False, compare=False)

    def codes(self, index: int) -> Codes:
        """One view as it is stored, ``(planes, …)`` uint8 or float16: read-only, in memory that the file is mapped into.

        ``encoding.decode`` makes values of it.

        Raises:
            StorageError: The entry is gone, or damaged: it is then removed, so that the next start computes it again.
        """
        if not 0 <= index < self.views:
            raise IndexError(f"view {index} of {self.views}")
        dtype = _DTYPES[self._place.dtype]
        shape = (self.planes, *self.shape[1:])
        length = int(np.prod(shape)) * dtype.itemsize
        codes: Codes = np.frombuffer(self._mapped(self._place.images + index * length, length), dtype).reshape(shape)
        if not self._checked[index]:
            if _check(codes) != self._place.checks[index * _CHECK_BYTES : (index + 1) * _CHECK_BYTES]:
                raise self._damaged()
            self._checked[index] = 1
        return codes

    def view(self, index: int) -> NDArray[np.float32]:
        """The values of one view ``(C, …)``; only its own bytes are read.

        Raises:
            StorageError: As :meth:`codes`.
        """
        return self.encoding.decode(self.codes(index))

    def read(self) -> Prepared:
        """All views and their affines.

        Raises:
            StorageError: As :meth:`codes`.
        """
        images = np.stack([self.view(index) for index in range(self.views)])
        affines = np.array(parse_json(self._about("affines")), np.float64).reshape(-1, 4, 4)
        return Prepared(images, affines, self.notes)

    @property
    def fingerprint(self) -> str:
        """As :attr:`medcls.preprocessing.store.ingest.Ingested.fingerprint`; read from the file when it is asked for.

        Raises:
            StorageError: As :meth:`codes`.
        """
        return self._about("fingerprint")

    @property
    def values(self) -> SourceValues:
        """How bright the scan was before the recipe; read from the file when it is asked for.

        Raises:
            StorageError: As :meth:`codes`.
        """
        said = parse_json(self._about("values"))
        return SourceValues(said["depth"], tuple(said["percentiles"]))

    def _about(self, name: str) -> str:
        """What the header says beyond what is held for every case of a cohort."""
        with _asking(self.path), open_regular(self.path) as handle:
            header = _header(self.path, _head(handle))
        if header is None or name not in header["__metadata__"]:
            raise self._damaged()
        return str(header["__metadata__"][name])

    def _mapped(self, start: int, length: int) -> memoryview:
        begin = start // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
        with _asking(self.path), open_regular(self.path) as handle:
            # Reading past the end of a map would kill the process.
            if os.fstat(handle.fileno()).st_size != self._place.size:
                raise self._damaged()
            mapped = mmap.mmap(handle.fileno(), start + length - begin, access=mmap.ACCESS_READ, offset=begin)
        return memoryview(mapped)[start - begin : start - begin + length]

    def _damaged(self) -> StorageError:
        with contextlib.suppress(OSError):
            self.path.unlink()
        return StorageError(
            "a prepared scan is damaged", where=self.path.name, remedy="Start again: it is prepared anew"
        )


@dataclass(frozen=True)
class _Place:
    """Where things are in an entry's file.

    Attributes:
        size: Bytes of the file.
        images: Where the codes of the first view begin.
        dtype: safetensors' name of their type.
        checks: Checksums of all views, one after the other.
    """

    size: int = 0
    images: int = 0
    dtype: str = "U8"
    checks: bytes = b""


@contextlib.contextmanager
def _asking(path: Path) -> Iterator[None]:
    """An entry that was there and cannot be read any more is one line."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"a prepared scan cannot be read ({(error.strerror or 'error').lower()})",
            where=path.name,
            remedy="Start again: what is missing is prepared anew",
        ) from error


def write_entry(path: Path, ingested: Ingested, content: str) -> StoredPrepared:
    """Write an entry as a whole file that only its owner may read.

    Raises:
        StorageError: The disk is full or read-only.
    """
    from safetensors.numpy import save

    encoded = ingested.encoded
    about = {
        "format": _FORMAT,
        "key": path.stem,
        "content": content,
        "pixels": ingested.pixels,
        "modality": ingested.modality,
        "facts": json.dumps(dict(ingested.attributes)),
        "notes": json.dumps(list(ingested.notes)),
        "fingerprint": ingested.fingerprint,
        "values": json.dumps(asdict(ingested.values)),
        "encoding": json.dumps(asdict(encoded.encoding)),
        "checks": b"".join(_check(view) for view in encoded.codes).hex(),
        "affines": json.dumps(encoded.affines.ravel().tolist()),
    }
    about["check"] = _check_of_header(path, about, list(encoded.codes.shape))
    data = save({"images": encoded.codes}, metadata=about)
    with whole_file(path, private=True) as handle:
        handle.write(data)
    stored = _stored(path, _head(io.BytesIO(data)), len(data))
    if stored is None:
        raise ValueError("an entry that was just written cannot be read")
    return stored


def read_entry(path: Path) -> StoredPrepared | None:
    """The entry at ``path`` when it is there and its header is whole; ``None`` when it is missing or damaged."""
    try:
        with open_regular(path) as handle:
            return _stored(path, _head(handle), os.fstat(handle.fileno()).st_size)
    except OSError:
        return None


def _head(handle: IO[bytes] | io.RawIOBase) -> bytes:
    """A file's first bytes, up to the end of its header."""
    head = handle.read(_LENGTH_BYTES) or b""
    return head + (handle.read(min(int.from_bytes(head, "little"), _LONGEST_HEADER)) or b"")


def _header(path: Path, head: bytes) -> dict[str, Any] | None:
    """What a header says; ``None`` when it is damaged, or of another entry."""
    try:
        header = parse_json(head[_LENGTH_BYTES:])
        about, shape = header["__metadata__"], header["images"]["shape"]
        if (
            about["format"] != _FORMAT
            or about["key"] != path.stem
            or about["check"] != _check_of_header(path, about, shape)
        ):
            return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return dict(header)


def _stored(path: Path, head: bytes, size: int) -> StoredPrepared | None:
    """The entry that a file's first bytes describe; ``None`` when they contradict themselves or the file's size."""
    header = _header(path, head)
    if header is None:
        return None
    try:
        about, images = header["__metadata__"], header["images"]
        views, planes, *spatial = (int(n) for n in images["shape"])
        start, end = (int(offset) for offset in images["data_offsets"])
        length = views * planes * math.prod(spatial) * _DTYPES[images["dtype"]].itemsize
        if min(views, planes, *spatial) < 1 or start < 0 or end - start != length or size != len(head) + end:
            return None
        encoding = _encoding(parse_json(about["encoding"]))
        checks = bytes.fromhex(about["checks"])
        if len(checks) != views * _CHECK_BYTES or planes not in (1, encoding.channels):
            return None
        return StoredPrepared(
            path=path,
            views=views,
            shape=(encoding.channels, *spatial),
            encoding=encoding,
            planes=planes,
            content=about["content"],
            pixels=about["pixels"],
            modality=about["modality"],
            attributes=parse_json(about["facts"]),
            notes=tuple(parse_json(about["notes"])),
            _place=_Place(size, len(head) + start, images["dtype"], checks),
            _checked=bytearray(views),
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None


def _encoding(plain: Mapping[str, Any]) -> Encoding:
    values = dict(plain)
    return Encoding(values["precision"], values["channels"], tuple(values["scale"]), tuple(values["offset"]))


def _check(codes: Codes) -> bytes:
    return blake3(np.ascontiguousarray(codes).data.cast("B")).digest(length=_CHECK_BYTES)


def _check_of_header(path: Path, about: Mapping[str, str], shape: list[int]) -> str:
    """Keyed by the store's own secret: who can put a file into the store, and not read the secret, makes no entry."""
    said = {name: value for name, value in about.items() if name != "check"}
    text = json.dumps([said, shape], sort_keys=True).encode("utf-8")
    return blake3(text, key=secret(path.parent.parent)).hexdigest(length=_KEYED_BYTES)
