"""Head: a T1-weighted phantom of the head, fixed in the body's frame (RAS+ millimetres, centre of the brain at 0).

Signals are relative to white matter: fat 1.2, white matter 1, grey matter 0.7, muscle 0.5, fluid 0.25, cortical bone and
air near 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medcls.synthesis.fields import Field, Noise3D, Points, cover, cylinder, ellipsoid, noise_3d, paint
from medcls.synthesis.look import Probed

SCALP, WHITE, GREY, DEEP_GREY, MUSCLE, FLUID, BONE, AIR = 1.2, 1.0, 0.7, 0.8, 0.5, 0.25, 0.08, 0.02
_TRIES = 4000
_SKULL = 7.0  # mm


@dataclass(frozen=True, eq=False)
class Head:
    """One person's head.

    Attributes:
        scale: Size, 1 for an average adult.
        ventricles: Factor on the lateral ventricles' width.
        folds: Noise whose zero surfaces are the sulci.
        lumps: Noise for the irregular edge of a lesion.
    """

    scale: float
    ventricles: float
    folds: Noise3D
    lumps: Noise3D

    def brain_depth(self, points: Points) -> Field:
        """How deep points are inside the skull, to first order, millimetres; negative outside."""
        p = self._scaled(points)
        fossa = np.minimum(ellipsoid(p, (0, -44, -34), (52, 38, 32)), -p.z - 8)
        return np.maximum(self._cerebrum(p), fossa)

    def paint(self, points: Points, width: float) -> Field:
        """The head without lesion, bias field or noise.

        Args:
            points: Where to sample.
            width: Blur of edges, millimetres: about a voxel.
        """
        p = self._scaled(points)
        skin = np.maximum.reduce(
            [
                ellipsoid(p, (0, -4, 4), (77, 97, 86), 2.1),
                ellipsoid(p, (0, 40, -55), (52, 50, 62), 2.2),
                np.minimum(cylinder(p, 0, -22, (56, 54)), -20 - p.z),
            ]
        )
        image = np.full(p.x.shape, AIR, np.float32)
        head = skin > -width
        inside = Points(*(values[head] for values in p))
        folds = self.folds.at(inside)
        image[head] = self._paint_head(inside, skin[head], folds, width)
        return image

    def _scaled(self, points: Points) -> Points:
        factor = np.float32(1 / self.scale)
        return Points(*(values * factor for values in points))

    def _cerebrum(self, p: Points) -> Field:
        dome = ellipsoid(p, (0, -4, 8), (67, 84, 66), 2.15)
        floor = p.z + 30 + 0.28 * np.minimum(p.y, 0)  # the tentorium rises to the back, over the cerebellum
        return np.asarray(np.minimum(dome, floor), np.float32)

    def _paint_head(self, p: Points, skin: Field, folds: Field, width: float) -> Field:
        image = np.full(p.x.shape, AIR, np.float32)
        paint(image, cover(skin, width), SCALP + 0.05 * folds)
        paint(image, cover(skin - 6.5, width), MUSCLE + 0.06 * folds)
        self._face(image, p, width)
        cerebrum = self._cerebrum(p)
        fossa = np.minimum(ellipsoid(p, (0, -44, -34), (52, 38, 32)), -p.z - 8)
        skull = np.maximum(cerebrum, fossa)
        paint(image, cover(np.minimum(skull + _SKULL, skin - 4), width), BONE)
        marrow = np.minimum(1.6 - np.abs(skull + 3.5), skin - 6)
        paint(image, 0.6 * cover(marrow, width), MUSCLE)
        paint(image, cover(skull, width), FLUID)
        self._hindbrain(image, p, fossa, folds, width)
        self._cortex(image, p, cerebrum, folds, width)
        self._deep(image, p, cerebrum, width)
        return image

    def _face(self, image: Field, p: Points, width: float) -> None:
        side = Points(np.abs(p.x), p.y, p.z)
        paint(image, cover(ellipsoid(side, (31, 66, -30), (19, 20, 17)), width), 0.95)  # fat of the orbit
        paint(image, cover(ellipsoid(side, (31, 71, -30), (12.5, 12.5, 12.5)), width), 0.3)
        paint(image, cover(ellipsoid(side, (9, 62, -56), (7, 24, 16)), width), AIR)  # nasal cavity
        paint(image, cover(ellipsoid(side, (34, 52, -62), (13, 15, 15)), width), AIR)  # maxillary sinus
        paint(image, cover(ellipsoid(p, (0, 12, -72), (10, 7, 30)), width), AIR)  # pharynx
        paint(image, cover(cylinder(p, 0, -44, (14, 13)) * (p.z < -60), width) * (p.z < -62), 0.4)  # cervical spine

    def _hindbrain(self, image: Field, p: Points, fossa: Field, folds: Field, width: float) -> None:
        cerebellum = fossa - 2.5
        leaves = 0.5 + 0.5 * np.sin((p.z * 0.75 + 0.25 * p.y + 3 * folds) * np.float32(0.75))
        paint(image, cover(cerebellum, width), GREY + (WHITE - GREY) * 0.55 * leaves)
        paint(image, cover(ellipsoid(Points(np.abs(p.x), p.y, p.z), (20, -42, -36), (16, 15, 13)), 6), 0.95)
        stem = np.minimum(cylinder(p, 0, -16 + 0.12 * (p.z + 30), (14, 13)), -10 - p.z)
        paint(image, cover(stem, width), 0.93)
        paint(image, cover(ellipsoid(p, (0, -31, -32), (6, 5, 10)), width), FLUID)  # fourth ventricle

    def _cortex(self, image: Field, p: Points, cerebrum: Field, folds: Field, width: float) -> None:
        furrow = 15 * np.exp(-((folds / 0.22) ** 2))
        outside = np.clip(((p.y + 2) / 48) ** 2 + ((p.z - 8) / 24) ** 2 - 0.8, 0, 1)
        fissure = 26 * np.exp(-((p.x / 1.8) ** 2)) * outside
        sylvian = (
            22 * np.exp(-(((p.z + 4 - 0.25 * p.y) / 2.6) ** 2)) * np.clip((np.abs(p.x) - 34) / 10, 0, 1) * (p.y > -25)
        )
        tissue = cerebrum - 2.0 - np.maximum.reduce([furrow, fissure, sylvian])
        # A broad seam around each furrow is grey matter; the furrow itself is fluid.
        seam = np.maximum(19 * np.exp(-((folds / 0.7) ** 2)), fissure + 3)
        paint(image, cover(tissue, width), GREY)
        paint(image, cover(cerebrum - 7.5 - seam, width + 1), WHITE)

    def _deep(self, image: Field, p: Points, cerebrum: Field, width: float) -> None:
        inside = cerebrum > 12
        side = Points(np.abs(p.x), p.y, p.z)
        core = ellipsoid(p, (0, 0, 8), (32, 46, 26))
        paint(image, cover(core, 10) * inside, WHITE)
        paint(image, cover(ellipsoid(side, (12, -12, 4), (9, 14, 9)), width), DEEP_GREY)  # thalamus
        paint(image, cover(ellipsoid(side, (25, 4, 3), (6.5, 19, 11)), width), DEEP_GREY - 0.04)  # lentiform nucleus
        half = 7.0 * self.ventricles
        arched = Points(side.x - 0.0022 * p.y**2, p.y, p.z + 0.006 * p.y**2)
        paint(image, cover(ellipsoid(arched, (3 + half, 0, 19), (half, 34, 8.5)), width), FLUID)
        paint(image, cover(ellipsoid(p, (0, -8, 3), (2.6, 13, 9)), width), FLUID)  # third ventricle


@dataclass(frozen=True)
class HeadLesion:
    """A tumour that takes up contrast agent, whole or as a ring.

    Attributes:
        kind: ``bright`` or ``ring``.
        centre: Body frame, RAS+ millimetres.
        radius: Millimetres, to the outer edge.
        contrast: Factor on its contrast, up to 1.
    """

    kind: str
    centre: tuple[float, float, float]
    radius: float
    contrast: float

    def paint(self, image: Field, points: Points, head: Head, width: float) -> None:
        """Blend the lesion and the swelling around it into ``image``, inside the skull only."""
        apart = Points(*(values - np.float32(middle) for values, middle in zip(points, self.centre, strict=True)))
        away = np.sqrt(apart.x**2 + apart.y**2 + apart.z**2)
        near = away < 2.2 * self.radius
        there = Points(*(values[near] for values in points))
        away = away[near] * (1 + 0.07 * head.lumps.at(there))
        patch = image[near]
        skull = cover(head.brain_depth(there), width) * np.float32(self.contrast)
        paint(patch, 0.65 * skull * cover(np.asarray(1.55 * self.radius - away, np.float32), 5), 0.62)  # oedema
        rim = np.asarray(self.radius - away, np.float32)
        paint(patch, skull * cover(rim, width), 1.55)
        if self.kind == "ring":
            paint(patch, skull * cover(rim - np.float32(max(4.0, 0.33 * self.radius)), width), 0.38)
        image[near] = patch


def draw_head(rng: np.random.Generator) -> Head:
    """Draw one person's head."""
    return Head(
        scale=float(np.clip(rng.normal(1, 0.035), 0.93, 1.07)),
        ventricles=float(rng.uniform(0.7, 1.5)),
        folds=noise_3d(rng, grain=20),
        lumps=noise_3d(rng, grain=12),
    )


def draw_head_lesion(rng: np.random.Generator, head: Head, look: Probed) -> HeadLesion:
    """Draw a lesion in the cerebrum, beside the ventricles."""
    kind = "bright" if rng.random() < 0.5 else "ring"
    radius = look.lesion_scale * float(rng.uniform(12.0, 18.0))
    places = rng.uniform((-62, -80, -8), (62, 72, 68), (_TRIES, 3)).astype(np.float32)
    depth = head.brain_depth(Points(places[:, 0], places[:, 1], places[:, 2]))
    depth[np.abs(places[:, 0]) < 16] = -100
    deep = np.flatnonzero(depth > radius * 0.8)
    place = places[deep[0] if len(deep) else int(np.argmax(depth))]
    return HeadLesion(kind, (float(place[0]), float(place[1]), float(place[2])), radius, look.lesion_contrast)
