"""A parser for plain DICOM files: little endian, with preamble and meta information, everything where it belongs.

It gives up at the first thing that it does not fully understand; pydicom is then the judge. Files of one series are alike but
for a few elements, so what was learned from one makes the next ones quick.
"""

from __future__ import annotations

import re
import struct

from medcls.scans.dicom.parse.elements import Elements
from medcls.scans.dicom.parse.elements_walk import (
    LONG_VRS,
    SHORT_VRS,
    Short,
    Twice,
    Unclear,
    explicit_start,
    long_length,
)
from medcls.scans.dicom.parse.tags import CSA_IMAGE, PRIVATE_B_VALUES, TAGS, TILES
from medcls.scans.dicom.parse.templates import Templates

_OTHERS = frozenset({"1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"})  # big endian, deflated
_PREFIX = "1.2.840.10008.1.2"
_MEDIA, _SYNTAX = 0x00020002, 0x00020010
_IMAGE_TYPE, _PHOTOMETRIC = TAGS["ImageType"][0], TAGS["PhotometricInterpretation"][0]
_CHARACTER_SET, _FRAMES = TAGS["SpecificCharacterSet"][0], TAGS["NumberOfFrames"][0]

_JUDGED_TYPES = (b"MOSAIC", b"VFRAME", b"RECON TOMO", b"RECON GATED TOMO")
_MODALITY = TAGS["Modality"][0]
_JUDGED_MODALITY = b"PT"  # its dose is in a sequence
_WEIGHTING = (TAGS["DiffusionBValue"][0], *PRIVATE_B_VALUES, TAGS["SequenceName"][0])
"""Where a b-value, or a name that goes with it, is found without the CSA header."""

_identifier = re.compile(r"[0-9.]{1,64}").fullmatch
_templates = Templates()


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
    except Unclear:
        return None
    except struct.error:
        if len(data) < size:
            raise Short from None
        return None


def _parse(data: bytes, size: int) -> Elements | None:
    start, syntax, media = meta_of(data)
    if not _identifier(syntax) or not syntax.startswith(_PREFIX) or syntax in _OTHERS:
        return None
    found = _templates.walk(data, start, size, syntax)
    if not _is_plain(found.values):
        return None
    return Elements(found.values, found.vrs, syntax, media, found.pixels, found.words)


def meta_of(data: bytes) -> tuple[int, str, str]:
    """Where the data set begins, its syntax, and the class of the file (PS3.10 section 7.1, always explicit)."""
    at, syntax, media = 132, "", ""
    while True:
        group, element, vr, length = explicit_start(data, at)
        if group != 0x0002:
            return at, syntax, media
        value = at + 8
        if vr not in SHORT_VRS:
            if vr not in LONG_VRS:
                raise Unclear
            length = long_length(data, at + 8)[0]
            value = at + 12
        at = value + length
        if at > len(data):
            raise struct.error
        if element in (0x0002, 0x0010):
            if vr != b"UI":
                raise Unclear
            found = data[value:at].rstrip(b"\0 ").decode("latin-1")
            if element == 0x0010 and syntax not in ("", found):
                raise Twice
            syntax, media = (found, media) if element == 0x0010 else (syntax, found)


def _is_plain(values: dict[int, bytes]) -> bool:
    """Whether nothing about the object needs more than these attributes."""
    if b"ISO_IR 13" in values.get(_CHARACTER_SET, b"") or b"PALETTE" in values.get(_PHOTOMETRIC, b""):
        return False
    if values.get(_MODALITY, b"").strip(b" \0").upper() == _JUDGED_MODALITY:
        return False
    if any(kind in values.get(_IMAGE_TYPE, b"") for kind in _JUDGED_TYPES):
        return False
    if int.from_bytes(values.get(TILES, b""), "little") > 1:
        return False
    if CSA_IMAGE in values and values.get(_MODALITY, b"") == b"MR" and not any(map(values.get, _WEIGHTING)):
        return False
    return values.get(_FRAMES, b"").strip(b" \0") in (b"", b"1", b"0")
