"""Opening one DICOM file: by the fast parser when it is plain, by pydicom when a judge is needed."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medcls.bounded import open_regular
from medcls.scans.archive import open_file
from medcls.scans.codecs.encapsulation import Stored
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.transfer_syntaxes import NATIVE
from medcls.scans.dicom.frame import Frame, Header
from medcls.scans.dicom.frames.frames_of_file import frames_of
from medcls.scans.dicom.parse.elements import Elements
from medcls.scans.dicom.parse.elements_walk import Short
from medcls.scans.dicom.parse.fastparse import parse
from medcls.scans.dicom.parse.text import whole

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

HEAD = 16384
"""Bytes read at once; most headers are shorter."""

_LONGEST_HEADER = 1 << 24
_ROOM_BEHIND = 1 << 22


@dataclass(frozen=True)
class PixelBytes:
    """The pixel data of a file as they are stored (PS3.5 section 8 and annex A.4).

    Attributes:
        data: All of them, in memory or in the open file; ``None`` when the file has none.
        words: Whether they were written as 16-bit words, which matters to 8-bit samples in big endian.
        planar: PlanarConfiguration.
        offsets: Extended offset table and its lengths.
        dataset: The whole file, where colours or values may pass through look-up tables; else ``None``.
    """

    data: Stored | None
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

    def room(self, length: int) -> memoryview:
        """``length`` bytes; valid until the next call."""
        if len(self._memory) < length:
            self._memory = bytearray(length)
        return memoryview(self._memory)[:length]


@dataclass(frozen=True)
class PlainFile:
    """A plain file, open until its block ends, its header read.

    Attributes:
        frame: The one frame that it holds.
        handle: Where its bytes are read from.
        path: The file.
        offset, length: Where its pixel data are; encapsulated ones up to the end of the file.
        words, planar: As :class:`PixelBytes`.
    """

    frame: Frame
    handle: Any
    path: str
    offset: int
    length: int
    words: bool
    planar: int

    def __enter__(self) -> PlainFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.handle.close()

    @property
    def compressed(self) -> bool:
        """Whether its pixels need a codec."""
        return self.frame.header.syntax not in NATIVE

    def pixels(self, scratch: Scratch) -> PixelBytes:
        """Its pixel data, in memory that is used again."""
        memory = scratch.room(self.length)
        self.read_into(memory)
        return PixelBytes(memory, self.words, self.planar)

    def read_into(self, memory: memoryview) -> None:
        """Fill memory with the beginning of its pixel data.

        Raises:
            ScanRefused: ``damaged`` when there are fewer.
        """
        done = 0
        if len(memory) > self.length:
            what = f"{self.length} of {len(memory)} bytes of pixels are there"
            raise refusal(RefusalCode.DAMAGED, what, where=self.path)
        self.handle.seek(self.offset)
        while done < len(memory):
            count = self.handle.readinto(memory[done:])
            if not count:
                what = f"{done} of {len(memory)} bytes of pixels are there"
                raise refusal(RefusalCode.DAMAGED, what, where=self.path)
            done += count


@contextlib.contextmanager
def open_instance(path: Path, scratch: Scratch, *, by_frames: bool = False) -> Iterator[Instance]:
    """Open any DICOM file.

    Args:
        path: The file.
        scratch: Memory for its pixel data.
        by_frames: Whether pixel data are read frame by frame, as those of a sequence may be beyond any memory.

    Raises:
        ScanRefused: It holds no image, or is damaged, or its kind is not supported.
    """
    plain = None if by_frames else open_plain(str(path))
    if plain is not None:
        with plain:
            yield Instance([plain.frame], plain.pixels(scratch))
        return
    from medcls.scans.dicom.frames.headers import opened_at_pixels, read_whole

    if not by_frames:
        dataset = read_whole(path)
        yield Instance(frames_of(dataset, path), _checked_pixels(dataset))
        return
    with opened_at_pixels(path) as (dataset, in_file):
        pixels = _checked_pixels(dataset)
        if in_file is not None:
            pixels = replace(pixels, data=in_file, words=in_file.words)
        yield Instance(frames_of(dataset, path), pixels)


def open_plain(path: str) -> PlainFile | None:
    """Open a plain file, to be closed by the caller; ``None`` when pydicom is to judge.

    Raises:
        ScanRefused: It holds no image, or its kind is not supported.
        OSError: The file cannot be read.
    """
    handle, plain = _unbuffered(path), None
    try:
        plain = _plain_file(handle, path)
    finally:
        if plain is None:
            handle.close()
    return plain


def _plain_file(handle: Any, path: str) -> PlainFile | None:
    head = handle.read(HEAD)
    size = handle.seek(0, io.SEEK_END) if len(head) == HEAD else len(head)
    elements = plain_elements(handle, size, head)
    if elements is None or elements.pixels is None or (elements.pixels[1] < 0) == (elements.syntax in NATIVE):
        return None
    offset, length = elements.pixels
    (frame,) = frames_of(elements, path)
    length = size - offset if length < 0 else length
    if length > _longest_pixels(frame.header):
        return None
    planar = whole(elements, "PlanarConfiguration") if frame.header.samples > 1 else 0
    return PlainFile(frame, handle, path, offset, length, elements.words, planar)


def _longest_pixels(header: Header) -> int:
    """Bytes of pixel data that this process puts into its memory; what is longer is no picture of this size."""
    picture = header.rows * header.columns * header.samples * max(1, header.bits_allocated // 8)
    return 2 * picture + _ROOM_BEHIND


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


def _unbuffered(path: str) -> Any:
    try:
        return open_regular(path, buffering=0)
    except OSError:
        return open_file(Path(path))


def _checked_pixels(dataset: Dataset) -> PixelBytes:
    offsets = None
    if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
        offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    present = "PixelData" in dataset
    return PixelBytes(
        data=dataset.PixelData if present else None,
        words=present and dataset["PixelData"].VR == "OW",
        planar=int(dataset.get("PlanarConfiguration") or 0),
        offsets=offsets,
        dataset=dataset,
    )
