"""Look-up tables: what modality tables and colour palettes have in common (PS3.3 C.11.1.1, C.7.6.3.1.5, C.7.6.3.1.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.dicom.frame import Header
from medcls.scans.dicom.parse import text as t

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Pixels = NDArray[np.generic]
Words = NDArray[np.unsignedinteger]

_BIG_ENDIAN = "1.2.840.10008.1.2.2"


@dataclass(frozen=True)
class Descriptor:
    """LUT Descriptor.

    Attributes:
        entries: Number of entries, 1 to 65,536.
        first: The stored value that the first entry is for.
        bits: Of an entry, 8 to 16.
    """

    entries: int
    first: int
    bits: int


def descriptor_of(dataset: Dataset, keyword: str, header: Header) -> Descriptor:
    """Read a descriptor: 0 entries stand for 65,536, and the first value mapped is signed as the stored values are.

    Raises:
        ScanRefused: ``damaged`` when it is not three numbers, the last of them 8 to 16.
    """
    found = t.value(dataset, keyword)
    three = t.numbers(dataset, keyword, 3)
    if isinstance(found, bytes) and len(found) == 6:  # of unknown VR
        three = tuple(float(word) for word in np.frombuffer(_little_endian(found, header), "<u2"))
    if three is None or not 8 <= int(three[2]) <= 16:
        raise refusal(RefusalCode.DAMAGED, "a look-up table is not described as the standard has it")
    entries, first = int(three[0]) % 65536 or 65536, int(three[1]) % 65536
    # A first value of 65,486 before signed pixels is -50, whatever it was written as.
    return Descriptor(entries, first - 65536 if header.signed and first >= 32768 else first, int(three[2]))


def words_of(data: object, header: Header, *, wide: bool) -> Words | None:
    """LUT data as words of 16 or of 8 bits, little endian; ``None`` when they are no data.

    Args:
        data: US values, or bytes (OW), in which entries of 8 bits come two to a word.
        header: Its transfer syntax.
        wide: Whether entries have 16 bits.
    """
    if not isinstance(data, bytes):
        try:
            numbers = np.atleast_1d(np.asarray(data, dtype=np.int64))
        except (TypeError, ValueError):
            return None
        data = (numbers % 65536).astype("<u2").tobytes()
    else:
        data = _little_endian(data, header)
    return np.frombuffer(data[: len(data) // 2 * 2] if wide else data, "<u2" if wide else "u1")


def is_wide(data: object, descriptor: Descriptor) -> bool:
    """Whether entries take 16 bits: told by the length, for entries of 8 bits are written both ways (C.11.1.1.1)."""
    size = len(data) if isinstance(data, bytes) else 2 * int(np.size(np.asarray(data, dtype=object)))
    return size >= 2 * descriptor.entries


def look_up(stored: Pixels, table: Pixels, first: int) -> Pixels:
    """The entry for each value; values before ``first`` take the first entry, values behind the last take the last."""
    found: Pixels = table[np.clip(stored.astype(np.int64) - first, 0, len(table) - 1)]
    return found


def _little_endian(data: bytes, header: Header) -> bytes:
    if header.syntax != _BIG_ENDIAN:
        return data
    return np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2").tobytes()
