"""Colour palettes: plain tables (PS3.3 C.7.6.3.1.6) and tables in segments (C.7.9.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.dicom.frame import Header
from medcls.scans.dicom.parse import text as t
from medcls.scans.dicom.values.lut import Descriptor, Pixels, Words, descriptor_of, is_wide, look_up, words_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


def from_palette(frame: Pixels, dataset: Dataset, header: Header) -> Pixels:
    """Indices ``(rows, columns)`` to colours ``(rows, columns, 3)`` uint8.

    Raises:
        ScanRefused: ``damaged`` when a table is missing, cut short, or its segments make no sense.
    """
    planes = []
    for colour in ("Red", "Green", "Blue"):
        descriptor = descriptor_of(dataset, f"{colour}PaletteColorLookupTableDescriptor", header)
        planes.append(look_up(frame, _table(dataset, colour, descriptor, header), descriptor.first))
    return np.stack(planes, axis=-1)


def _table(dataset: Dataset, colour: str, descriptor: Descriptor, header: Header) -> Pixels:
    """The table of one colour, ``(entries,)`` uint8."""
    data = t.value(dataset, f"{colour}PaletteColorLookupTableData")
    segments = t.value(dataset, f"Segmented{colour}PaletteColorLookupTableData")
    if isinstance(data, bytes):
        wide = is_wide(data, descriptor)
        table = words_of(data, header, wide=wide)
    elif isinstance(segments, bytes):
        wide = descriptor.bits > 8
        words = words_of(segments, header, wide=wide)
        table = None if words is None else expanded(words, descriptor.entries)
    else:
        raise refusal(RefusalCode.DAMAGED, "the colour palette is missing")
    if table is None or len(table) < descriptor.entries:
        raise refusal(RefusalCode.DAMAGED, "the colour palette is cut short")
    table = table[: descriptor.entries]
    # Of more bits than screens show, the highest eight are kept.
    return (table >> (descriptor.bits - 8) if wide else table).astype(np.uint8)


def expanded(words: Words, entries: int) -> Words:
    """A table from its segments: listed values, straight lines from the value before, and copies of earlier segments.

    Args:
        words: ``(n,)`` uint8 or uint16: of each segment its kind, its length, and its content (Table C.7-23).
        entries: What the table holds when it is complete; nothing is expanded beyond.

    Returns:
        ``(entries,)`` of the same type, or fewer where the segments end early.

    Raises:
        ScanRefused: ``damaged`` for a segment that is empty, unknown or cut short, a line without a beginning, or a copy of
            a copy, which the standard forbids (C.7.9.2.3).
    """
    table: list[int] = []
    values = words.tolist()
    offset_words = 4 if words.dtype.itemsize == 1 else 2  # an offset has 32 bits
    at = 0
    while len(table) < entries and at + 2 <= len(values):  # a trailing word is padding
        kind, length = values[at], values[at + 1]
        if kind != _INDIRECT:
            at = _segment(values, at, table)
            continue
        target = int.from_bytes(words[at + 2 : at + 2 + offset_words].tobytes(), "little") // words.dtype.itemsize
        at += 2 + offset_words
        if not length or at > len(values):
            raise refusal(RefusalCode.DAMAGED, "the segments of the colour palette make no table")
        for _ in range(length):
            target = _segment(values, target, table)
            if len(table) >= entries:
                break
    return np.asarray(table[:entries], dtype=words.dtype)


def _segment(values: list[int], at: int, table: list[int]) -> int:
    """Add one discrete or linear segment to the table; return where the next begins."""
    kind, length = (*values[at : at + 2], -1, 0)[:2]
    start, end = at + 2, at + 2 + (length if kind == _DISCRETE else 1)
    if kind not in (_DISCRETE, _LINEAR) or not length or end > len(values) or (kind == _LINEAR and not table):
        raise refusal(RefusalCode.DAMAGED, "the segments of the colour palette make no table")
    if kind == _DISCRETE:
        table.extend(values[start:end])
    else:
        line = np.linspace(table[-1], values[start], length + 1)[1:]
        table.extend(np.rint(line).astype(int).tolist())
    return end
