"""Fields: soft shapes and smooth noise in patient space, from which the phantoms are painted.

A *field* is an array with one value for each sampled point. Shapes are given by how deep a point is inside them, in
millimetres and negative outside, so that any sampling grid, however it is turned, cuts the same anatomy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float32]


class Points(NamedTuple):
    """Where a phantom is sampled: RAS+ millimetres from the body's own centre, three arrays of one shape."""

    x: Field
    y: Field
    z: Field


def grid_points(affine: NDArray[np.float64], shape: tuple[int, int, int], centre: NDArray[np.float64]) -> Points:
    """The points of a voxel grid, in the body's frame.

    Args:
        affine: ``(4, 4)``, voxel index to RAS+ millimetres.
        shape: Size of the grid.
        centre: ``(3,)``, where the body's centre is in the world, RAS+ millimetres.
    """
    i, j, k = np.ogrid[: shape[0], : shape[1], : shape[2]]
    axes = (
        (affine[row, 0] * i + affine[row, 1] * j + affine[row, 2] * k + affine[row, 3] - centre[row]).astype(np.float32)
        for row in range(3)
    )
    return Points(*axes)


def cover(depth: Field, width: float) -> Field:
    """How much of a voxel a shape fills, 0 to 1: a linear ramp of ``width`` millimetres across its surface."""
    filled: Field = np.clip(depth / np.float32(width) + np.float32(0.5), 0, 1)
    return filled


def paint(image: Field, amount: Field, value: float | Field) -> None:
    """Blend ``value`` into ``image`` in place, by ``amount`` from 0 to 1."""
    image += amount * (value - image)


def ellipsoid(
    points: Points, centre: tuple[float, float, float], axes: tuple[float, float, float], power: float = 2.0
) -> Field:
    """Depth inside an ellipsoid (boxier with a higher ``power``), to first order, in millimetres."""
    total: Field = np.zeros(points.x.shape, np.float32)
    for values, middle, half in zip(points, centre, axes, strict=True):
        scaled = np.abs((values - np.float32(middle)) / np.float32(half))
        total += scaled * scaled if power == 2 else scaled ** np.float32(power)
    radius = np.sqrt(total) if power == 2 else total ** np.float32(1 / power)
    return (1 - radius) * np.float32(min(axes))


def cylinder(points: Points, x: float | Field, y: float | Field, half: tuple[float, float]) -> Field:
    """Depth inside an upright cylinder with half-widths ``half`` along x and y, to first order, in millimetres."""
    radius = np.hypot((points.x - x) / np.float32(half[0]), (points.y - y) / np.float32(half[1]))
    return np.asarray((1 - radius) * np.float32(min(half)), np.float32)


@dataclass(frozen=True, eq=False)
class Noise3D:
    """Band-limited noise fixed in the body's frame, of mean 0 and standard deviation 1.

    Attributes:
        values: ``(n, n, n)`` samples.
        step: Distance between samples in millimetres; the block is centred on the body's centre and repeats.
    """

    values: Field
    step: float

    def at(self, points: Points) -> Field:
        """The noise at ``points``, linearly interpolated."""
        middle = np.float32((self.values.shape[0] - 1) / 2)
        places = np.stack([values / np.float32(self.step) + middle for values in points])
        sampled: Field = ndimage.map_coordinates(self.values, places, order=1, mode="grid-wrap", output=np.float32)
        return sampled


def noise_3d(rng: np.random.Generator, *, grain: float, samples: int = 40) -> Noise3D:
    """Draw noise whose blobs are about ``grain`` millimetres across."""
    step = grain / 3
    values = band(rng.standard_normal((samples,) * 3, dtype=np.float32), 1.2)
    return Noise3D(values, step)


def noise_2d(rng: np.random.Generator, shape: tuple[int, int], grain: float) -> Field:
    """Noise on a picture whose blobs are about ``grain`` pixels across; mean 0, standard deviation 1."""
    factor = max(1, int(grain / 4))
    coarse = rng.standard_normal(tuple(-(-length // factor) + 4 for length in shape), dtype=np.float32)
    smooth = band(coarse, grain / factor / 2.5)
    if factor > 1:
        smooth = ndimage.zoom(smooth, factor, order=1)
    return smooth[: shape[0], : shape[1]]


def band(white: Field, sigma: float) -> Field:
    """Keep the waves of white noise that are about ``sigma`` samples long, and scale to standard deviation 1."""
    smooth = ndimage.gaussian_filter(white, sigma, mode="wrap")
    smooth -= ndimage.gaussian_filter(smooth, 2 * sigma, mode="wrap")
    result: Field = smooth / max(float(smooth.std()), 1e-6)
    return result
