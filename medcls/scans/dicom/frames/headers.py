"""Opening DICOM files: distinguished by content, read as far as needed, and never unpacked beyond a limit."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom.datadict import private_dictionaries
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from medcls.errors import ScanRefused
from medcls.scans.archive import open_unpacked
from medcls.scans.codecs.encapsulation import InFile
from medcls.scans.core.limits import MAX_DEFLATE_RATIO, MAX_HEADER_BYTES, MAX_VOXELS
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.dicom.frames.cine import CINE_TAGS
from medcls.scans.dicom.frames.nuclear import NUCLEAR_TAGS
from medcls.scans.dicom.frames.vframe import VFRAME_TAGS
from medcls.scans.dicom.parse.csa import CSA_TAGS
from medcls.scans.dicom.parse.elements_walk import Twice, Unclear
from medcls.scans.dicom.parse.fastparse import meta_of
from medcls.scans.dicom.parse.sop_classes import without_pixels
from medcls.scans.dicom.parse.tags import PRIVATE_B_VALUES, PRIVATE_CREATORS, PRIVATE_DIRECTIONS, TAGS
from medcls.scans.dicom.parse.text import text
from medcls.scans.dicom.values.suv import UPTAKE_TAGS

_SEQUENCES = (
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "DimensionIndexSequence",
    "ModalityLUTSequence",
    "SequenceOfUltrasoundRegions",
)

MAX_ELEMENTS = 20_000
"""Top-level elements of a data set; clinical files have a few hundred."""

MAX_ITEMS = 500_000
"""Items of all sequences: an enhanced object of 10,000 frames has some 150,000."""

_ITEM = b"\xfe\xff\x00\xe0"
_UNDEFINED = 0xFFFFFFFF
_CHARACTER_SET, _LONGEST_CHARACTER_SET = 0x00080005, 1024
_MOST_META = 4096
_SMALLEST_IMAGE = 256  # bytes of a private element from which it may hold one

_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})

_TAGS: list[Any] = [
    *TAGS,
    "ConcatenationUID",
    "InConcatenationNumber",
    "InConcatenationTotalNumber",
    *_SEQUENCES,
    *PRIVATE_B_VALUES,
    *PRIVATE_DIRECTIONS,
    *PRIVATE_CREATORS,
    *CSA_TAGS,
    *VFRAME_TAGS,
    *NUCLEAR_TAGS,
    *CINE_TAGS,
    *UPTAKE_TAGS,
]


def read_header(path: str) -> tuple[FileDataset, ScanRefused | None]:
    """Read the tags of a file that say what it is and where it is; pixels are not read.

    Returns:
        The header, and the refusal of a file that has no pixels behind it.
    """
    stop = _Stop(at_pixels=True)
    dataset = _read(Path(path), stop)
    if stop.met_pixels:
        return dataset, None
    return dataset, without_pixels(dataset, _creator(Path(path), stop.private), path)


def read_whole(path: str | os.PathLike[str]) -> FileDataset:
    """Read a whole file, pixels still as stored."""
    return _read(Path(path), _Stop(at_pixels=False))


@contextlib.contextmanager
def opened_at_pixels(path: Path) -> Iterator[tuple[FileDataset, InFile | None]]:
    """Read a file but for its pixels, which stay where they are; ``None`` in their place where they have to be unpacked."""
    with open_unpacked(path) as handle:
        dataset = _read_from(handle, path, _Stop(at_pixels=True), every=True)
        yield dataset, None if "PixelData" in dataset else _pixels_at(handle, dataset)


def _pixels_at(handle: Any, dataset: FileDataset) -> InFile | None:
    """The pixel data that begin where the handle stands (PS3.5 7.1.2 and 7.1.3)."""
    implicit, little = dataset.original_encoding
    head = handle.read(8 if implicit else 12)
    if len(head) < 8 or struct.unpack("<HH" if little else ">HH", head[:4]) != (0x7FE0, 0x0010):
        return None
    (length,) = struct.unpack("<I" if little else ">I", head[-4:])
    start = handle.tell()
    left = handle.seek(0, os.SEEK_END) - start
    words = implicit or head[4:6] == b"OW"
    return InFile(handle, start, left if length == _UNDEFINED else min(length, left), words)


def is_directory_of_files(dataset: Dataset) -> bool:
    """Whether the file is a DICOMDIR (Media Storage Directory, PS3.10 section 8.6)."""
    meta = getattr(dataset, "file_meta", None) or {}
    return str(meta.get("MediaStorageSOPClassUID", "")) == "1.2.840.10008.1.3.10"


def _read(path: Path, stop: _Stop, tags: list[Any] | None = None) -> FileDataset:
    """Read the elements of a file up to where ``stop`` says; of a header those of ``tags``, or all that are ever read."""
    with open_unpacked(path) as handle:
        return _read_from(handle, path, stop, tags)


def _read_from(
    handle: Any, path: Path, stop: _Stop, tags: list[Any] | None = None, *, every: bool = False
) -> FileDataset:
    """As :func:`_read`, from an open file; or every element of a header, and all of a file that is deflated."""
    head = handle.read(_MOST_META)
    stop.size = handle.seek(0, os.SEEK_END)
    _check_items(handle)
    bare = head[128:132] != b"DICM"
    if not bare:
        _check_meta(head)
        if _is_deflated(handle):
            return _read_deflated(path, _Stop(at_pixels=False) if every else stop)
    handle.seek(0)
    wanted = (tags or _numbers()) if stop.at_pixels and not every else None
    return read_partial(handle, stop_when=stop, force=bare, specific_tags=wanted)


def _creator(path: Path, element: BaseTag | None) -> str:
    """Who wrote a private element (PS3.5 7.8.1), as far as that is a known name and no free text."""
    if element is None:
        return ""
    tag = Tag(element.group, element.element >> 8)
    creator = text(_read(path, _Stop(at_pixels=True), [tag]), tag)
    return creator if creator in private_dictionaries else "the manufacturer"


def _check_meta(head: bytes) -> None:
    """Refuse a file that begins twice: with two preambles, or with meta information that says two things."""
    try:
        start = meta_of(head)[0]
    except Twice as error:
        what = "the file meta information stands there twice, with two transfer syntaxes"
        raise refusal(RefusalCode.DAMAGED, what) from error
    except (Unclear, struct.error):
        return
    if b"DICM" in (head[start : start + 4], head[start + 128 : start + 132]):
        raise refusal(RefusalCode.DAMAGED, "the file begins twice: a second header stands where the data set should")


def _check_items(handle: Any) -> None:
    """Refuse a header of so many items that parsing them would take minutes."""
    handle.seek(0)
    if handle.read(MAX_HEADER_BYTES).count(_ITEM) > MAX_ITEMS:
        raise refusal(RefusalCode.DAMAGED, f"the data set has more than {MAX_ITEMS} sequence items")
    handle.seek(0)


def _is_deflated(handle: Any) -> bool:
    handle.seek(132)
    # The group length element comes first; its value says how far the meta information goes.
    start = handle.read(12)
    if start[:8] != b"\x02\x00\x00\x00UL\x04\x00":
        return False
    meta = handle.read(min(struct.unpack("<I", start[8:12])[0], 4096))
    return DeflatedExplicitVRLittleEndian.encode("ascii") in meta


def _read_deflated(path: Path, stop: _Stop) -> FileDataset:
    """Read a data set that is deflated as a whole (PS3.5 A.5), unpacking no more than it declares."""
    with open_unpacked(path) as handle:
        whole = handle.read()
    start, syntax, media = meta_of(whole)
    packed = whole[start:]
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = UID(syntax), UID(media)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = inflater.decompress(packed, MAX_HEADER_BYTES)
    header = _parse(plain, path, meta, stop if stop.at_pixels else _Stop(at_pixels=True))
    if stop.at_pixels:
        return header
    limit = _declared_bytes(header) + MAX_HEADER_BYTES
    if limit > min(MAX_VOXELS * 2, len(packed) * MAX_DEFLATE_RATIO) + MAX_HEADER_BYTES:
        raise refusal(RefusalCode.DAMAGED, "the file declares more pixels than it can hold", where=path)
    plain += inflater.decompress(inflater.unconsumed_tail, limit)
    if not inflater.eof:
        raise refusal(RefusalCode.DAMAGED, "the deflated data are cut short or larger than declared", where=path)
    return _parse(plain, path, meta, stop)


def _parse(plain: bytes, path: Path, meta: FileMetaDataset, stop: _Stop) -> FileDataset:
    stop.size = len(plain)
    dataset = read_dataset(
        io.BytesIO(plain),
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=stop,
        specific_tags=_numbers() if stop.at_pixels else None,
    )
    whole = FileDataset(str(path), dataset, b"\0" * 128, meta, is_implicit_VR=False, is_little_endian=True)
    whole.set_original_encoding(False, True)
    return whole


class _Stop:
    """Ends the parsing of a data set at its pixels, or where nothing but padding follows.

    Tag (0000,0000) cannot stand in a file, so it is padding; and a data set of more elements than
    :data:`MAX_ELEMENTS` is noise, which would keep the parser busy for minutes.

    Attributes:
        at_pixels: Whether it ends there.
        size: Bytes of the file.
        met_pixels: Whether pixels were met.
        private: The largest private element that was passed, of those that may hold an image.
    """

    def __init__(self, *, at_pixels: bool) -> None:
        self.at_pixels = at_pixels
        self.size = 0
        self.met_pixels = False
        self.private: BaseTag | None = None
        self._elements = 0
        self._largest = _SMALLEST_IMAGE

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise refusal(RefusalCode.DAMAGED, f"the data set has more than {MAX_ELEMENTS} elements")
        self.met_pixels = self.met_pixels or tag in _PIXELS
        if tag == 0 or (self.at_pixels and tag in _PIXELS):
            return True
        if self.size < length < _UNDEFINED:
            raise refusal(RefusalCode.DAMAGED, "an element is longer than the file")
        if tag == _CHARACTER_SET and length > _LONGEST_CHARACTER_SET:
            raise refusal(RefusalCode.DAMAGED, "the list of character sets is endless")
        if tag.is_private and length >= self._largest:
            self.private, self._largest = tag, length
        return False


@functools.cache
def _numbers() -> list[BaseTag]:
    return [Tag(tag) for tag in _TAGS]


def _declared_bytes(header: Dataset) -> int:
    counts = [int(header.get(name) or 1) for name in ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames")]
    total = max(1, int(header.get("BitsAllocated") or 8) // 8)
    for count in counts:
        total *= count
    return total
