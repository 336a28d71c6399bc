"""The middle slices of a scan, turned the way a radiologist reads them, with letters at their edges.

Radiological convention: the patient's right is on the left of axial and coronal pictures, the front is at the top of axial
and on the left of sagittal ones, the head is at the top of coronal and sagittal ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from medcls.scans.core.scan import Scan

_TILTED = 1.0  # degrees between the voxel axes and the body's from which a plane is called tilted

# Name, body axis cut through, body axis across the picture, body axis down; axes are right-left, front-back, head-foot.
_PLANES = (("axial", 2, 0, 1), ("coronal", 1, 0, 2), ("sagittal", 0, 1, 2))
_LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))  # first and last of each body axis once turned for display


@dataclass(frozen=True)
class Edges:
    """Which side of the patient is at each edge of a picture."""

    left: str
    right: str
    top: str
    bottom: str


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice, upright as on a screen.

    Attributes:
        pixels: ``(rows, columns)``, or ``(rows, columns, 3)`` in colour; the scan's own units.
        spacing: Between rows and between columns: millimetres, or one against the other where no length is known.
        name: ``axial``, ``coronal`` or ``sagittal``; empty where the geometry is unknown.
        edges: Letters for the edges; ``None`` where the geometry is unknown.
        tilt: Largest angle between a voxel axis and the body axis it is nearest to, degrees.
    """

    pixels: NDArray[np.generic]
    spacing: tuple[float, float] = (1.0, 1.0)
    name: str = ""
    edges: Edges | None = None
    tilt: float = 0.0

    @property
    def label(self) -> str:
        """The plane's name, with the tilt when there is one."""
        return f"{self.name} {self.tilt:.0f}°" if self.tilt >= _TILTED else self.name


def middle_planes(scan: Scan) -> tuple[Plane, ...]:
    """The middle slice in each plane that the scan has.

    A volume has the axial, the coronal and the sagittal plane, except where that would be a single line of voxels; an image
    has one, a sequence its middle frame. They are slices of the scan's own grid: where it is tilted against the body they are
    the nearest ones, and say so. Without geometry they are shown as stored.
    """
    volume = scan.layers
    if scan.times:
        return _stored(volume[:, :, :, volume.shape[3] // 2 :][..., :1], scan.affine)[:1]
    if not scan.has_geometry:
        return _stored(volume, scan.affine)
    order = _body_axes(scan.affine)
    turned = np.transpose(volume, (0, *(1 + axis for axis in order)))
    # Indices shall run towards the left, the back and the feet: against all three axes of RAS.
    turned = np.flip(turned, tuple(1 + body for body, axis in enumerate(order) if scan.affine[body, axis] > 0))
    lengths = np.linalg.norm(scan.affine[:3, :3], axis=0)[list(order)]
    tilt = _tilt(scan.affine, order)
    if scan.dimensions == 2:
        wanted = [plane for plane in _PLANES if order[plane[1]] == 2]
    else:
        wanted = [plane for plane in _PLANES if min(turned.shape[1 + plane[2]], turned.shape[1 + plane[3]]) > 1]
        wanted = wanted or [max(_PLANES, key=lambda plane: turned.shape[1 + plane[2]] * turned.shape[1 + plane[3]])]
    return tuple(
        Plane(
            pixels=_cut(turned, through),
            spacing=(float(lengths[down]), float(lengths[across])),
            name=name,
            edges=Edges(*_LETTERS[across], *_LETTERS[down]),
            tilt=tilt,
        )
        for name, through, across, down in wanted
    )


def _stored(volume: NDArray[np.generic], affine: NDArray[np.float64]) -> tuple[Plane, ...]:
    sizes, lengths = volume.shape[1:], np.linalg.norm(affine[:3, :3], axis=0)
    through = [axis for axis in (2, 1, 0) if min(sizes[:axis] + sizes[axis + 1 :]) > 1] or [2]
    return tuple(
        Plane(_cut(volume, axis), tuple(float(lengths[other]) for other in (2, 1, 0) if other != axis))  # type: ignore[arg-type]
        for axis in through
    )


def _cut(volume: NDArray[np.generic], through: int) -> NDArray[np.generic]:
    """The middle slice of ``(C, x, y, z)`` as ``(rows, columns[, 3])``; the further one of two middles."""
    cut = np.take(volume, volume.shape[1 + through] // 2, axis=1 + through)
    picture = np.ascontiguousarray(np.transpose(cut, (2, 1, 0)))
    return picture if picture.shape[2] == 3 else picture[..., 0]


def _directions(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosines between body axes (rows) and voxel axes (columns), without sign."""
    matrix = affine[:3, :3]
    lengths = np.linalg.norm(matrix, axis=0)
    return np.asarray(np.abs(matrix) / np.where(lengths > 0, lengths, 1.0))


def _body_axes(affine: NDArray[np.float64]) -> tuple[int, ...]:
    """The voxel axis nearest to each body axis, each taken once, so that the cosines add up to the most."""
    cosines = _directions(affine)
    return max(permutations(range(3)), key=lambda order: sum(cosines[body, axis] for body, axis in enumerate(order)))


def _tilt(affine: NDArray[np.float64], order: tuple[int, ...]) -> float:
    cosines = _directions(affine)
    nearest = min(float(cosines[body, axis]) for body, axis in enumerate(order))
    return float(np.degrees(np.arccos(np.clip(nearest, 0.0, 1.0))))
