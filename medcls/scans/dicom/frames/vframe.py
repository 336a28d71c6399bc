"""United Imaging's grids: the slices of one volume as tiles of one picture, with the place of each in private elements.

``n`` tiles fill ``ceil(sqrt(n))`` columns, row by row, and as many rows as they need. Their number is in (0065,xx50), and
(0065,xx51) has an item for each, with its own ImagePositionPatient, in the block of 'Image Private Header'.
"""

from __future__ import annotations

import math
from dataclasses import replace

from pydicom.dataset import Dataset

from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.dicom.frame import Frame
from medcls.scans.dicom.parse import text as t

_GROUP, _CREATOR = 0x0065, "IMAGE PRIVATE HEADER"
_COUNT, _PLACES = 0x50, 0x51
_BLOCKS = (0x10, 0x11, 0x12)

VFRAME_TAGS = tuple(
    _GROUP << 16 | element for block in _BLOCKS for element in (block, block << 8 | _COUNT, block << 8 | _PLACES)
)
"""Every element that this module may look at, creators of private blocks included."""


def vframe_frames(dataset: Dataset, whole: Frame) -> list[Frame]:
    """The tiles of a grid as frames, in their order; arguments and result as for a mosaic.

    Raises:
        ScanRefused: ``no-geometry`` when a tile's position is not known, ``inconsistent`` or ``damaged`` when number, positions
            and picture contradict each other.
    """
    blocks = [block for block in _BLOCKS if t.text(dataset, _GROUP << 16 | block).upper() == _CREATOR] or _BLOCKS[:1]
    first = _GROUP << 16 | blocks[0] << 8
    positions = [t.numbers(item, "ImagePositionPatient", 3) for item in t.items(dataset, first | _PLACES)]
    if not positions or None in positions:
        remedy = "Export the series anew with its private attributes, or as single slices"
        raise refusal(RefusalCode.NO_GEOMETRY, "the header does not say where the tiles of the grid are", remedy=remedy)
    if t.whole(dataset, first | _COUNT, len(positions)) != len(positions):
        raise refusal(RefusalCode.INCONSISTENT, "the headers disagree on the number of tiles in the grid")
    header, across = whole.header, math.isqrt(len(positions) - 1) + 1
    down = -(-len(positions) // across)
    if header.rows % down or header.columns % across:
        what = f"a grid of {header.columns}x{header.rows} cannot hold {across}x{down} tiles"
        raise refusal(RefusalCode.DAMAGED, what)
    small = replace(header, rows=header.rows // down, columns=header.columns // across, count=len(positions))
    splits = {**whole.splits, "instance": t.text(dataset, "InstanceNumber"), "file": whole.sop_uid}
    return [
        replace(whole, header=small, index=number, position=position, splits=splits)
        for number, position in enumerate(positions)
    ]
