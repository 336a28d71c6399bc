"""Modality LUT Sequence: stored values to values of the modality by a table (PS3.3 C.11.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.dicom.frame import Header
from medcls.scans.dicom.parse import text as t
from medcls.scans.dicom.values.lut import Pixels, descriptor_of, is_wide, look_up, words_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True, eq=False)
class ModalityLut:
    """The table of one file.

    Attributes:
        table: ``(entries,)`` uint8 where its entries have 8 bits, else uint16.
        first: The stored value that the first entry is for.
        unit: ModalityLUTType: ``HU``, ``OD``, ``US`` (unspecified), …; empty when not said.
    """

    table: Pixels
    first: int
    unit: str = ""

    def apply(self, stored: Pixels) -> Pixels:
        """Stored values ``(rows, columns)``, sign-extended, to values of the modality."""
        return look_up(stored, self.table, self.first)


def table_items(attributes: t.Attributes) -> list[Dataset]:
    """The items of a data set that hold a table; one from which all was taken out holds none."""
    items = t.items(attributes, "ModalityLUTSequence")
    return [one for one in items if any(t.value(one, name) is not None for name in ("LUTDescriptor", "LUTData"))]


def modality_lut(dataset: Dataset, header: Header) -> ModalityLut | None:
    """The modality table of a file; ``None`` without one.

    Raises:
        ScanRefused: ``damaged`` when there are several, or descriptor or data are missing, impossible, or cut short.
    """
    items = table_items(dataset)
    if not items:
        return None
    if len(items) > 1:
        raise refusal(RefusalCode.DAMAGED, f"{len(items)} modality look-up tables, of which one may be there")
    descriptor = descriptor_of(items[0], "LUTDescriptor", header)
    data = t.value(items[0], "LUTData")
    wide = descriptor.bits > 8 or is_wide(data, descriptor)
    table = None if data is None else words_of(data, header, wide=wide)
    if table is None or len(table) < descriptor.entries:
        raise refusal(RefusalCode.DAMAGED, "the modality look-up table is missing or cut short")
    kind = np.uint8 if descriptor.bits == 8 else np.uint16
    return ModalityLut(
        table[: descriptor.entries].astype(kind), descriptor.first, t.text(items[0], "ModalityLUTType").upper()
    )
