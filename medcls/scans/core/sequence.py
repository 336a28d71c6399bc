"""Sequences: pictures that follow each other in time, and which of them are taken where not all are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medcls.scans.core.notes import Note

MOST_FRAMES = 16
"""Frames that a sequence is looked at by, unless a recipe says otherwise."""


def spread(times: Sequence[float], most: int) -> tuple[int, ...]:
    """Numbers of at most ``most`` frames, evenly spread in time: those nearest to the middles of equal parts of the sequence.

    Frames that are nearest to two middles are taken once, so that uneven times may give fewer.

    Args:
        times: ``(t,)`` seconds of each frame, ascending.
        most: How many at most.
    """
    if len(times) <= most:
        return tuple(range(len(times)))
    moments = np.asarray(times, dtype=np.float64)
    middles = moments[0] + (np.arange(most) + 0.5) / most * (moments[-1] - moments[0])
    later = np.clip(np.searchsorted(moments, middles), 1, len(moments) - 1)
    nearest = np.where(middles - moments[later - 1] <= moments[later] - middles, later - 1, later)
    return tuple(int(number) for number in dict.fromkeys(nearest.tolist()))


def some_frames(taken: int, of: int) -> str:
    """The note on a sequence of which not all frames are read."""
    return Note.SOME_FRAMES.says(f"{taken} of {of} frames were read")
