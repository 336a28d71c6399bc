"""Mutations of DICOM files that know where lengths, VRs, values, delimiters, fragments and offset tables stand."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

from tests.fuzzing.elements import OPEN, Element, Layout, layout

PIXELS = 0x7FE00010
_WHOLES = {
    0x00280010: "Rows",
    0x00280011: "Columns",
    0x00280002: "SamplesPerPixel",
    0x00280006: "PlanarConfiguration",
    0x00280100: "BitsAllocated",
    0x00280101: "BitsStored",
    0x00280102: "HighBit",
    0x00280103: "PixelRepresentation",
    0x00280120: "PixelPaddingValue",
    0x00281101: "RedPaletteColorLookupTableDescriptor",
}
_NUMBERS = (0, 1, 2, 3, 4, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 64, 127, 255, 256, 4096, 32767, 32768, 65534, 65535)
_TEXTS = {
    0x00280008: (
        "0", "-1", "2", "5", "1000", "2147483647",
        "-2147483648", "99999999999999999999", "1e9", "NaN", "", "3\\4",
    ),
    0x00280004: (
        "MONOCHROME1", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT",
        "PALETTE COLOR", "ARGB", "", "\x00", "X" * 64,
    ),
    0x00200032: ("0\\0\\0", "nan\\0\\0", "inf\\0\\0", "1e308\\1e308\\-1e308", "1\\2", "a\\b\\c", "", "0\\0\\1e-300"),
    0x00200037: (
        "1\\0\\0\\1\\0\\0", "0\\0\\0\\0\\0\\0", "1e200\\0\\0\\0\\1e200\\0",
        "nan\\0\\0\\0\\1\\0", "1\\0\\0", "1\\0\\0\\0\\.7\\.7",
    ),
    0x00280030: ("0\\0", "-1\\1", "1e-320\\1", "1e308\\1e308", "nan\\nan", "1", "", "1\\1\\1\\1"),
    0x00281052: ("nan", "inf", "1e308", "-1e39", "", "0.1", "abc", "99999999999999999"),
    0x00281053: ("0", "nan", "-inf", "1e308", "1e-320", "", "1\\2"),
    0x00080060: ("CT", "MR", "US", "SR", "", "\xff\xfe", "M" * 300),
    0x00080008: ("ORIGINAL\\PRIMARY\\LOCALIZER", "", "DERIVED\\SECONDARY\\MOSAIC", "\\\\\\\\", "A" * 5000),
    0x00080005: (
        "ISO_IR 192", "GB18030", "ISO 2022 IR 87",
        "\\ISO 2022 IR 149\\ISO 2022 IR 58", "nonsense", "ISO_IR 100\\" * 50,
    ),
    0x0020000E: ("../../../etc/passwd", "1.2.77771." + "9" * 500, "", "<script>", "1.2\x00.3"),
    0x00080016: (
        "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.88.11",
        "1.2.840.10008.1.3.10", "", "1.2.77771.5",
    ),
}  # fmt: skip
_SYNTAXES = (
    *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5"),
    *(f"1.2.840.10008.1.2.4.{end}" for end in (50, 51, 57, 70, 80, 81, 90, 91, 92, 102, 110, 201, 202, 203)),
    *("1.2.840.10008.1.2.1.98", "", "1.2.999.1", "<script>Qzsecret", "1.2.840.10008.1.2.4.50\\1.2"),
)  # fmt: skip
_VRS = b"AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV ZZ \0\0".split(
    b" "
)
_LENGTHS = (0, 1, 2, 3, 7, 0x7FFF, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, OPEN)
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD

Mutation = Callable[[bytes, Layout, Random], bytes]


def mutate_dicom(data: bytes, random: Random) -> bytes:
    """One mutation, chosen by ``random``; the data unchanged when the file has nothing of the kind."""
    found = layout(data)
    if not found.elements:
        return data
    return found.whole(random.choice(_MUTATIONS)(found.data, found, random))


def put(data: bytes, at: int, new: bytes, length: int | None = None) -> bytes:
    """``data`` with ``new`` in place of the ``length`` bytes from ``at`` on; of as many as it has when not given."""
    return data[:at] + new + data[at + (len(new) if length is None else length) :]


def _any(found: Layout, random: Random) -> Element:
    return random.choice(found.elements)


def _length(data: bytes, found: Layout, random: Random) -> bytes:
    element = _any(found, random)
    near = (element.length + 1, element.length - 1, element.length * 2, len(data) - element.value_at + 1)
    return put(data, element.length_at, element.packed(random.choice((*_LENGTHS, *near))))


def _vr(data: bytes, found: Layout, random: Random) -> bytes:
    explicit = [element for element in found.elements if element.vr_at is not None]
    if not explicit:
        return data
    return put(data, random.choice(explicit).vr_at or 0, random.choice(_VRS))


def _tag(data: bytes, found: Layout, random: Random) -> bytes:
    element, other = _any(found, random), _any(found, random)
    tag = random.choice((other.tag, random.getrandbits(32), PIXELS, _ITEM, _SEQUENCE_END, 0))
    return put(data, element.at, struct.pack(element.order + "HH", tag >> 16, tag & 0xFFFF))


def _whole_number(data: bytes, found: Layout, random: Random) -> bytes:
    known = [element for element in found.elements if element.tag in _WHOLES and element.length >= 2]
    if not known:
        return data
    element = random.choice(known)
    old = struct.unpack(element.order + "H", data[element.value_at : element.value_at + 2])[0]
    new = random.choice((*_NUMBERS, old + 1, old - 1, old * 2))
    return put(data, element.value_at, struct.pack(element.order + "H", new & 0xFFFF))


def _text(data: bytes, found: Layout, random: Random) -> bytes:
    known = [element for element in found.elements if element.tag in _TEXTS]
    if not known:
        return data
    element = random.choice(known)
    return with_value(data, element, random.choice(_TEXTS[element.tag]).encode("latin-1"))


def _frames(data: bytes, found: Layout, random: Random) -> bytes:
    """NumberOfFrames, put in front of Rows where the file has none."""
    if any(element.tag == 0x00280008 for element in found.elements):
        return _text(data, found, random)
    rows = [element for element in found.elements if element.tag == 0x00280010]
    if not rows:
        return data
    text = random.choice(_TEXTS[0x00280008]).encode()
    text += b" " * (len(text) % 2)
    head = struct.pack(rows[0].order + "HH", 0x0028, 0x0008)
    size = b"IS" + struct.pack(rows[0].order + "H", len(text)) if rows[0].vr_at else struct.pack("<I", len(text))
    return put(data, rows[0].at, head + size + text, 0)


def with_value(data: bytes, element: Element, value: bytes) -> bytes:
    """A new value with its length; the lengths of sequences around it stay as they were."""
    value += b" " * (len(value) % 2)
    end = min(element.end, len(data))
    grown = put(data, element.value_at, value, end - element.value_at)
    return put(grown, element.length_at, element.packed(len(value)))


def _syntax(data: bytes, found: Layout, random: Random) -> bytes:
    """Another transfer syntax, padded to the room of the old one so that the meta information stays whole."""
    for element in found.elements:
        if element.tag == 0x00020010:
            new = random.choice(_SYNTAXES).encode()
            return put(data, element.value_at, new.ljust(element.length, b"\0")[: element.length])
    return data


def _without(data: bytes, found: Layout, random: Random) -> bytes:
    element = _any(found, random)
    return data[: element.at] + data[element.end :]


def _twice(data: bytes, found: Layout, random: Random) -> bytes:
    element, before = _any(found, random), _any(found, random)
    return put(data, before.at, data[element.at : element.end] * random.choice((1, 1, 2, 50)), 0)


def _swapped(data: bytes, found: Layout, random: Random) -> bytes:
    one, two = sorted((_any(found, random), _any(found, random)), key=lambda element: element.at)
    if one.end > two.at:
        return data
    return data[: one.at] + data[two.at : two.end] + data[one.end : two.at] + data[one.at : one.end] + data[two.end :]


def _delimiters(data: bytes, found: Layout, random: Random) -> bytes:
    """Take away, or put in, the ends of items and sequences."""
    ends = [element for element in found.elements if element.tag in (_ITEM_END, _SEQUENCE_END)]
    if ends and random.random() < 0.6:
        gone = random.choice(ends)
        return put(data, gone.at, b"", 8)
    element = _any(found, random)
    tag = random.choice((_ITEM, _ITEM_END, _SEQUENCE_END))
    return put(
        data, element.at, struct.pack(element.order + "HHI", tag >> 16, tag & 0xFFFF, random.choice((0, 8, OPEN))), 0
    )


def _nested(data: bytes, found: Layout, random: Random) -> bytes:
    """Open sequences inside sequences that nothing closes."""
    element = _any(found, random)
    order = element.order
    item = struct.pack(order + "HHI", 0xFFFE, 0xE000, OPEN)
    if element.vr_at is None:
        level = struct.pack(order + "HHI", 0x0008, 0x1140, OPEN) + item
    else:
        level = struct.pack(order + "HH", 0x0008, 0x1140) + b"SQ\0\0" + struct.pack(order + "I", OPEN) + item
    return put(data, element.at, level * random.choice((1, 3, 40, 500)), 0)


_MOST_OFFSETS = 2**16


def _offsets(data: bytes, found: Layout, random: Random) -> bytes:
    """The basic or extended offset table: wrong, huge, or of another number of entries."""
    start = next((n for n, element in enumerate(found.elements) if element.tag == PIXELS), None)
    tables = [element for element in found.elements if element.tag in (0x7FE00001, 0x7FE00002)]
    if start is not None and start + 1 < len(found.elements) and found.elements[start].length == OPEN:
        tables.append(found.elements[start + 1])
    if not tables:
        return data
    table = random.choice(tables)
    width = 4 if table.tag == _ITEM else 8
    count = max(1, min(table.length // width, _MOST_OFFSETS)) + random.choice((0, 0, 0, 1, -1, 1000))
    numbers = (0, 1, 8, 0x7FFFFFFF, OPEN, len(data), random.getrandbits(12), random.getrandbits(31))
    entries = [random.choice(numbers) for _ in range(max(0, count))]
    return with_value(data, table, b"".join(entry.to_bytes(width, "little") for entry in entries))


def _fragments(data: bytes, found: Layout, random: Random) -> bytes:
    """A fragment lost, doubled, emptied, or put in another place."""
    start = next((n for n, element in enumerate(found.elements) if element.tag == PIXELS), None)
    fragments = [e for e in found.elements[start + 1 :] if e.tag == _ITEM] if start is not None else []
    if not fragments:
        return data
    one, two = random.choice(fragments), random.choice(fragments)
    deed = random.randrange(4)
    if deed == 0:
        return data[: one.at] + data[one.end :]
    if deed == 1:
        return put(data, two.at, data[one.at : one.end], 0)
    if deed == 2:
        return with_value(data, one, b"")
    return with_value(data, one, data[two.value_at : two.end])


_MUTATIONS: tuple[Mutation, ...] = (
    *(_length, _length, _vr, _tag, _whole_number, _whole_number, _text, _text, _frames, _syntax, _without, _twice),
    *(_swapped, _delimiters, _nested, _offsets, _fragments),
)  # fmt: skip
