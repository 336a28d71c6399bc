"""Chest: a phantom of the thorax in Hounsfield units, fixed in the body's frame (RAS+ millimetres).

Attenuation of the tissues (HU, rounded): air -1000, aerated lung -850, fat -100, muscle and blood 40 to 60, trabecular
bone 250, cortical bone 600.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medcls.synthesis.fields import Field, Noise3D, Points, cover, cylinder, ellipsoid, noise_3d, paint
from medcls.synthesis.look import Probed
from medcls.synthesis.vessels import Vessels, draw_vessels

AIR, FAT, MUSCLE, BLOOD, SPONGIOSA, CORTEX = -1000.0, -100.0, 50.0, 42.0, 250.0, 620.0
_TRIES = 4000


@dataclass(frozen=True, eq=False)
class Chest:
    """One person's thorax.

    Attributes:
        scale: Size, 1 for an average adult.
        half: Half-widths of the trunk along x and y, millimetres.
        fat: Thickness of the fat under the skin, as a part of the trunk's half-width.
        aeration: HU of the lungs.
        phase: Where the first rib is, millimetres.
        heart: Factor on the heart's size.
        vessels: Vessels of the lungs.
        texture: Fine noise of the tissues.
        clouds: Coarse noise, for what is patchy.
    """

    scale: float
    half: tuple[float, float]
    fat: float
    aeration: float
    phase: float
    heart: float
    vessels: Vessels
    texture: Noise3D
    clouds: Noise3D

    def lung_depth(self, points: Points) -> Field:
        """How deep points are inside a lung, to first order, millimetres; negative outside."""
        p = self._scaled(points)
        side = np.abs(p.x)
        lobe = ellipsoid(Points(side, p.y, p.z), (67, -2, -8), (60, 84, 122), 2.6)
        dome = (
            -62
            + 26 * (1 - ((side - 60) / 62) ** 2 - (p.y / 88) ** 2)
            - np.where(p.x < 0, np.float32(10), np.float32(0))
        )
        middle = side - (17 + 14 * np.exp(-(((p.y + 2) / 34) ** 2)) * np.exp(-(((p.z - 5) / 60) ** 2)))
        spine = -cylinder(p, 0, -78, (30, 32))
        depth = np.minimum.reduce([lobe, 0.8 * (p.z - dome), middle, -self._heart(p), spine])
        return np.asarray(depth * self.scale, np.float32)

    def paint(self, points: Points, width: float) -> tuple[Field, Field]:
        """The chest without lesion or noise.

        Args:
            points: Where to sample.
            width: Blur of edges, millimetres: about a voxel.

        Returns:
            HU, and how much of each point is lung (0 to 1).
        """
        everywhere = self._scaled(points)
        table = np.abs(everywhere.y + self.half[1] + 11 - 0.0011 * everywhere.x**2)
        table = np.minimum(0.9 * (3.5 - table), 140 - np.abs(everywhere.x))
        image: Field = AIR + 750 * cover(np.asarray(table, np.float32), width)
        trunk = self._trunk(everywhere)
        body = trunk < 1.06  # nothing else is worth the work
        inside = Points(*(values[body] for values in points))
        lung = np.zeros_like(image)
        image[body], lung[body] = self._paint_body(image[body], inside, trunk[body], width)
        return image, lung

    def _paint_body(self, image: Field, points: Points, trunk: Field, width: float) -> tuple[Field, Field]:
        p = self._scaled(points)
        texture = self.texture.at(points)
        self._soft_tissue(image, p, trunk, texture, width)
        lung = cover(self.lung_depth(points), width)
        posterior = -0.45 * p.y  # blood and weight gather in the dependent lung of a patient on the back
        paint(image, lung, self.aeration + posterior + 14 * texture)
        self._vessels(image, points, lung, width)
        self._airways(image, p, width)
        self._bones(image, p, trunk, width)
        return image, lung

    def _scaled(self, points: Points) -> Points:
        factor = np.float32(1 / self.scale)
        return Points(*(values * factor for values in points))

    def _trunk(self, p: Points) -> Field:
        """Relative distance from the body's axis: 1 on the skin."""
        narrow = 1 - 0.30 * np.clip((p.z - 75) / 70, 0, 1) ** 2
        x, y = np.abs(p.x / (self.half[0] * narrow)), np.abs(p.y / (self.half[1] * narrow))
        return np.asarray((x ** np.float32(2.4) + y ** np.float32(2.4)) ** np.float32(1 / 2.4), np.float32)

    def _heart(self, p: Points) -> Field:
        size = self.heart
        return ellipsoid(p, (-20, 22, -34), (47 * size, 42 * size, 46 * size), 2.3)

    def _soft_tissue(self, image: Field, p: Points, trunk: Field, texture: Field, width: float) -> None:
        reach = float(self.half[1])
        paint(image, cover((1 - trunk) * reach, width), FAT + 8 * texture)
        paint(image, cover((1 - self.fat - trunk) * reach, width), MUSCLE + 8 * texture)
        fatty = np.clip(0.6 * texture + 0.5, 0, 1) * cover((0.5 - trunk) * reach, 30)
        paint(image, 0.6 * fatty, FAT)
        paint(image, cover(self._heart(p), width), BLOOD)
        paint(image, cover(cylinder(p, -24, -52, (12.5, 12.5)), width), BLOOD)  # descending aorta
        belly = np.minimum(-55 - p.z, (0.78 - trunk) * reach)
        paint(image, cover(belly, width) * (p.x > -15), 62 + 6 * texture)  # liver
        paint(image, cover(ellipsoid(p, (-52, 30, -96), (26, 26, 17)), width), -950)  # gas in the stomach

    def _vessels(self, image: Field, points: Points, lung: Field, width: float) -> None:
        inside = lung > 0.3
        places = np.stack([values[inside] for values in points], axis=1)
        filled = self.vessels.cover(places, width) * lung[inside]
        image[inside] += filled * (BLOOD - 20 - image[inside])

    def _airways(self, image: Field, p: Points, width: float) -> None:
        trachea = np.minimum(cylinder(p, 0, -14, (9, 8)), p.z - 22)
        down = 22 - p.z
        for side, slope in ((1.0, 0.75), (-1.0, 0.95)):  # the right main bronchus is the steeper one
            bronchus = np.minimum(cylinder(p, side * slope * down, -14, (8.5, 6.5)), np.minimum(down, p.z + 14))
            np.maximum(trachea, bronchus, out=trachea)
        tree = np.asarray(trachea, np.float32)
        paint(image, cover(tree + 2.5, width), MUSCLE)
        paint(image, cover(tree, width), AIR)

    def _bones(self, image: Field, p: Points, trunk: Field, width: float) -> None:
        reach = float(self.half[1])
        ring = (0.035 - np.abs(trunk - (0.96 - self.fat))) * reach
        # Ribs slope downwards from back to front, so that an axial slice cuts several of them as short arcs.
        fall = p.z + 0.55 * p.y + self.phase
        period = np.abs(np.mod(fall, np.float32(27.0)) - 13.5)
        rib = np.minimum(ring, 6.2 - period)
        rib = np.minimum(rib, np.abs(p.x) - 20)
        paint(image, cover(rib, width), CORTEX - 170)
        body = cylinder(p, 0, -74, (19, 16))
        arch = np.minimum(np.abs(p.x) * -0.6 + 9 + 0.25 * (p.y + 96), p.y + 118)
        arch = np.minimum(arch, -86 - p.y)
        spine = np.asarray(np.maximum(body, arch), np.float32)
        disc = np.abs(np.mod(p.z + self.phase, np.float32(24.0)) - 12) < 2.5
        paint(image, cover(spine, width), np.where(disc & (p.y > -90), np.float32(90), np.float32(CORTEX)))
        paint(image, cover(spine - 3.5, width) * ~disc, SPONGIOSA)
        paint(image, cover(cylinder(p, 0, -97, (8.5, 8.0)), width), 30)  # spinal canal
        sternum = np.minimum(cylinder(p, 0, (0.955 - self.fat) * reach, (19, 6)), 60 - np.abs(p.z - 15))
        paint(image, cover(sternum, width), SPONGIOSA + 120)


