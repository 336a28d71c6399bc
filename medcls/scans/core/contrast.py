"""Contrast: whether an image shows anything, which it does not where every voxel has the same value."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class OneValue:
    """Takes an image part by part, and knows its value as long as it has only one. Costs next to nothing once it has two."""

    def __init__(self) -> None:
        self._first: np.generic | None = None
        self._several = False

    def add(self, pixels: NDArray[np.generic]) -> None:
        """Take the next part, of any shape."""
        if not self._several:
            self._first = pixels.flat[0] if self._first is None else self._first
            self._several = bool((pixels != self._first).any())

    @property
    def value(self) -> float | None:
        """The one value; ``None`` where there are several."""
        return None if self._several or self._first is None else float(self._first)


def one_value(array: NDArray[np.generic]) -> tuple[float, ...] | None:
    """The value of each channel of an image ``(C, x, y)`` or ``(C, x, y, z)``; ``None`` where a channel has several."""
    count = array.shape[-1]
    parts = [OneValue() for _ in array]
    for k in sorted(range(count), key=lambda place: abs(2 * place - count)):  # the middle shows most
        for part, channel in zip(parts, array, strict=True):
            part.add(channel[..., k])
        if any(part.value is None for part in parts):
            return None
    return tuple(part.value for part in parts if part.value is not None)


def in_words(values: tuple[float, ...]) -> str:
    """What :func:`one_value` found."""
    if len(set(values)) > 1:
        return f"every pixel has the same colour, {' '.join(f'{value:g}' for value in values)}"
    return f"every voxel has the same value, {values[0]:g}"
