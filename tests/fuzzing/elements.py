"""Where the elements of a DICOM file are, so that a mutation can hit a length, a VR or a value on purpose.

The walk is flat: it steps into sequences and items, and stops where it understands no more. It evaluates nothing.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_DELIMITERS = frozenset({0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD})
OPEN = 0xFFFFFFFF
_MOST = 4000


@dataclass(frozen=True)
class Element:
    """One element, item or delimiter.

    Attributes:
        tag: Group and element as one number.
        at: Where it begins.
        vr_at: Where its VR stands; ``None`` in implicit data and for items.
        length_at, length_size: Where its length stands, and in how many bytes.
        value_at: Where its value begins.
        length: Its declared length.
        order: Byte order, as :mod:`struct` writes it.
    """

    tag: int
    at: int
    vr_at: int | None
    length_at: int
    length_size: int
    value_at: int
    length: int
    order: str

    @property
    def end(self) -> int:
        """Where what it holds ends; of an open-ended one, where its content begins."""
        return self.value_at if self.length == OPEN else self.value_at + self.length

    def packed(self, length: int) -> bytes:
        """A length as it would stand in the file."""
        size = {2: "H", 4: "I"}[self.length_size]
        return struct.pack(self.order + size, length & ((1 << (8 * self.length_size)) - 1))


@dataclass(frozen=True)
class Layout:
    """A file taken apart.

    Attributes:
        data: The file, its data set inflated.
        elements: In file order, those of the meta information first.
        body: Where the data set begins.
        deflated: Whether the data set was deflated.
    """

    data: bytes
    elements: tuple[Element, ...]
    body: int
    deflated: bool

    def whole(self, data: bytes) -> bytes:
        """Mutated bytes as a file, deflated again where they were."""
        if not self.deflated:
            return data
        packer = zlib.compressobj(6, wbits=-zlib.MAX_WBITS)
        return data[: self.body] + packer.compress(data[self.body :]) + packer.flush()


def layout(data: bytes) -> Layout:
    """Find the elements of a file."""
    meta: list[Element] = []
    if data[128:132] == b"DICM":
        meta = _walk(data, 132, "<", implicit=False, group=0x0002)
    body = meta[-1].end if meta else 0
    syntax = next((data[e.value_at : e.end].rstrip(b"\0 ") for e in meta if e.tag == 0x00020010), b"1.2.840.10008.1.2")
    deflated = syntax.endswith(b".1.99")
    if deflated:
        try:
            data = data[:body] + zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[body:], 2**24)
        except zlib.error:
            return Layout(data, tuple(meta), body, False)
    order = ">" if syntax == b"1.2.840.10008.1.2.2" else "<"
    elements = _walk(data, body, order, implicit=syntax == b"1.2.840.10008.1.2")
    return Layout(data, (*meta, *elements), body, deflated)


def _walk(data: bytes, at: int, order: str, *, implicit: bool, group: int | None = None) -> list[Element]:
    found: list[Element] = []
    while at + 8 <= len(data) and len(found) < _MOST:
        element = _element(data, at, order, implicit=implicit)
        if element is None or (group is not None and element.tag >> 16 != group):
            break
        found.append(element)
        holds = element.tag in _DELIMITERS or (element.vr_at is not None and data[element.vr_at :][:2] == b"SQ")
        pixels = found[-1].tag >> 16 == 0xFFFE and _in_pixels(found)
        at = element.value_at if (holds and not pixels) or element.length == OPEN else element.end
    return found


def _in_pixels(found: list[Element]) -> bool:
    """Whether the last item is a fragment of pixel data."""
    return any(element.tag == 0x7FE00010 for element in found)


def _element(data: bytes, at: int, order: str, *, implicit: bool) -> Element | None:
    group, number = struct.unpack(order + "HH", data[at : at + 4])
    tag = group << 16 | number
    if implicit or group == 0xFFFE:
        return Element(tag, at, None, at + 4, 4, at + 8, struct.unpack(order + "I", data[at + 4 : at + 8])[0], order)
    vr = data[at + 4 : at + 6]
    if not vr.isalpha():
        return None
    if vr not in _LONG:
        return Element(tag, at, at + 4, at + 6, 2, at + 8, struct.unpack(order + "H", data[at + 6 : at + 8])[0], order)
    if at + 12 > len(data):
        return None
    return Element(tag, at, at + 4, at + 8, 4, at + 12, struct.unpack(order + "I", data[at + 8 : at + 12])[0], order)
