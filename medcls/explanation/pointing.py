"""The pointing game: does a map's peak are where the lesion is?

Zhang et al., 'Top-down Neural Attention by Excitation Backprop' (ECCV 2016), with the tolerance that the map's own
resolution asks for: one feature cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medcls.explanation.explanation import Explanation


def points_at(explanation: Explanation, centre: Sequence[float], radius: float) -> bool:
    """Whether the map's peak is inside a lesion, or within one feature cell of it.

    Args:
        explanation: The map and its peak.
        centre: The lesion's centre in the scan's world: RAS+ millimetres, or column and row of a picture without geometry.
        radius: Its radius in the same unit.
    """
    if explanation.peak is None:
        return False
    place = np.zeros(3)
    place[: len(centre)] = centre
    away = np.asarray(explanation.peak) - place
    # Along each axis of the cells, so that a coarse axis does not lend its tolerance to a fine one.
    for axis, size in zip(explanation.cell_axes.T, explanation.cell_size, strict=True):
        if abs(float(axis @ away)) > radius + size:
            return False
    return True
