"""Padded voxels: PixelPaddingValue and PixelPaddingRangeLimit (PS3.3 C.7.5.1.1.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medcls.scans.core.notes import Note
from medcls.scans.core.transfer_syntaxes import LOSSY
from medcls.scans.dicom.frame import Frame

CT_AIR = -1024
"""What padded CT voxels become: the lowest value of the usual CT scale, which the standard leaves to the reader."""

Pixels = NDArray[np.generic]


def is_padding(stored: Pixels, frame: Frame) -> NDArray[np.bool_] | None:
    """Which stored values ``(…, rows, columns)`` of frames like this one are padding; ``None`` when none is.

    Lossy compression blurs the padding value. In CT, where it is below air, everything nearer to it than to air is
    padding then.
    """
    if frame.header.padding is None or frame.header.colour:
        return None
    low, high = frame.header.padding
    if frame.rescaled_ct and frame.header.syntax in LOSSY and frame.slope > 0:
        air = (CT_AIR - frame.intercept) / frame.slope
        if high < air:
            return _any(stored.astype(np.float64) <= (high + air) / 2)
    ends = np.iinfo(stored.dtype)  # type: ignore[type-var]
    if low == high:
        return _any(stored == low) if ends.min <= low <= ends.max else None
    return _any((stored.astype(np.int64) >= low) & (stored.astype(np.int64) <= high))


def _any(mask: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    return mask if mask.any() else None


class Padding:
    """The padded voxels of a scan: remembered slice by slice, an eighth of a byte each, and filled at the end."""

    def __init__(self) -> None:
        self._masks: dict[int, NDArray[np.uint8]] = {}
        self._count = 0

    def add(self, number: int, masks: NDArray[np.bool_]) -> None:
        """Remember the masks ``(k, rows, columns)`` of the slices from ``number`` on."""
        for place, mask in enumerate(masks, start=number):
            if mask.any():
                self._masks[place] = np.packbits(mask)
                self._count += int(mask.sum())

    def mask(self, number: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """The mask of a slice, of this shape."""
        packed = self._masks.get(number)
        if packed is None:
            return np.zeros(shape, dtype=np.bool_)
        return np.unpackbits(packed, count=int(np.prod(shape))).view(np.bool_).reshape(shape)

    def reorder(self, order: list[int]) -> None:
        """Follow a change of the slices' order: the slice ``order[i]`` is now ``i``."""
        self._masks = {new: self._masks[old] for new, old in enumerate(order) if old in self._masks}

    def fill(self, array: Pixels, *, ct: bool) -> str:
        """Give padded voxels a value that no statistics stumble over: air in CT, else the lowest real value.

        A padding value of zero outside CT is left alone: it already is the background.

        Args:
            array: ``(n, 1, rows, columns)``, changed in place.
            ct: Whether values are CT numbers.

        Returns:
            What was done, as a note; empty when nothing is padded.
        """
        if not self._count:
            return ""
        if self._count == array.size:
            return Note.PADDING.says(f"all {self._count} voxels hold the padding value")
        shape = array.shape[2:]
        if not ct and not any(array[number, 0][self.mask(number, shape)].any() for number in self._masks):
            return Note.PADDING.says(f"{self._count} voxels are padding, of value 0")
        fill = self._fill_value(array, ct)
        for number in self._masks:
            array[number, 0][self.mask(number, shape)] = fill
        return Note.PADDING.says(f"{self._count} padded voxels were set to {fill:g}")

    def _fill_value(self, array: Pixels, ct: bool) -> np.generic:
        if ct and not np.issubdtype(array.dtype, np.unsignedinteger):
            return array.dtype.type(CT_AIR)
        shape = array.shape[2:]
        real = (array[number, 0][~self.mask(number, shape)] for number in range(len(array)))
        lowest: np.generic = min(part.min() for part in real if part.size)
        return lowest
