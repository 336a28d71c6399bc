"""Walking the top level of a plain data set: the few attributes that medcls reads are kept, the others passed over.

Where anything is not fully understood the walk gives up. It touches no memory beyond what it is given, calls nobody, and its
nesting is bounded, so it is safe on any bytes.
"""

from __future__ import annotations

import re
import struct

from medcls.scans.dicom.parse.tags import (
    CSA_IMAGE,
    PIXEL_DATA,
    PRIVATE_B_VALUES,
    PRIVATE_DIRECTIONS,
    SEQUENCES,
    TAGS,
    TANGLED,
    TILES,
)

IMPLICIT = "1.2.840.10008.1.2"

SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""Value representations whose length has two bytes, and four (PS3.5 7.1.2)."""

_TEXT = frozenset({"AS", "CS", "DA", "DS", "IS", "LO", "SH", "TM", "UI"})
_PRIVATE_TEXT = frozenset(b"CS DS IS LO SH".split())
_PRIVATE_BINARY = frozenset(b"FD FL SL SS UL US".split())

_WANTED = dict(TAGS.values())
_PRIVATE = frozenset({*PRIVATE_B_VALUES, *PRIVATE_DIRECTIONS})
_INTERESTING = frozenset({*_WANTED, *_PRIVATE, *TANGLED, CSA_IMAGE, TILES, PIXEL_DATA})

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_DEEPEST = 16

_plain_text = re.compile(rb"[ -~]*\0?").fullmatch
_whole_numbers = re.compile(rb"[0-9 +\-\\\0]{0,64}").fullmatch

explicit_start = struct.Struct("<HH2sH").unpack_from
long_length = struct.Struct("<I").unpack_from
_implicit_start = struct.Struct("<HHI").unpack_from


class Short(Exception):
    """More of the file is needed to tell."""


class Unclear(Exception):
    """Something that pydicom is to judge."""


class Twice(Unclear):
    """The meta information says two things."""


class Walk:
    """What a walk has found so far.

    Attributes:
        values, vrs, pixels, words: As :class:`medcls.scans.dicom.parse.elements.Elements`.
    """

    __slots__ = ("pixels", "values", "vrs", "words")

    def __init__(self, values: dict[int, bytes], vrs: dict[int, str]) -> None:
        self.values = values
        self.vrs = vrs
        self.pixels: tuple[int, int] | None = None
        self.words = False


def take_element(data: bytes, at: int, size: int, implicit: bool, walk: Walk) -> int:
    """Take in the top-level element that begins at ``at``; where the next one does, or the pixels' value."""
    tag, vr, value, length = _start(data, at, implicit)
    if tag in _INTERESTING:
        if tag == PIXEL_DATA:
            return _pixels(value, length, size, vr or b"OW", walk)
        if implicit and tag in _PRIVATE:
            raise Unclear
        if tag in (CSA_IMAGE, TILES):
            walk.values[tag] = data[value : value + min(length, 4)]  # enough to tell whether more is needed
        else:
            _keep(data, tag, vr, value, length, walk)
    group = tag >> 16
    if group == 0xFFFE or group <= 0x0002 or group > 0x7FE0:
        raise Unclear
    if length != _UNDEFINED:
        after = value + length
    elif vr == b"SQ" or (implicit and tag in SEQUENCES):
        after = _after_items(data, value, implicit, 0)
    else:
        raise Unclear
    if len(data) < after <= size:
        raise Short
    return after


def _start(data: bytes, at: int, implicit: bool) -> tuple[int, bytes, int, int]:
    """Tag, value representation (empty where implicit), where the value begins, and its length (PS3.5 7.1.2, 7.1.3)."""
    if implicit:
        group, element, length = _implicit_start(data, at)
        return group << 16 | element, b"", at + 8, length
    group, element, vr, length = explicit_start(data, at)
    if vr in SHORT_VRS:
        return group << 16 | element, vr, at + 8, length
    if vr not in LONG_VRS:
        raise Unclear
    return group << 16 | element, vr, at + 12, long_length(data, at + 8)[0]


def _pixels(value: int, length: int, size: int, vr: bytes, walk: Walk) -> int:
    if vr not in (b"OW", b"OB") or (length != _UNDEFINED and value + length > size):
        raise Unclear
    walk.pixels = (value, -1 if length == _UNDEFINED else length)
    walk.words = vr == b"OW"
    return value


def _keep(data: bytes, tag: int, vr: bytes, value: int, length: int, walk: Walk) -> None:
    """Keep a wanted value, unless its kind is not the dictionary's or it stands there twice."""
    if tag in TANGLED or tag in walk.values or length > 0xFFFE:
        raise Unclear
    raw = data[value : value + length]
    if len(raw) < length:
        raise struct.error
    if tag in _PRIVATE:
        _keep_private(raw, tag, vr, walk.vrs)
    else:
        expected = _WANTED[tag]
        if expected in _TEXT:
            if (vr and vr.decode("ascii") != expected) or not _plain_text(raw):
                raise Unclear
            if expected == "IS" and not _whole_numbers(raw):
                raise Unclear
        elif expected == "US or SS":
            if vr:
                if vr not in (b"US", b"SS"):
                    raise Unclear
                walk.vrs[tag] = vr.decode("ascii")
        elif vr and vr.decode("ascii") != expected:
            raise Unclear
    walk.values[tag] = raw


def _keep_private(raw: bytes, tag: int, vr: bytes, vrs: dict[int, str]) -> None:
    if vr in _PRIVATE_TEXT:
        if not _plain_text(raw) or (vr == b"IS" and not _whole_numbers(raw)):
            raise Unclear
    elif vr not in _PRIVATE_BINARY:
        raise Unclear
    vrs[tag] = vr.decode("ascii")


def _after_items(data: bytes, at: int, implicit: bool, depth: int) -> int:
    """Where a sequence of undefined length ends (PS3.5 section 7.5)."""
    if depth > _DEEPEST:
        raise Unclear
    while True:
        group, element, length = _implicit_start(data, at)
        tag = group << 16 | element
        at += 8
        if tag == _SEQUENCE_END and length == 0:
            return at
        if tag != _ITEM:
            raise Unclear
        at = _after_set(data, at, implicit, depth + 1) if length == _UNDEFINED else at + length
        if at > len(data):
            raise struct.error


def _after_set(data: bytes, at: int, implicit: bool, depth: int) -> int:
    """Where an item of undefined length ends."""
    while True:
        group, element, length = _implicit_start(data, at)
        if group == 0xFFFE:
            if element == _ITEM_END & 0xFFFF and length == 0:
                return at + 8
            raise Unclear
        tag, vr, value, length = _start(data, at, implicit)
        if length == _UNDEFINED:
            if not (vr == b"SQ" or (implicit and tag in SEQUENCES)):
                raise Unclear
            at = _after_items(data, value, implicit, depth)
        else:
            at = value + length
        if at > len(data):
            raise struct.error
