"""Pixels that are no squares, in pictures of which nothing says where they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medcls.scans.core.notes import Note

SQUARE = 0.01
"""Height and width of a square pixel differ by less than this share."""

_MOST = 8.0


def shape_notes(ratio: float) -> list[str]:
    """A note where pixels of height over width ``ratio`` are no squares."""
    return [] if abs(ratio - 1) < SQUARE else [Note.NOT_SQUARE.says(f"a pixel is {ratio:.4g} times as high as wide")]


def plane_affine(between_rows: float, between_columns: float) -> NDArray[np.float64]:
    """The affine ``(4, 4)`` of a picture of which sizes alone are known."""
    return np.diag([between_columns, between_rows, 1.0, 1.0])


def ratio_of(across: float, down: float) -> float:
    """Height over width of a pixel, from pixels per length across and down; 1 where that makes no sense."""
    ratio = across / down if across > 0 and down > 0 else 1.0
    return ratio if 1 / _MOST < ratio < _MOST and abs(ratio - 1) >= SQUARE else 1.0
