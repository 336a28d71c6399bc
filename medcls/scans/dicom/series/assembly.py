"""Assembly: the frames of one scan, taken one by one into one array, so that no more than a frame is in memory beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medcls.scans.core.limits import check_size
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.voxel_memory import empty
from medcls.scans.dicom.frame import Frame, Header
from medcls.scans.dicom.pixels.decode import rescale, value_dtype
from medcls.scans.dicom.pixels.padding import Padding
from medcls.scans.dicom.series.group_series import Stack

Pixels = NDArray[np.generic]


class Assembly:
    """Values of a scan's frames, in the source's unit, in the order in which they are taken; some at a time.

    Args:
        count: How many frames there will be.
    """

    def __init__(self, count: int) -> None:
        self.frames: list[Frame] = []
        self.padding = Padding()
        self._count = count
        self._array: Pixels = np.empty((0, 0, 0, 0))
        self._scaling: dict[tuple[int, bool, float, float], Header] = {}

    def take(self, frames: Sequence[Frame], stored: Pixels, padding: NDArray[np.bool_] | None) -> None:
        """Add ``k`` frames that are alike (:func:`medcls.scans.dicom.frame.alike`).

        Args:
            frames: What their headers say.
            stored: ``(k, rows, columns)`` stored values or ``(k, rows, columns, 3)`` RGB; not kept.
            padding: ``(k, rows, columns)`` which of them are padding; ``None`` when none is.

        Raises:
            ScanRefused: ``changed`` when they do not fit the others, ``too-large``, ``not-finite``.
        """
        frame, values = frames[0], self._places(frames, stored.dtype)
        number = len(self.frames)
        self.frames.extend(frames)
        if frame.header.colour:
            values[...] = np.moveaxis(stored, -1, 1)
            return
        if padding is not None:
            self.padding.add(number, padding)
        rescale(stored, frame.slope, frame.intercept, values[:, 0])
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise refusal(RefusalCode.NOT_FINITE, "the rescaled values are not finite", where=frame.path)

    def room(self, frames: Sequence[Frame], word: np.dtype[np.generic]) -> Pixels | None:
        """The place of the next frames as memory for their stored values, where both are equally wide, so that nothing needs
        to be copied: ``(k, rows, columns)`` of ``word``; else ``None``. :meth:`take` is to follow.

        Raises:
            ScanRefused: As :meth:`take`.
        """
        values = self._places(frames, word)
        if frames[0].header.colour or values.dtype.kind == "f" or values.dtype.itemsize != word.itemsize:
            return None
        return values[:, 0].view(word)

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

    def invert(self, array: Pixels, first: int = 0) -> None:
        """Turn the grey scale of frames from ``first`` on round within its range, so that bright stays dense.

        See PS3.3 C.7.6.3.1.2.
        """
        numbers = range(first, first + len(array))
        padding = np.stack([self.padding.mask(number, array.shape[2:]) for number in numbers])[:, np.newaxis]
        real = np.ones(array.shape, dtype=np.bool_) if padding.all() else ~padding
        low, high = array[real].min(), array[real].max()
        array[real] = (high - (array[real] - low)).astype(array.dtype)
        array[~real] = low

    def _places(self, frames: Sequence[Frame], word: np.dtype[np.generic]) -> Pixels:
        """Where the next frames belong, ``(k, C, rows, columns)``, in a type that fits them too."""
        frame, number = frames[0], len(self.frames)
        if not number and not self._array.size:
            self._start(frame, word)
        if number + len(frames) > self._count or self._unlike(frame):
            raise refusal(RefusalCode.CHANGED, "the files no longer make one scan", where=frame.path)
        if not frame.header.colour:
            self._widen(frame)
        return self._array[number : number + len(frames)]

    def _start(self, frame: Frame, word: np.dtype[np.generic]) -> None:
        header = frame.header
        channels = 3 if header.colour else 1
        check_size((header.columns, header.rows, channels, self._count), frame.path)
        dtype = word if channels == 3 else value_dtype(header, [(frame.slope, frame.intercept)])
        self._array = empty((self._count, channels, header.rows, header.columns), dtype)

    def _unlike(self, frame: Frame) -> bool:
        channels, rows, columns = self._array.shape[1:]
        header = frame.header
        return (header.rows, header.columns, header.colour) != (rows, columns, channels == 3)

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
