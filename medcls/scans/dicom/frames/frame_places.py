"""Where the frames of a stack are: their heights, the positions that they share, their layout as a volume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medcls.errors import ScanRefused
from medcls.scans.core.leniency import STRICT, Leniency
from medcls.scans.dicom.frame import Frame
from medcls.scans.dicom.frames.geometry import SAME_POSITION_MM, Layout, heights, lay_out


def layout_of(frames: Sequence[Frame], leniency: Leniency = STRICT) -> Layout:
    """Lay out frames by the mean of their orientations; see :func:`medcls.scans.dicom.frames.geometry.lay_out`."""
    return lay_out(_points(frames), mean_orientation(frames), as_vector(frames[0].spacing), leniency)


def mean_orientation(frames: Sequence[Frame]) -> NDArray[np.float64]:
    """``(6,)`` mean of ImageOrientationPatient, independent of the frames' order."""
    if len({frame.orientation for frame in frames}) == 1:
        return as_vector(frames[0].orientation)
    # Sorted first, so that the sum does not depend on the order of the files.
    rows = np.sort(np.stack([as_vector(frame.orientation) for frame in frames]), axis=0)
    return np.asarray(rows.mean(axis=0))


def as_vector(values: tuple[float, ...] | None) -> NDArray[np.float64]:
    """``(k,)``; empty where there is nothing."""
    return np.asarray(values or (), dtype=np.float64)


def _points(frames: Sequence[Frame]) -> NDArray[np.float64]:
    return np.array([frame.position for frame in frames], dtype=np.float64)


def heights_of(frames: Sequence[Frame]) -> NDArray[np.float64]:
    """``(frames,)`` millimetres along the normal of their mean orientation.

    See :func:`medcls.scans.dicom.frames.geometry.heights`.

    Raises:
        ScanRefused: The orientation is impossible.
    """
    return heights(_points(frames), mean_orientation(frames))


def repeat_a_position(frames: Sequence[Frame]) -> bool:
    """Whether two frames are at one position."""
    try:
        return len(frames) > 1 and bool((np.diff(np.sort(heights_of(frames))) < SAME_POSITION_MM).any())
    except ScanRefused:
        return False  # an impossible orientation is refused when the volume is laid out


def count_positions(frames: Sequence[Frame]) -> int:
    """At how many positions the frames are."""
    return int(1 + (np.diff(np.sort(heights_of(frames))) >= SAME_POSITION_MM).sum())
