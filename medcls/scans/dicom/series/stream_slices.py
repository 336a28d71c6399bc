"""Passing a series by, slice by slice: for a recipe that needs no more than one slice at a time.

The values are those of :func:`medcls.scans.dicom.series.read_uncompressed.read_plain`, bit for bit. Whatever needs several
slices at once (gaps, uneven distances, a tilt, copies, a file order that is not the slices') is left to it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from medcls.scans.core.leniency import STRICT, Leniency
from medcls.scans.core.limits import check_size
from medcls.scans.core.notes import Note
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ScanSource
from medcls.scans.dicom.frame import Frame, Header
from medcls.scans.dicom.pixels.decode import rescale, value_dtype
from medcls.scans.dicom.pixels.padding import CT_AIR, is_padding
from medcls.scans.dicom.series.group_series import Stack
from medcls.scans.dicom.series.read_uncompressed import NotPlainError, plain_frames
from medcls.scans.dicom.series.volume import described, only_stack

Take = Callable[[NDArray[np.generic]], None]


def pass_plain(source: ScanSource, take: Take, leniency: Leniency = STRICT) -> Scan | None:
    """See :func:`medcls.scans.reading.pass_slices`.

    Raises:
        ScanRefused: Anything about the scan is not right.
    """
    if source.kind != "dicom" or source.frames or source.channels != 1 or len(source.shape) != 3:
        return None
    if len(source.paths) != source.shape[2]:
        return None
    passing = _Passing(source, take)
    try:
        for frames, stored in plain_frames(source):
            for frame, values in zip(frames, stored, strict=True):
                passing.take(frame, values)
    except (NotPlainError, _NotPassingError):
        return None
    stack = only_stack(passing.frames, source, leniency)
    if not _is_plain_stack(stack, passing.frames) or stack.layout is None:
        return None
    notes = passing.padding_notes()
    return None if notes is None else described(stack, source, passing.stand_in(), stack.layout.affine, True, notes)


def _is_plain_stack(stack: Stack, frames: list[Frame]) -> bool:
    """Whether the frames passed in slice order, on an even, upright grid without holes."""
    layout = stack.layout
    if layout is None or stack.copies or list(stack.frames) != frames:
        return False
    return not (layout.missing or layout.heights or layout.tilt)


class _NotPassingError(Exception):
    """The whole scan has to be seen at once."""


class _Passing:
    """Values of one frame after the other, in the source's unit and the type that the whole scan has."""

    def __init__(self, source: ScanSource, take: Take) -> None:
        self.frames: list[Frame] = []
        self._source = source
        self._give = take
        self._values: NDArray[np.generic] = np.empty((0, 0))
        self._scaling: dict[tuple[int, bool, float, float], Header] = {}
        self._padded = 0

    def take(self, frame: Frame, stored: NDArray[np.generic]) -> None:
        """Bring a frame's stored values ``(rows, columns)`` to the source's unit, and pass them on."""
        header = frame.header
        if len(self.frames) >= len(self._source.paths) or (header.columns, header.rows) != self._source.shape[:2]:
            raise _NotPassingError  # straightened, which changes the size; or no longer the scan that was found
        self._check_type(frame)
        self.frames.append(frame)
        rescale(stored, frame.slope, frame.intercept, self._values)
        if self._values.dtype.kind == "f" and not np.isfinite(self._values).all():
            raise refusal(RefusalCode.NOT_FINITE, "the rescaled values are not finite", where=frame.path)
        self._fill(frame, stored)
        self._give(self._values)

    def stand_in(self) -> NDArray[np.generic]:
        """Zeros ``(n, 1, rows, columns)`` of the values' type that take no memory."""
        zero = np.zeros((1, 1, 1, 1), self._values.dtype)
        return np.broadcast_to(zero, (len(self.frames), 1, *self._values.shape))

    def padding_notes(self) -> list[str] | None:
        """What was done to padding; ``None`` when every voxel is padding, which is then kept as it is."""
        if self._padded == len(self.frames) * self._values.size:
            return None
        return [Note.PADDING.says(f"{self._padded} padded voxels were set to {CT_AIR:g}")] if self._padded else []

    def _check_type(self, frame: Frame) -> None:
        """Make room for the first frame's values; give up when a later frame needs a wider type for the whole scan."""
        header = frame.header
        key = (header.bits_stored, header.signed, frame.slope, frame.intercept)
        if key in self._scaling:
            return
        self._scaling[key] = header
        widest = max(self._scaling.values(), key=lambda one: one.bits_stored)
        dtype = value_dtype(widest, [(slope, intercept) for _, _, slope, intercept in self._scaling])
        if not self.frames:
            check_size((header.columns, header.rows, 1, len(self._source.paths)), frame.path)
            self._values = np.empty((header.rows, header.columns), dtype)
        elif dtype != self._values.dtype:
            raise _NotPassingError

    def _fill(self, frame: Frame, stored: NDArray[np.generic]) -> None:
        """Set padding to air in CT; elsewhere its value depends on all slices."""
        padding = is_padding(stored, frame)
        if padding is None:
            return
        if not frame.rescaled_ct or np.issubdtype(self._values.dtype, np.unsignedinteger):
            raise _NotPassingError
        self._padded += int(padding.sum())
        self._values[padding] = CT_AIR
