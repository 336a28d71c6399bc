"""Mucosa: what an endoscope sees of the stomach's wall, with or without an ulcer. Pictures are ``(rows, columns, 3)``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from medcls.synthesis.fields import Field, cover, noise_2d
from medcls.synthesis.look import Probed

_BASE = np.array((0.80, 0.44, 0.35), np.float32)
_RED = np.array((0.66, 0.13, 0.11), np.float32)
_FIBRIN = np.array((0.95, 0.88, 0.66), np.float32)
_ASPECT = 1.25  # columns for each row


class View(NamedTuple):
    """Coordinates of a frame in units of its height, from its middle: ``u`` to the right, ``v`` downwards."""

    u: Field
    v: Field


@dataclass(frozen=True)
class Stomach:
    """One person's stomach.

    Attributes:
        tint: Factor on red, green and blue.
        folds: How pronounced the folds are.
        fold_length: Distance between folds, in frame heights.
        redness: How patchy the mucosa is.
    """

    tint: tuple[float, float, float]
    folds: float
    fold_length: float
    redness: float


@dataclass(frozen=True)
class Ulcer:
    """A crater with a whitish-yellow base and a red rim.

    Attributes:
        column: Place in the frame, frame heights from the middle.
        row: Place in the frame, frame heights from the middle.
        radius: Mean radius to the outside of the rim, frame heights.
        aspect: Longer over shorter axis.
        angle: Direction of the longer axis, radians.
        contrast: Factor on its colours, up to 1.
    """

    column: float
    row: float
    radius: float
    aspect: float
    angle: float
    contrast: float


def frame_shape(size: int) -> tuple[int, int]:
    """Rows and columns of a frame with ``size`` rows."""
    return size, round(size * _ASPECT)


def draw_stomach(rng: np.random.Generator) -> Stomach:
    """Draw one person's stomach."""
    warm = rng.uniform(-0.06, 0.06)
    return Stomach(
        tint=(1.0 + warm / 2, 1.0 - warm, 1.0 - warm + float(rng.uniform(-0.05, 0.05))),
        folds=float(rng.uniform(0.35, 0.85)),
        fold_length=float(rng.uniform(0.13, 0.22)),
        redness=float(rng.uniform(0.5, 1.2)),
    )


def draw_ulcer(rng: np.random.Generator, look: Probed) -> Ulcer:
    """Draw one view of an ulcer that is wholly within the octagon."""
    return Ulcer(
        column=float(rng.uniform(-0.34, 0.34)),
        row=float(rng.uniform(-0.24, 0.24)),
        radius=look.lesion_scale * float(rng.uniform(0.12, 0.18)),
        aspect=float(rng.uniform(1.0, 1.45)),
        angle=float(rng.uniform(0, np.pi)),
        contrast=look.lesion_contrast,
    )


