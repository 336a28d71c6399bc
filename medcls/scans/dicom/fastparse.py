"""A parser for plain DICOM files: little endian, with preamble and meta information, everything where it belongs.

It walks the top level of a data set (PS3.5 section 7.1), keeps the few attributes that medcls reads, and gives up at the
first thing that it does not fully understand; pydicom is then the judge. It touches no memory beyond what it is given, calls
nobody, and its nesting is bounded, so it is safe on any bytes.
"""

from __future__ import annotations

import re
import struct

from medcls.scans.dicom.elements import Elements
from medcls.scans.dicom.tags import PIXEL_DATA, PRIVATE_B_VALUES, PRIVATE_DIRECTIONS, SEQUENCES, TAGS, TANGLED

_IMPLICIT = "1.2.840.10008.1.2"
_OTHERS = frozenset({"1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"})  # big endian, deflated
_PREFIX = "1.2.840.10008.1.2"

_SHORT = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_TEXT = frozenset({"AS", "CS", "DA", "DS", "IS", "LO", "SH", "TM", "UI"})
_PRIVATE_TEXT = frozenset(b"CS DS IS LO SH".split())
_PRIVATE_BINARY = frozenset(b"FD FL SL SS UL US".split())

_WANTED = dict(TAGS.values())
_PRIVATE = frozenset({*PRIVATE_B_VALUES, *PRIVATE_DIRECTIONS})
_INTERESTING = frozenset({*_WANTED, *_PRIVATE, *TANGLED, PIXEL_DATA})

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_DEEPEST = 16
_MEDIA, _SYNTAX = 0x00020002, 0x00020010
_IMAGE_TYPE, _PHOTOMETRIC = TAGS["ImageType"][0], TAGS["PhotometricInterpretation"][0]
_CHARACTER_SET, _FRAMES = TAGS["SpecificCharacterSet"][0], TAGS["NumberOfFrames"][0]

_plain_text = re.compile(rb"[ -~]*\0?").fullmatch
_identifier = re.compile(r"[0-9.]{1,64}").fullmatch
_whole_numbers = re.compile(rb"[0-9 +\-\\\0]{0,64}").fullmatch

_explicit_start = struct.Struct("<HH2sH").unpack_from
_implicit_start = struct.Struct("<HHI").unpack_from
_long_length = struct.Struct("<I").unpack_from


class Short(Exception):
    """More of the file is needed to tell."""


class _Unclear(Exception):
    """Something that pydicom is to judge."""


def parse(data: bytes, size: int) -> Elements | None:
    """Read the attributes of a plain file.

    Args:
        data: The beginning of the file, or all of it.
        size: Bytes of the whole file.

    Returns:
        The attributes; ``None`` when the file is not plain, or contradicts itself.

    Raises:
        Short: The data set goes on beyond ``data``.
    """
    if data[128:132] != b"DICM":
        return None
    try:
        return _parse(data, size)
    except _Unclear:
        return None
    except struct.error:
        if len(data) < size:
            raise Short from None
        return None


def _parse(data: bytes, size: int) -> Elements | None:
    start, syntax, media = meta_of(data)
    if not _identifier(syntax) or not syntax.startswith(_PREFIX) or syntax in _OTHERS:
        return None
    values: dict[int, bytes] = {}
    vrs: dict[int, str] = {}
    walk = _walk_implicit if syntax == _IMPLICIT else _walk_explicit
    pixels, words = walk(data, start, size, values, vrs)
    if not _is_plain(values):
        return None
    return Elements(values, vrs, syntax, media, pixels, words)


def meta_of(data: bytes) -> tuple[int, str, str]:
    """Where the data set begins, its syntax, and the class of the file (PS3.10 section 7.1, always explicit)."""
    at, syntax, media = 132, "", ""
    while True:
        group, element, vr, length = _explicit_start(data, at)
        if group != 0x0002:
            return at, syntax, media
        value = at + 8
        if vr not in _SHORT:
            if vr not in _LONG:
                raise _Unclear
            length = _long_length(data, at + 8)[0]
            value = at + 12
        at = value + length
        if at > len(data):
            raise struct.error
        if element in (0x0002, 0x0010):
            if vr != b"UI":
                raise _Unclear
            found = data[value:at].rstrip(b"\0 ").decode("latin-1")
            syntax, media = (found, media) if element == 0x0010 else (syntax, found)


def _walk_explicit(
    data: bytes, at: int, size: int, values: dict[int, bytes], vrs: dict[int, str]
) -> tuple[tuple[int, int] | None, bool]:
    """Walk a data set of explicit VR (PS3.5 7.1.2) up to its pixels; where they lie, and whether they are words."""
    end, start_of, short, long, interesting = len(data), _explicit_start, _SHORT, _LONG, _INTERESTING
    while at < size:
        group, element, vr, length = start_of(data, at)
        value = at + 8
        if vr not in short:
            if vr not in long:
                raise _Unclear
            length = _long_length(data, value)[0]
            value += 4
        tag = group << 16 | element
        if tag in interesting:
            if tag == PIXEL_DATA:
                return _pixels(value, length, size, vr)
            _keep(data, tag, vr, value, length, values, vrs)
        if length == _UNDEFINED:
            if vr != b"SQ":
                raise _Unclear
            at = _after_items(data, value, False, 0)
        else:
            at = value + length
        if group == 0xFFFE or group <= 0x0002 or group > 0x7FE0:
            raise _Unclear
        if at > end and at <= size:
            raise Short
    if at > size:
        raise _Unclear
    return None, False


