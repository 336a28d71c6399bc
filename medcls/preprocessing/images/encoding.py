"""Encoding: how the values of a network's input are kept, one or two bytes each, and how far that is from what they were.

Where a recipe ends in a known range (a window, percentiles, or a picture's own scale bring values to 0..1, and fixed numbers
may follow), a value is one of 256 steps over that range: it is off by half a step at most, 1/510 of the range (0.002 of 0..1,
2.7 HU of a window of 1400), and the 256 greys of a picture come back as they were. Elsewhere it is a float16, off by 1/2048 of
itself at most. Rounding belongs to the recipe, not to the store: a result that was stored and one that was just computed are
the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medcls.preprocessing.images.prepared import Prepared

Precision = Literal["uint8", "float16"]
Codes = NDArray[Any]
"""uint8 or float16."""

STEPS_OF_BYTE = 255
_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Encoding:
    """How codes are turned into values: ``code * scale + offset`` (float16 codes are the values themselves).

    Attributes:
        precision: Type of the codes.
        channels: Channels of the values. One plane of codes stands for all of them where all are alike.
        scale, offset: One number for all channels, or one for each.
    """

    precision: Precision
    channels: int
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)

    @classmethod
    def over(cls, ranges: Sequence[tuple[float, float]] | None, channels: int) -> Encoding:
        """One byte over ranges ``(low, high)``, one for all channels or one for each; float16 where there are none."""
        if ranges is None:
            return cls("float16", channels)
        scale = tuple((high - low) / STEPS_OF_BYTE for low, high in ranges)
        return cls("uint8", channels, scale, tuple(low for low, _ in ranges))

    @property
    def error(self) -> float:
        """The most that a value within the range is off by: half a step. For float16, the most relative to the value."""
        return max(self.scale) / 2 if self.precision == "uint8" else 2.0**-11

    def encode(self, values: NDArray[np.float32]) -> Codes:
        """Codes of values ``(C, …)``."""
        if self.precision == "float16":
            return np.clip(values, -_LARGEST, _LARGEST).astype(np.float16)
        steps = (values - self._each(self.offset, values.ndim)) * (1 / self._each(self.scale, values.ndim))
        return np.rint(np.clip(steps, 0, STEPS_OF_BYTE)).astype(np.uint8)

    def decode(self, codes: Codes) -> NDArray[np.float32]:
        """Values ``(channels, …)`` float32 of codes ``(planes, …)``, with one plane or all."""
        values = np.empty((self.channels, *codes.shape[1:]), np.float32)
        if self.precision == "float16":
            values[...] = codes
            return values
        np.multiply(codes, self._each(self.scale, codes.ndim), out=values, dtype=np.float32)
        if any(self.offset):
            values += self._each(self.offset, codes.ndim)
        return values

    @staticmethod
    def _each(numbers: tuple[float, ...], axes: int) -> NDArray[np.float32]:
        return np.array(numbers, np.float32).reshape(-1, *([1] * (axes - 1)))


@dataclass(frozen=True, eq=False)
class Encoded:
    """What a recipe makes of one scan, as it is kept.

    Attributes:
        codes: ``(V, P, …)`` uint8 or float16, with one plane for all channels where they are alike.
        encoding: What they mean.
        affines: As :attr:`medcls.preprocessing.Prepared.affines`.
        notes: As :attr:`medcls.preprocessing.Prepared.notes`.
    """

    codes: Codes
    encoding: Encoding
    affines: NDArray[np.float64]
    notes: tuple[str, ...] = ()

    def decoded(self) -> Prepared:
        """The values."""
        images = np.stack([self.encoding.decode(view) for view in self.codes])
        return Prepared(images, self.affines, self.notes)


def share_of_one_value(codes: Codes) -> float:
    """The share of ``codes`` that one of them has, where that is nearly all; 0 where it is clearly not.

    Exact where it is 0.999 or more: even if each of the other codes, 1 in 1000 at most, were among those that are looked at,
    1 in 101, they would be 101 of 1000 there.
    """
    few = np.sort(codes.ravel()[::101])
    middle = few[len(few) // 2]
    return float((codes == middle).mean()) if (few == middle).mean() > 0.89 else 0.0


def one_plane_where_alike(codes: Codes) -> Codes:
    """``(V, C, …)`` with one channel in place of several equal ones, as grey pictures that were saved in colour have."""
    if codes.shape[1] > 1 and all(np.array_equal(codes[:, 0], codes[:, c]) for c in range(1, codes.shape[1])):
        return np.ascontiguousarray(codes[:, :1])
    return np.ascontiguousarray(codes)
