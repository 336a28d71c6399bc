"""Opening one DICOM file: by the fast parser when it is plain, by pydicom when a judge is needed."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medcls.scans.archive import open_file
from medcls.scans.codes import RefusalCode, refusal
from medcls.scans.dicom.elements import Elements
from medcls.scans.dicom.fastparse import parse
from medcls.scans.dicom.frames import Frame
from medcls.scans.dicom.parsing import frames_of
from medcls.scans.dicom.syntaxes import NATIVE
from medcls.scans.dicom.text import whole
from medcls.scans.dicom.walking import Short

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

HEAD = 16384
"""Bytes read at once; most headers are shorter."""

_LONGEST_HEADER = 1 << 24


@dataclass(frozen=True)
class PixelBytes:
    """The pixel data of a file as they are stored (PS3.5 section 8 and annex A.4).

    Attributes:
        data: All of them; ``None`` when the file has none.
        words: Whether they were written as 16-bit words, which matters to 8-bit samples in big endian.
        planar: PlanarConfiguration.
        offsets: Extended offset table and its lengths.
        dataset: The whole file, where colours or values may pass through look-up tables; else ``None``.
    """

    data: bytes | memoryview | None
    words: bool = False
    planar: int = 0
    offsets: tuple[bytes, bytes] | None = None
    dataset: Dataset | None = None


@dataclass(frozen=True)
class Instance:
    """One DICOM file.

    Attributes:
        frames: What it holds.
        pixels: Their values, not yet decoded.
    """

    frames: list[Frame]
    pixels: PixelBytes


class Scratch:
    """Memory that pixel data are read into, again and again."""

    def __init__(self) -> None:
        self._memory = bytearray()

    def read(self, handle: Any, offset: int, length: int, path: Path) -> memoryview:
        """``length`` bytes from ``offset`` on; valid until the next call."""
        if len(self._memory) < length:
            self._memory = bytearray(length)
        view = memoryview(self._memory)[:length]
        handle.seek(offset)
        done = 0
        while done < length:
            count = handle.readinto(view[done:])
            if not count:
                raise refusal(RefusalCode.DAMAGED, f"{done} of {length} bytes of pixels are there", where=path)
            done += count
        return view


def open_instance(path: Path, scratch: Scratch) -> Instance:
    """Open any DICOM file.

    Raises:
        ScanRefused: It holds no image, or is damaged, or its kind is not supported.
    """
    plain = open_plain(path, scratch, compressed=True)
    if plain is not None:
        return plain
    from medcls.scans.dicom.headers import read_whole

    dataset = read_whole(path)
    return Instance(frames_of(dataset, path), _judged_pixels(dataset))


def open_plain(path: Path, scratch: Scratch, *, compressed: bool) -> Instance | None:
    """Open a plain file; ``None`` when pydicom is to judge.

    Args:
        path: The file.
        scratch: Where its pixels are put.
        compressed: Whether pixels that need a codec will do.

    Raises:
        ScanRefused: As :func:`open_instance`.
        OSError: The file cannot be read.
    """
    with _unbuffered(path) as handle:
        head = handle.read(HEAD)
        size = handle.seek(0, io.SEEK_END) if len(head) == HEAD else len(head)
        elements = plain_elements(handle, size, head)
        if elements is None or elements.pixels is None or not (compressed or elements.syntax in NATIVE):
            return None
        offset, length = elements.pixels
        if (length < 0) == (elements.syntax in NATIVE):
            return None
        frames = frames_of(elements, path)
        data = scratch.read(handle, offset, size - offset if length < 0 else length, path)
    return Instance(frames, PixelBytes(data, elements.words, whole(elements, "PlanarConfiguration")))


def plain_elements(handle: Any, size: int, head: bytes) -> Elements | None:
    """The attributes of a plain file, reading on as far as needed; ``None`` when pydicom is to judge.

    Args:
        handle: The open file.
        size: Its length.
        head: Its first bytes.
    """
    while True:
        try:
            return parse(head, size)
        except Short:
            if len(head) >= _LONGEST_HEADER:
                return None
            handle.seek(len(head))
            more = handle.read(min(15 * len(head), size - len(head)))
            if not more:
                return None
            head += more


def _unbuffered(path: Path) -> Any:
    try:
        return io.FileIO(path)
    except OSError:
        return open_file(path)


def _judged_pixels(dataset: Dataset) -> PixelBytes:
    if "PixelData" not in dataset:
        return PixelBytes(None, dataset=dataset)
    offsets = None
    if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
        offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    return PixelBytes(
        data=dataset.PixelData,
        words=dataset["PixelData"].VR == "OW",
        planar=int(dataset.get("PlanarConfiguration") or 0),
        offsets=offsets,
        dataset=dataset,
    )
