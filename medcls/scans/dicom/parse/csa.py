"""Siemens' own headers in private elements: the CSA headers of image and series, and the protocol inside the latter.

The layout is not published by the vendor; it is as nibabel documents it (https://nipy.org/nibabel/dicom/siemens_csa.html):
a count of tags, then for each tag its name, value multiplicity, VR and number of items, then for each item four integers,
one of which tells its length, and its text, padded to four bytes. CSA2 has eight bytes in front, and the length as the second
of the integers; in CSA1 it is the first of them less the number of items of the first tag.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from medcls.scans.dicom.parse import text as t

_BLOCKS = (0x10, 0x11, 0x12)
"""Private blocks that are looked into; Siemens' own files use the first, archives move blocks about."""

_IMAGE, _SERIES, _TILES = (0x0029, 0x10), (0x0029, 0x20), (0x0019, 0x0A)
_CREATORS = {0x0019: "SIEMENS MR HEADER", 0x0029: "SIEMENS CSA HEADER"}

CSA_TAGS: tuple[int, ...] = tuple(
    group << 16 | element
    for block in _BLOCKS
    for group, elements in ((0x0019, (0x0A,)), (0x0029, (0x10, 0x20)))
    for element in (block, *[block << 8 | offset for offset in elements])
)
"""Every element that this module may look at, creators of private blocks included."""

_MOST = 1000
_TAG, _ITEM = struct.Struct("<64si4siii"), struct.Struct("<4i")

_SLICE = re.compile(rb"sSliceArray\.asSlice\[(\d{1,4})\]\.sPosition\.d(Sag|Cor|Tra)\s*=\s*([-+.\deE]{1,32})")
_MENTIONED = re.compile(rb"sSliceArray\.asSlice\[(\d{1,4})\]\.")
_COUNT = re.compile(rb"sSliceArray\.lSize\s*=\s*(\d{1,4})\b")


def image_csa(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """The tags of the CSA image header (0029,xx10); empty without one, or when it is damaged."""
    data = _private(dataset, *_IMAGE)
    return read_csa(data) if isinstance(data, bytes) else {}


def diffusion_of(csa: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """``b-value`` and ``direction`` of a CSA image header; older files have them nowhere else."""
    named = (("b-value", "B_value"), ("direction", "DiffusionGradientDirection"))
    found = {name: "\\".join(csa.get(tag, ()))[:200] for name, tag in named}
    return {name: value for name, value in found.items() if value}


def tiles_in_mosaic(dataset: Dataset) -> int:
    """NumberOfImagesInMosaic (0019,xx0A); 0 without one."""
    found = _private(dataset, *_TILES)
    if isinstance(found, bytes):  # of unknown VR
        found = int.from_bytes(found, "little") if len(found) in (2, 4) else 0
    try:
        return max(0, int(found))
    except (TypeError, ValueError):
        return 0


def protocol_slices(dataset: Dataset) -> NDArray[np.float64] | None:
    """Centres of the slices that the protocol in the CSA series header (0029,xx20) asked for, in its order.

    Returns:
        ``(n, 3)`` LPS millimetres; ``None`` when there is no protocol, or it does not place every slice.
    """
    data = _private(dataset, *_SERIES)
    count = _COUNT.search(data) if isinstance(data, bytes) else None
    if count is None:
        return None
    slices = np.zeros((int(count[1]), 3))  # the protocol leaves out coordinates of zero
    for number, axis, value in _SLICE.findall(data):
        if int(number) >= len(slices):
            return None
        try:
            slices[int(number), (b"Sag", b"Cor", b"Tra").index(axis)] = float(value)
        except ValueError:
            return None
    mentioned = {int(number) for number in _MENTIONED.findall(data)}
    complete = mentioned == set(range(len(slices))) != set() and bool(np.isfinite(slices).all())
    return slices if complete else None


def read_csa(data: bytes) -> dict[str, tuple[str, ...]]:
    """The non-empty items of each tag of a CSA1 or CSA2 header, as text without padding; empty when it is damaged."""
    second = data[:4] == b"SV10"
    try:
        at = 8 if second else 0
        (count,) = struct.unpack_from("<I", data, at)
        return _tags(data, at + 8, count, second=second) if 0 < count <= _MOST else {}
    except (struct.error, ValueError):
        return {}


def _tags(data: bytes, at: int, count: int, *, second: bool) -> dict[str, tuple[str, ...]]:
    tags: dict[str, tuple[str, ...]] = {}
    surplus = -1
    for _ in range(count):
        name, _, _, _, items, _ = _TAG.unpack_from(data, at)
        at += _TAG.size
        surplus = items if surplus < 0 else surplus
        texts, at = _items(data, at, items, -1 if second else surplus)
        tags[_text(name)] = tuple(text for text in texts if text)
    return tags


def _items(data: bytes, at: int, count: int, surplus: int) -> tuple[list[str], int]:
    """The items of one tag, and where the next begins; ``surplus`` is what CSA1 adds to lengths, -1 in CSA2."""
    texts: list[str] = []
    for _ in range(count):
        first, length, _, _ = _ITEM.unpack_from(data, at)
        at += _ITEM.size
        if surplus >= 0:
            length = first - surplus
            if not 0 <= length <= len(data) - at:
                break  # how CSA1 marks that nothing more comes
        if not 0 <= length <= len(data) - at:
            raise ValueError("an item goes beyond the end")
        texts.append(_text(data[at : at + length]))
        at += -(-length // 4) * 4
    return texts, at


def _text(padded: bytes) -> str:
    return padded.split(b"\0", 1)[0].decode("latin-1").strip()


def _private(dataset: Dataset, group: int, offset: int) -> Any:
    """An element of Siemens' private block; of the usual one, where an archive removed the creators."""
    creators = {block: t.text(dataset, group << 16 | block) for block in _BLOCKS}
    if not any(creators.values()):
        return t.value(dataset, group << 16 | _BLOCKS[0] << 8 | offset)
    own = [block for block, creator in creators.items() if creator.upper() == _CREATORS[group]]
    return t.value(dataset, group << 16 | own[0] << 8 | offset) if own else None