def paint_frame(
    rng: np.random.Generator, spots: np.random.Generator, stomach: Stomach, ulcer: Ulcer | None, look: Probed
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """One frame.

    Args:
        rng: Source of chance for everything but the ulcer's edge.
        spots: Source of chance for the ulcer's edge, apart so that the rest is the same with and without.
        stomach: Whose.
        ulcer: What to plant.
        look: Number of rows and noise.

    Returns:
        ``(rows, columns, 3)`` uint8 RGB.
    """
    shape = frame_shape(look.size)
    rows, columns = np.indices(shape, dtype=np.float32)
    middle, height = [np.float32((length - 1) / 2) for length in shape], np.float32(shape[0])
    view = View(*(np.asarray(part / height, np.float32) for part in (columns - middle[1], rows - middle[0])))
    image, light = _wall(rng, view, stomach, look.size)
    if ulcer:
        _paint_ulcer(image, view, ulcer, noise_2d(spots, shape, look.size * 0.09))
    image *= light[..., None]
    _highlights(rng, image, view, light, look.size)
    image += np.float32(0.016 * look.noise_scale) * rng.standard_normal(image.shape, dtype=np.float32)
    image = np.clip(image, 0, 1) ** np.float32(0.85)
    image *= _octagon(view, look.size)[..., None]
    return np.rint(image * 255).astype(np.uint8)


def _wall(rng: np.random.Generator, view: View, stomach: Stomach, size: int) -> tuple[Field, Field]:
    """Colour of the wall, and the light that falls on it."""
    shape = view.u.shape[0], view.u.shape[1]
    coarse, middle = noise_2d(rng, shape, 0.35 * size), noise_2d(rng, shape, 0.09 * size)
    fine = noise_2d(rng, shape, max(2.5, 0.018 * size))
    angle = rng.uniform(0, np.pi)
    across = view.u * np.float32(np.cos(angle)) + view.v * np.float32(np.sin(angle))
    wave = np.sin(across * np.float32(2 * np.pi / stomach.fold_length) + 1.9 * coarse + np.float32(rng.uniform(0, 6)))
    groove = np.clip(-wave - 0.45, 0, 1) ** 1.5

    lumen = rng.uniform((-0.45, -0.4), (0.45, 0.4)).astype(np.float32)
    away = np.hypot(view.u - lumen[0], view.v - lumen[1])
    light = 0.30 + 0.80 * np.clip((away - 0.02) / 0.42, 0, 1) ** 0.9
    light *= 1.05 - 0.75 * (view.u**2 + view.v**2)  # vignette
    light *= 1 - stomach.folds * 0.75 * groove + 0.10 * stomach.folds * wave + 0.03 * coarse

    image = np.ones((*shape, 3), np.float32) * (_BASE * np.array(stomach.tint, np.float32))
    red = np.clip(0.16 * stomach.redness * (middle + 0.7 * coarse), 0, 0.45)
    image += red[..., None] * (_RED - image)
    veins = 0.30 * np.exp(-((middle / 0.10) ** 2)) * np.clip(0.4 + 0.5 * coarse, 0, 1)
    image += veins[..., None] * (_RED - image)
    image *= (1 + 0.028 * fine + 0.02 * middle)[..., None]
    return image, np.asarray(np.clip(light, 0.04, 1.15), np.float32)


def _paint_ulcer(image: Field, view: View, ulcer: Ulcer, edge: Field) -> None:
    along, across = np.float32(np.cos(ulcer.angle)), np.float32(np.sin(ulcer.angle))
    u, v = view.u - np.float32(ulcer.column), view.v - np.float32(ulcer.row)
    stretch = np.float32(np.sqrt(ulcer.aspect))
    away = np.hypot((u * along + v * across) / stretch, (v * along - u * across) * stretch) / np.float32(ulcer.radius)
    away = away * (1 + 0.07 * edge)
    rim = np.exp(-(((away - 0.86) / 0.20) ** 2)) * 0.85
    base = 1 / (1 + np.exp(np.minimum((away - 0.66) * 22, 50)))
    shade = 1 - 0.22 * np.exp(-(((away - 0.62) / 0.10) ** 2))  # the crater's wall is in its own shadow
    fibrin = _FIBRIN * (1 + 0.05 * edge)[..., None]
    image += np.float32(ulcer.contrast) * rim[..., None] * (_RED - image)
    image += np.float32(ulcer.contrast) * base[..., None] * (fibrin * shade[..., None] - image)


def _highlights(rng: np.random.Generator, image: Field, view: View, light: Field, size: int) -> None:
    """Mirror images of the lamp on the wet wall: small, white, in groups."""
    shape = view.u.shape[0], view.u.shape[1]
    glints = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(4, 9))):
        middle = rng.uniform((0.15, 0.15), (0.85, 0.85)) * shape
        for _ in range(int(rng.integers(1, 5))):
            row, column = (middle + rng.normal(0, 0.03 * size, 2)).astype(int)
            if 2 < row < shape[0] - 3 and 2 < column < shape[1] - 3:
                long, wide = rng.integers(1, max(2, size // 55) + 1, 2)
                glints[row - wide // 2 : row + wide // 2 + 1, column - long : column + long + 1] = 1
    blurred = ndimage.gaussian_filter(glints, size / 260)
    blurred = np.clip(1.5 * blurred, 0, 1) * np.clip(light * 1.6, 0, 1)
    image += blurred[..., None] * (1 - image)


def _octagon(view: View, size: int) -> Field:
    """1 inside the picture that the scope shows, 0 on the black around it."""
    u, v = np.abs(view.u), np.abs(view.v)
    inside = np.minimum.reduce([0.565 - u, 0.475 - v, (0.87 - u - v) * 0.7])
    return cover(np.asarray(inside, np.float32), 1 / size)