@dataclass(frozen=True)
class ChestLesion:
    """A nodule or a consolidation.

    Attributes:
        kind: ``nodule`` or ``consolidation``.
        centre: Body frame, RAS+ millimetres.
        radius: Millimetres, to half of its density.
        contrast: Factor on its density, up to 1.
    """

    kind: str
    centre: tuple[float, float, float]
    radius: float
    contrast: float

    def paint(self, image: Field, points: Points, lung: Field, clouds: Noise3D, width: float) -> None:
        """Blend the lesion into ``image``, inside the lung only."""
        apart = Points(*(values - np.float32(middle) for values, middle in zip(points, self.centre, strict=True)))
        distance = np.sqrt(apart.x**2 + apart.y**2 + apart.z**2) / np.float32(self.radius)
        near = distance < 2.5
        lumps = clouds.at(Points(*(values[near] for values in points)))
        ragged = distance[near] * (1 + (0.07 if self.kind == "nodule" else 0.16) * lumps)
        if self.kind == "nodule":
            density = cover(np.asarray((1 - ragged) * self.radius, np.float32), width + 2.5)
        else:
            density = np.clip(0.92 + 0.12 * lumps, 0, 1) / (1 + np.exp((ragged - 1) * np.float32(6)))
        image[near] += self.contrast * density * lung[near] * (35 - image[near])


def draw_chest(rng: np.random.Generator) -> Chest:
    """Draw one person's thorax."""
    scale = float(np.clip(rng.normal(1, 0.04), 0.9, 1.08))
    return Chest(
        scale=scale,
        half=(float(rng.uniform(138, 147)), float(rng.uniform(98, 106))),
        fat=float(rng.uniform(0.06, 0.12)),
        aeration=float(rng.uniform(-880, -820)),
        phase=float(rng.uniform(0, 27)),
        heart=float(rng.uniform(0.9, 1.1)),
        vessels=draw_vessels(rng, scale),
        texture=noise_3d(rng, grain=9),
        clouds=noise_3d(rng, grain=22),
    )


def draw_chest_lesion(rng: np.random.Generator, chest: Chest, look: Probed) -> ChestLesion:
    """Draw a lesion that is in a lung, away from hilum and diaphragm."""
    kind = "nodule" if rng.random() < 0.5 else "consolidation"
    low, high = (13.0, 18.0) if kind == "nodule" else (23.0, 34.0)
    radius = look.lesion_scale * float(rng.uniform(low, high))
    places = rng.uniform((-125, -85, -45), (125, 85, 75), (_TRIES, 3)).astype(np.float32)
    depth = chest.lung_depth(Points(places[:, 0], places[:, 1], places[:, 2]))
    # Deep enough that the centre is lung tissue and most of the lesion is too; else the deepest place there is.
    deep = np.flatnonzero(depth > min(0.75 * radius, 16.0))
    place = places[deep[0] if len(deep) else int(np.argmax(depth))]
    return ChestLesion(kind, (float(place[0]), float(place[1]), float(place[2])), radius, look.lesion_contrast)
