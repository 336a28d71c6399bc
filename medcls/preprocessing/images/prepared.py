"""Prepared: what a recipe makes of one scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Prepared:
    """The network's input for one scan, as one view or several.

    A volume for a 3-D network is one view. A volume for a 2-D network is one view for each chosen slice; the classifier's
    answer is the mean over views.

    Attributes:
        images: ``(V, C, x, y, z)`` for 3-D, ``(V, C, rows, columns)`` for 2-D: views, channels, space. 2-D views are upright
            as on a screen, because published 2-D weights were trained on upright pictures. A recipe gives float32 values
            that are already rounded as the store keeps them (:mod:`medcls.preprocessing.images.encoding`).
        affines: ``(V, 4, 4)`` float64. Each takes a view's array index, in the order of the view's own axes with 0 for a
            missing third, to the scan's world (RAS+ millimetres, or pixels where the scan has no geometry).
        notes: What the recipe decided about this scan, in words: no Hounsfield units, colour turned to grey, …
    """

    images: NDArray[np.floating[Any]]
    affines: NDArray[np.float64]
    notes: tuple[str, ...] = ()
