"""Assembly: the frames of one scan, taken one by one into one array, so that no more than a frame is in memory beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medcls.scans.codes import RefusalCode, refusal
from medcls.scans.dicom.frames import Frame, Header
from medcls.scans.dicom.padding import Padding
from medcls.scans.dicom.pixels import rescale, value_dtype
from medcls.scans.dicom.series import Stack
from medcls.scans.limits import check_size
from medcls.scans.memory import empty

Pixels = NDArray[np.generic]


def is_colour(header: Header) -> bool:
    """Whether frames are RGB once decoded."""
    return header.samples >= 3 or header.photometric == "PALETTE COLOR"


class Assembly:
    """Values of a scan's frames, in the source's unit, in the order in which they are taken.

    Args:
        count: How many frames there will be.
    """

    def __init__(self, count: int) -> None:
        self.frames: list[Frame] = []
        self.padding = Padding()
        self._count = count
        self._array: Pixels = np.empty((0, 0, 0, 0))
        self._scaling: dict[tuple[int, bool, float, float], Header] = {}

    def take(self, frame: Frame, stored: Pixels, padding: NDArray[np.bool_] | None) -> None:
        """Add a frame.

        Args:
            frame: What its header says.
            stored: ``(rows, columns)`` stored values or ``(rows, columns, 3)`` RGB; not kept.
            padding: ``(rows, columns)`` which of them are padding; ``None`` when none is.

        Raises:
            ScanRefused: ``changed`` when it does not fit the others, ``too-large``, ``not-finite``.
        """
        number = len(self.frames)
        if not number:
            self._start(frame, stored)
        elif number >= self._count or self._unlike(frame):
            raise refusal(RefusalCode.CHANGED, "the files no longer make one scan", where=frame.path)
        self.frames.append(frame)
        if is_colour(frame.header):
            self._array[number] = np.moveaxis(stored, -1, 0)
            return
        self._widen(frame)
        if padding is not None:
            self.padding.add(number, padding)
        values = self._array[number, 0]
        rescale(stored, frame.slope, frame.intercept, values)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise refusal(RefusalCode.NOT_FINITE, "the rescaled values are not finite", where=frame.path)

    def arranged(self, frames: Sequence[Frame]) -> Pixels:
        """The values ``(n, C, rows, columns)`` of some of the frames, in their order; a view where that is possible."""
        places = {(frame.path, frame.index): number for number, frame in enumerate(self.frames)}
        order = [places[(frame.path, frame.index)] for frame in frames]
        if order == list(range(len(order))):
            return self._array[: len(order)]
        self.padding.reorder(order)
        return self._array[order]

    def check_copies(self, stack: Stack) -> None:
        """Refuse slices at one position that are not the same, voxel for voxel."""
        for copy in stack.copies:
            twin = min(stack.frames, key=lambda frame: _distance(frame, copy))
            if self._digest(twin) != self._digest(copy):
                raise refusal(RefusalCode.DUPLICATE_SLICES, "slices at one position differ", where=copy.path)

    def invert(self, array: Pixels) -> None:
        """Turn the grey scale round within its range, so that bright stays dense (PS3.3 C.7.6.3.1.2)."""
        shape = array.shape[2:]
        padding = np.stack([self.padding.mask(number, shape) for number in range(len(array))])[:, np.newaxis]
        real = np.ones(array.shape, dtype=np.bool_) if padding.all() else ~padding
        low, high = array[real].min(), array[real].max()
        array[real] = (high - (array[real] - low)).astype(array.dtype)
        array[~real] = low

    def _start(self, frame: Frame, stored: Pixels) -> None:
        header = frame.header
        channels = 3 if is_colour(header) else 1
        check_size((header.columns, header.rows, channels, self._count), frame.path)
        dtype = stored.dtype if channels == 3 else value_dtype(header, [(frame.slope, frame.intercept)])
        self._array = empty((self._count, channels, header.rows, header.columns), dtype)

    def _unlike(self, frame: Frame) -> bool:
        first, header = self.frames[0].header, frame.header
        return first is not header and (
            (first.rows, first.columns, is_colour(first)) != (header.rows, header.columns, is_colour(header))
        )

    def _widen(self, frame: Frame) -> None:
        """Change the type of the values when this frame does not fit it; what is there already fits the wider one."""
        key = (frame.header.bits_stored, frame.header.signed, frame.slope, frame.intercept)
        if key in self._scaling:
            return
        self._scaling[key] = frame.header
        widest = max(self._scaling.values(), key=lambda header: header.bits_stored)
        dtype = value_dtype(widest, [(slope, intercept) for _, _, slope, intercept in self._scaling])
        if dtype != self._array.dtype:
            wider = empty(self._array.shape, dtype)
            wider[: len(self.frames)] = self._array[: len(self.frames)]
            self._array = wider

    def _digest(self, frame: Frame) -> bytes:
        number = next(i for i, one in enumerate(self.frames) if (one.path, one.index) == (frame.path, frame.index))
        return hashlib.blake2b(self._array[number].tobytes()).digest()


def _distance(frame: Frame, other: Frame) -> float:
    return float(np.linalg.norm(np.subtract(frame.position or (), other.position or ())))
