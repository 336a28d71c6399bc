"""Fingerprint: what is compared of an image to know copies of it.

It has the signs of 255 low spatial frequencies (a perceptual hash by discrete cosine transform; Zauner, Implementation and
benchmarking of perceptual image hash functions, 2010), and a small picture of the fine detail.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BITS = 255

_SIDE = {2: 64, 3: 20}  # of the picture that detail is taken from; for 3-D each side
_LOW = {2: (16, 16), 3: (8, 8, 4)}  # frequencies along each axis; the first of all, the mean, is left out
_SMOOTH = {2: 2.0, 3: 1.0}  # standard deviation in its pixels: what is coarser is no detail
_FLAT = 1e-4
_BYTES = (BITS + 7) // 8
_SAMPLES = 8  # read along each axis for one pixel of the small picture; more would only take longer


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What is compared of an image.

    Attributes:
        bits: ``(255,)`` booleans.
        detail: ``(k,)`` int8, the fine detail, in units of its own largest value.
    """

    bits: NDArray[np.bool_]
    detail: NDArray[np.int8]

    @property
    def text(self) -> str:
        """The bits as 64 hexadecimal digits: what may be kept where no picture may."""
        return bits_text(self.bits)

    def packed(self) -> str:
        """Bits and detail as base64 text, which :meth:`unpacked` takes back."""
        return base64.b64encode(np.packbits(self.bits).tobytes() + self.detail.tobytes()).decode("ascii")

    @classmethod
    def unpacked(cls, text: str) -> Fingerprint | None:
        """What :meth:`packed` wrote; ``None`` for any other text."""
        try:
            data = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
        except ValueError:
            return None
        if len(data) - _BYTES not in {side**dimensions for dimensions, side in _SIDE.items()}:
            return None
        return cls(np.unpackbits(data[:_BYTES]).astype(bool)[:BITS], data[_BYTES:].view(np.int8))


def fingerprint(view: NDArray[np.generic]) -> Fingerprint | None:
    """The fingerprint of an image.

    It does not change with brightness and contrast, and hardly with compression and size; it does change when an image is
    turned by a quarter, or cropped by more than a hundredth of its side.

    Args:
        view: ``(C, rows, columns)`` or ``(C, x, y, z)``, any size and unit; the mean over channels is taken.

    Returns:
        ``None`` for a blank image: all blank images are equal, and none is a copy of another; and where a value is missing.
    """
    dimensions = view.ndim - 1
    steps = (slice(None, None, max(1, length // (_SAMPLES * _SIDE[dimensions]))) for length in view.shape[1:])
    view = view[(slice(None), *steps)]
    small = _along(_grey(view), [_averaging(length, _SIDE[dimensions]) for length in view.shape[1:]])
    detail = small - _along(small, [_smoothing(_SIDE[dimensions], _SMOOTH[dimensions])] * dimensions)
    detail -= detail.mean()
    largest = float(np.abs(detail).max())
    if not np.isfinite(largest) or largest <= _FLAT * max(float(np.abs(small).max()), _FLAT):
        return None
    low = _along(small, [_cosines(_SIDE[dimensions], wanted) for wanted in _LOW[dimensions]]).ravel()[1:]
    return Fingerprint(low > 0, np.rint(detail.ravel() * (127 / largest)).astype(np.int8))


def bits_text(bits: NDArray[np.bool_]) -> str:
    """255 booleans as 64 hexadecimal digits."""
    return np.packbits(bits).tobytes().hex()


def bits_of(text: str) -> NDArray[np.bool_] | None:
    """The booleans that :func:`bits_text` wrote; ``None`` for any other text."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        return None
    return np.unpackbits(np.frombuffer(data, np.uint8)).astype(bool)[:BITS] if len(data) == _BYTES else None


@lru_cache(maxsize=16)
def parity(pixels: int, axes: tuple[int, ...]) -> NDArray[np.float32]:
    """``(255,)``: -1 for the frequencies whose sign turns when an image is reversed along axes: the odd ones."""
    frequencies = np.indices(_LOW[_dimensions(pixels)])
    odd = sum((frequencies[axis] for axis in axes), start=np.zeros_like(frequencies[0]))
    return np.asarray(1 - 2 * (odd.ravel()[1:] % 2), np.float32)


@lru_cache(maxsize=16)
def reversed_order(pixels: int, axes: tuple[int, ...]) -> NDArray[np.intp]:
    """``(pixels,)``: the order of an image's pixels when it is reversed along axes."""
    dimensions = _dimensions(pixels)
    side = round(pixels ** (1 / dimensions))
    places = np.arange(side**dimensions).reshape((side,) * dimensions)
    return np.flip(places, axes).ravel()


def _dimensions(pixels: int) -> int:
    """2 or 3, from how many pixels a fingerprint's detail has; 2 for any other number."""
    return next((dimensions for dimensions, side in _SIDE.items() if side**dimensions == pixels), 2)


def _grey(view: NDArray[np.generic]) -> NDArray[np.float32]:
    """One channel of ``(C, …)``: the first where all are equal, as in a grey image for a colour network, else their mean."""
    if all(np.array_equal(view[0], other) for other in view[1:]):
        return np.asarray(view[0], np.float32)
    return np.asarray(np.asarray(view, np.float32).mean(axis=0))


def _along(image: NDArray[np.float32], matrices: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Each axis of an image multiplied by its matrix ``(new, old)``."""
    for matrix in matrices:
        # The first axis goes and comes back as the last, so after all of them the order is the old one.
        image = np.tensordot(image, matrix, axes=(0, 1))
    return np.asarray(image, np.float32)


@lru_cache(maxsize=64)
def _averaging(old: int, new: int) -> NDArray[np.float32]:
    """``(new, old)``: each new pixel is the mean of the part of the line that it covers."""
    edges = np.linspace(0, old, new + 1)
    pixels = np.arange(old)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = covered.clip(min=0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


@lru_cache(maxsize=8)
def _smoothing(side: int, deviation: float) -> NDArray[np.float32]:
    """``(side, side)``: a Gaussian, whose weights add up to 1 at the edges too."""
    distance = np.arange(side)[:, None] - np.arange(side)
    weights = np.exp(-0.5 * (distance / deviation) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


@lru_cache(maxsize=8)
def _cosines(side: int, wanted: int) -> NDArray[np.float32]:
    """``(wanted, side)``: the first rows of the orthonormal cosine transform of type II."""
    frequency = np.arange(wanted)[:, None]
    rows = np.cos(np.pi * (2 * np.arange(side) + 1) * frequency / (2 * side)) * np.sqrt(2 / side)
    rows[0] /= np.sqrt(2)
    return np.asarray(rows, np.float32)