def _walk_implicit(
    data: bytes, at: int, size: int, values: dict[int, bytes], vrs: dict[int, str]
) -> tuple[tuple[int, int] | None, bool]:
    """Walk a data set of implicit VR (PS3.5 7.1.3); as :func:`_walk_explicit`."""
    if data[at + 4 : at + 6].isalpha():
        raise _Unclear  # explicit after all
    end = len(data)
    while at < size:
        group, element, length = _implicit_start(data, at)
        value = at + 8
        tag = group << 16 | element
        if tag in _INTERESTING:
            if tag == PIXEL_DATA:
                return _pixels(value, length, size, b"OW")
            if tag in _PRIVATE:
                raise _Unclear
            _keep(data, tag, b"", value, length, values, vrs)
        if length == _UNDEFINED:
            if tag not in SEQUENCES:
                raise _Unclear
            at = _after_items(data, value, True, 0)
        else:
            at = value + length
        if group == 0xFFFE or group <= 0x0002 or group > 0x7FE0:
            raise _Unclear
        if at > end and at <= size:
            raise Short
    if at > size:
        raise _Unclear
    return None, False


def _pixels(value: int, length: int, size: int, vr: bytes) -> tuple[tuple[int, int], bool]:
    if vr not in (b"OW", b"OB"):
        raise _Unclear
    if length == _UNDEFINED:
        return (value, -1), vr == b"OW"
    if value + length > size:
        raise _Unclear
    return (value, length), vr == b"OW"


def _keep(
    data: bytes, tag: int, vr: bytes, value: int, length: int, values: dict[int, bytes], vrs: dict[int, str]
) -> None:
    """Keep a wanted value, unless its kind is not the dictionary's or it stands there twice."""
    if tag in TANGLED or tag in values or length > 0xFFFE:
        raise _Unclear
    raw = data[value : value + length]
    if len(raw) < length:
        raise struct.error
    if tag in _PRIVATE:
        _keep_private(raw, tag, vr, vrs)
    else:
        expected = _WANTED[tag]
        if expected in _TEXT:
            if (vr and vr.decode("ascii") != expected) or not _plain_text(raw):
                raise _Unclear
            if expected == "IS" and not _whole_numbers(raw):
                raise _Unclear
        elif expected == "US or SS":
            if vr:
                if vr not in (b"US", b"SS"):
                    raise _Unclear
                vrs[tag] = vr.decode("ascii")
        elif vr and vr.decode("ascii") != expected:
            raise _Unclear
    values[tag] = raw


def _keep_private(raw: bytes, tag: int, vr: bytes, vrs: dict[int, str]) -> None:
    if vr in _PRIVATE_TEXT:
        if not _plain_text(raw) or (vr == b"IS" and not _whole_numbers(raw)):
            raise _Unclear
    elif vr not in _PRIVATE_BINARY:
        raise _Unclear
    vrs[tag] = vr.decode("ascii")


def _is_plain(values: dict[int, bytes]) -> bool:
    """Whether nothing about the object needs more than these attributes."""
    characters = values.get(_CHARACTER_SET, b"")
    if b"ISO_IR 13" in characters or b"\x1b" in b"".join(values.values()):
        return False
    if b"PALETTE" in values.get(_PHOTOMETRIC, b"") or b"MOSAIC" in values.get(_IMAGE_TYPE, b""):
        return False
    return values.get(_FRAMES, b"").strip(b" \0") in (b"", b"1", b"0")


def _after_items(data: bytes, at: int, implicit: bool, depth: int) -> int:
    """Where a sequence of undefined length ends (PS3.5 section 7.5)."""
    if depth > _DEEPEST:
        raise _Unclear
    while True:
        group, element, length = _implicit_start(data, at)
        tag = group << 16 | element
        at += 8
        if tag == _SEQUENCE_END and length == 0:
            return at
        if tag != _ITEM:
            raise _Unclear
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
            raise _Unclear
        value = at + 8
        if implicit:
            vr = b"SQ" if group << 16 | element in SEQUENCES else b""
        else:
            vr, length = _explicit_start(data, at)[2:]
            if vr not in _SHORT:
                if vr not in _LONG:
                    raise _Unclear
                length = _long_length(data, value)[0]
                value += 4
        if length == _UNDEFINED:
            if vr != b"SQ":
                raise _Unclear
            at = _after_items(data, value, implicit, depth)
        else:
            at = value + length
        if at > len(data):
            raise struct.error
