"""Elements: the attributes of one plain DICOM file, as bytes, turned into text and numbers when asked.

They are what :mod:`medcls.scans.dicom.parse.fastparse` finds. Where a value could be read in more than one way the parser
leaves the file to pydicom, so every method here gives what :mod:`medcls.scans.dicom.parse.text` gives for pydicom's data set
of the same file; a property test holds the two together.
"""

from __future__ import annotations

import functools
import math
import struct
import warnings
from collections.abc import MutableSequence
from dataclasses import dataclass
from typing import Any

from medcls.scans.dicom.parse.tags import TAGS

_BINARY = {"US": ("H", 2), "SS": ("h", 2), "UL": ("I", 4), "SL": ("i", 4), "FL": ("f", 4), "FD": ("d", 8)}
_VRS = dict(TAGS.values())
_PIXEL_REPRESENTATION = TAGS["PixelRepresentation"][0]
_LONGEST = 2**18
"""Characters of a text that are read: far more than any may have (10,240; PS3.5 table 6.2-1), and no burden."""


@dataclass(frozen=True, slots=True)
class Elements:
    """Attributes of a plain file.

    Attributes:
        values: Tag to value bytes: text in ASCII, numbers little endian.
        vrs: Value representation of the tags whose own is not fixed by the dictionary.
        syntax: TransferSyntaxUID.
        media: MediaStorageSOPClassUID of the meta information.
        pixels: Offset of the pixel data in the file and their length; a length of -1 for encapsulated frames, ``None``
            without pixel data.
        words: Whether the pixel data have the value representation OW.
    """

    values: dict[int, bytes]
    vrs: dict[int, str]
    syntax: str
    media: str
    pixels: tuple[int, int] | None
    words: bool

    def __contains__(self, keyword: str) -> bool:
        return TAGS[keyword][0] in self.values

    def text(self, tag: str | int) -> str:
        """As :func:`medcls.scans.dicom.parse.text.text`."""
        number, vr = self._known(tag)
        raw = self.values.get(number, b"")
        if not raw:
            return ""
        if vr in _BINARY:
            return "\\".join(str(value) for value in _unpacked(raw, *_BINARY[vr]) or ())
        if not raw.isascii() or b"\x1b" in raw:  # names of persons alone
            return _person(raw, self.text("SpecificCharacterSet"))
        return _squeezed(raw[:_LONGEST].decode("ascii"))

    def numbers(self, tag: str | int, count: int | None = None) -> tuple[float, ...] | None:
        """As :func:`medcls.scans.dicom.parse.text.numbers`."""
        number, vr = self._known(tag)
        raw = self.values.get(number, b"")
        if not raw:
            return None
        found = _finite(_unpacked(raw, *_BINARY[vr])) if vr in _BINARY else _floats(raw)
        return None if found is None or (count is not None and len(found) != count) else found

    def _known(self, tag: str | int) -> tuple[int, str]:
        number, vr = TAGS[tag] if isinstance(tag, str) else (tag, "")
        if number in self.vrs:
            return number, self.vrs[number]
        if vr == "US or SS":
            signed = self.values.get(_PIXEL_REPRESENTATION, b"")[:1] == b"\1"
            return number, "SS" if signed else "US"
        return number, vr or _VRS.get(number, "LO")


@functools.lru_cache(maxsize=8192)
def _floats(raw: bytes) -> tuple[float, ...] | None:
    if b"_" in raw:  # Python's own way to group digits, which no standard knows
        return None
    try:
        return _finite(tuple(map(float, raw.decode("ascii").replace("\0", " ").split("\\"))))
    except ValueError:
        return None


def _finite(values: tuple[float, ...] | None) -> tuple[float, ...] | None:
    return None if not values or not all(map(math.isfinite, values)) else tuple(map(float, values))


@functools.lru_cache(maxsize=1024)
def _person(raw: bytes, charsets: str) -> str:
    """A name of a person in the letters that the header says (PS3.5 section 6.1.2.3), as pydicom reads it."""
    from pydicom.charset import convert_encodings
    from pydicom.values import convert_PN

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return one_line(convert_PN(raw, convert_encodings(charsets.split("\\"))))
        except Exception:  # as medcls.scans.dicom.parse.text
            return ""


def one_line(found: Any) -> str:
    """A value as pydicom gives it, or several of them, as one line of text; raises what their own conversion raises."""
    if isinstance(found, str):  # a backslash within one value, as LT may have, is taken as one between values
        return _squeezed(found)
    parts = found[:_LONGEST] if isinstance(found, (MutableSequence, tuple)) else [found]
    return _squeezed("\\".join(part.decode("latin-1") if isinstance(part, bytes) else str(part) for part in parts))


def _squeezed(text: str) -> str:
    """Each value between backslashes without the space around it, and with single spaces in it."""
    text = " ".join(text[:_LONGEST].replace("\0", " ").split())
    return text.replace(" \\", "\\").replace("\\ ", "\\")


def _unpacked(raw: bytes, code: str, size: int) -> tuple[float, ...] | None:
    if len(raw) % size:
        return None
    return struct.unpack(f"<{len(raw) // size}{code}", raw)
