"""Vessels of the lungs: two trees that branch from the hilum outwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

_TRUNKS = 9
_GENERATIONS = 6
_STEP = 2.0  # mm between points along a branch
_REACH = 7.0  # mm; no vessel is felt farther away

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Vessels:
    """A cloud of points along the vessels' axes.

    Attributes:
        tree: Search tree over the points, body frame, millimetres.
        radii: ``(n,)`` radius at each point, millimetres.
    """

    tree: cKDTree
    radii: Array

    def cover(self, places: NDArray[np.float32], width: float) -> NDArray[np.float32]:
        """How much of each place is vessel, 0 to 1.

        Args:
            places: ``(n, 3)`` in the body's frame, millimetres.
            width: Blur of the vessels' walls, millimetres: about a voxel.
        """
        distance, nearest = self.tree.query(places, distance_upper_bound=_REACH)
        radius = np.append(self.radii, 0.0)[nearest]
        # A vessel thinner than the voxel fills only a part of it.
        filled = np.minimum(1.0, 1.6 * radius / width)
        return np.asarray(filled * np.clip((radius - distance) / width + 0.5, 0, 1), np.float32)


def draw_vessels(rng: np.random.Generator, scale: float) -> Vessels:
    """Grow the vessels of both lungs.

    Args:
        rng: Source of chance.
        scale: Size of the body, 1 for an average adult.
    """
    points, radii = [], []
    for side in (-1.0, 1.0):
        hilum = np.array([side * 34.0, -8.0, 2.0])
        cloud, thickness = _grow(rng, hilum, side)
        points.append(cloud * scale)
        radii.append(thickness)
    return Vessels(cKDTree(np.concatenate(points)), np.concatenate(radii))


def _grow(rng: np.random.Generator, hilum: Array, side: float) -> tuple[Array, Array]:
    start = np.repeat(hilum[None], _TRUNKS, axis=0) + rng.normal(0, 3, (_TRUNKS, 3))
    angle = np.linspace(0, 2 * np.pi, _TRUNKS, endpoint=False) + rng.uniform(0, 1)
    heading = np.stack([np.full(_TRUNKS, 0.8 * side), 0.9 * np.cos(angle), 1.2 * np.sin(angle)], axis=1)
    length, radius = 32.0, 5.0
    points, radii = [], []
    for _ in range(_GENERATIONS):
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        reach = length * rng.uniform(0.75, 1.25, len(start))
        along = np.linspace(0, 1, max(2, int(length / _STEP)))
        bend = rng.normal(0, 0.12, heading.shape) * reach[:, None]
        path = start[:, None] + along[None, :, None] * (heading * reach[:, None])[:, None]
        path = path + (along**2)[None, :, None] * bend[:, None]
        points.append(path.reshape(-1, 3))
        radii.append(np.tile(radius * (1 - 0.25 * along), len(start)))
        start = np.repeat(path[:, -1], 2, axis=0)
        heading = np.repeat(heading, 2, axis=0) + rng.normal(0, 0.5, (2 * len(heading), 3))
        length, radius = length * 0.8, radius * 0.75
    return np.concatenate(points), np.concatenate(radii)
