"""Where slices lie: order, spacing, gaps and tilt from measured positions alone.

Image Plane Module, PS3.3 C.7.6.2: ImagePositionPatient (0020,0032) is the centre of the first voxel in LPS millimetres,
ImageOrientationPatient (0020,0037) the direction cosines of a row (increasing column index) and of a column, and
PixelSpacing (0028,0030) the distance between rows, then between columns. Neither InstanceNumber, SliceThickness nor
SpacingBetweenSlices is used: they need not agree with where the slices are.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medcls.scans.codes import RefusalCode, refusal
from medcls.scans.leniency import STRICT, Leniency

SAME_POSITION_MM = 1e-3
"""Slices closer than this along the normal lie at one position."""

SAME_ORIENTATION = 1e-3
"""Largest difference between direction cosines of slices of one volume."""

TILT_DEGREES = 0.1
"""Below this angle a stack counts as upright: half a millimetre over 30 cm, and the affine keeps even that."""

MAX_MISSING_RUN = 32
"""A hole of more slices than this is two scans far apart, not a gap to be filled."""

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Layout:
    """A volume's geometry.

    Attributes:
        order: ``(n,)`` indices of the slices along the normal.
        places: ``(n,)`` grid index of each slice of ``order``; consecutive unless slices are missing.
        affine: ``(4, 4)`` voxel ``(column, row, slice)`` to RAS+ millimetres; sheared when the gantry was tilted.
        tilt: Angle between the stacking direction and the slice normal, degrees; 0 below :data:`TILT_DEGREES`.
        heights: ``(n,)`` millimetres along the normal, ascending, where the distances are uneven; else empty.
    """

    order: tuple[int, ...]
    places: tuple[int, ...]
    affine: NDArray[np.float64]
    tilt: float
    heights: tuple[float, ...] = ()

    @property
    def slices(self) -> int:
        """Slices of the grid, missing ones included."""
        return self.places[-1] + 1

    @property
    def missing(self) -> tuple[int, ...]:
        """Grid indices that no slice was measured at."""
        return tuple(sorted(set(range(self.slices)) - set(self.places)))


def directions(orientation: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors along a row, along a column, and the normal (row x column), in LPS.

    Raises:
        ScanRefused: ``bad-geometry`` when they are not finite, not of unit length or not at right angles.
    """
    six = np.asarray(orientation, dtype=np.float64) + 0.0  # no zero has a sign, so that equal ones are the same
    return _directions(tuple(six.tolist()))


@functools.lru_cache(maxsize=1024)
def _directions(orientation: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Series of one protocol mostly have the same; nobody may write into what is kept."""
    six = np.array(orientation)
    row, column = six[:3], six[3:6]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if not np.isfinite(six).all() or any(abs(length - 1) > 1e-2 for length in lengths):
        raise refusal(RefusalCode.BAD_GEOMETRY, "ImageOrientationPatient is not two unit vectors")
    row, column = row / lengths[0], column / lengths[1]
    if abs(float(row @ column)) > 1e-2:
        raise refusal(RefusalCode.BAD_GEOMETRY, "ImageOrientationPatient is not two vectors at right angles")
    normal = np.cross(row, column)
    normal = normal / np.linalg.norm(normal)
    for vector in (row, column, normal):
        vector.flags.writeable = False
    return row, column, normal


def heights(positions: ArrayLike, orientation: ArrayLike) -> NDArray[np.float64]:
    """Where slices lie along the normal: ``dot(ImagePositionPatient, row x column)``, millimetres, ``(n,)``."""
    return np.asarray(np.asarray(positions, dtype=np.float64) @ directions(orientation)[2])


def lay_out(
    positions: ArrayLike, orientation: ArrayLike, pixel_spacing: ArrayLike, leniency: Leniency = STRICT
) -> Layout:
    """Order slices and measure their affine.

    The distance is the median of the successive distances along the normal. Slices are even when every distance is within
    the larger of 0.01 mm and 1 % of it. The slice axis of the affine is the mean step from first to last position, so a
    tilted gantry keeps its shear exactly.

    Args:
        positions: ``(n, 3)`` ImagePositionPatient, LPS millimetres, n >= 2.
        orientation: ``(6,)`` ImageOrientationPatient.
        pixel_spacing: ``(2,)`` distance between rows, between columns, millimetres.
        leniency: What is accepted: gaps leave holes in :attr:`Layout.places`, uneven distances are given in
            :attr:`Layout.heights`, a tilt in :attr:`Layout.tilt`.

    Raises:
        ScanRefused: ``duplicate-slices``, ``gap``, ``uneven-spacing``, ``tilted`` or ``bad-geometry``.
    """
    points = np.asarray(positions, dtype=np.float64)
    if not np.isfinite(points).all():
        raise refusal(RefusalCode.BAD_GEOMETRY, "ImagePositionPatient is not finite")
    normal = directions(orientation)[2]
    along = points @ normal
    order = np.argsort(along, kind="stable")
    points, along = points[order], along[order]
    steps = np.diff(along)
    if (steps < SAME_POSITION_MM).any():
        raise refusal(RefusalCode.DUPLICATE_SLICES, f"{int((steps < SAME_POSITION_MM).sum())} slices repeat a position")
    places, even = _places(steps, leniency)
    step = (points[-1] - points[0]) / places[-1]
    _check_straight(points, places if even else (along - along[0]) / (step @ normal), step, normal, pixel_spacing)
    tilt = _tilt(step, normal, leniency)
    return Layout(
        order=tuple(order.tolist()),
        places=tuple(places.tolist()),
        affine=slice_affine(points[0], orientation, pixel_spacing, step),
        tilt=tilt,
        heights=() if even else tuple((along - along[0]).tolist()),
    )


def _tilt(step: NDArray[np.float64], normal: NDArray[np.float64], leniency: Leniency) -> float:
    cosine = float(step @ normal) / float(np.linalg.norm(step))
    tilt = float(np.degrees(np.arccos(min(1.0, cosine))))
    if tilt < TILT_DEGREES:
        return 0.0
    if leniency.on_tilt == "error":
        raise refusal(RefusalCode.TILTED, f"the slices are stacked {tilt:.1f} degrees away from their normal")
    return tilt


def slice_affine(
    position: ArrayLike, orientation: ArrayLike, pixel_spacing: ArrayLike, step: ArrayLike | float
) -> NDArray[np.float64]:
    """Affine of one slice, voxel ``(column, row, slice)`` to RAS+ millimetres (PS3.3 C.7.6.2.1.1, then x and y negated).

    Args:
        position: ``(3,)`` ImagePositionPatient.
        orientation: ``(6,)`` ImageOrientationPatient.
        pixel_spacing: ``(2,)`` distance between rows, between columns.
        step: ``(3,)`` LPS vector to the next slice, or the distance to it along the normal.
    """
    row, column, normal = directions(orientation)
    between_rows, between_columns = (float(value) for value in np.asarray(pixel_spacing, dtype=np.float64))
    if not (np.isfinite([between_rows, between_columns]).all() and between_rows > 0 and between_columns > 0):
        raise refusal(RefusalCode.BAD_GEOMETRY, "PixelSpacing is not two positive numbers")
    affine = np.eye(4)
    affine[:3, 0] = row * between_columns
    affine[:3, 1] = column * between_rows
    vector = np.asarray(step, dtype=np.float64)
    affine[:3, 2] = normal * vector if vector.ndim == 0 else vector
    affine[:3, 3] = position
    return np.asarray(_LPS_TO_RAS @ affine)


def axis_codes(affine: NDArray[np.float64]) -> str:
    """Where the voxel axes point, each by its nearest anatomical direction: ``LPS`` and the like.

    The rotation nearest to the affine (its polar decomposition) gives each axis the world axis that it follows most closely of
    those not yet taken; the axis that follows one most closely of all comes first, as in nibabel.
    """
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(affine[:3, :3] / lengths)
    rotation = left @ right
    codes = [""] * 3
    for axis in np.argsort(-np.abs(rotation).max(axis=0), kind="stable"):
        world = int(np.argmax(np.abs(rotation[:, axis])))
        codes[axis] = ("LR", "PA", "IS")[world][int(rotation[world, axis] > 0)]
        rotation[world] = 0.0
    return "".join(codes)


def _places(steps: NDArray[np.float64], leniency: Leniency) -> tuple[NDArray[np.intp], bool]:
    """Grid index of each slice, from the distances between neighbours; and whether they are even."""
    spacing = float(np.median(steps))
    if len(steps) == 2:  # of two distances the smaller is one step, whatever their median
        spacing = float(steps.min()) if steps.max() > 1.5 * steps.min() else spacing
    tolerance = max(1e-2, 0.01 * spacing)
    counts = np.rint(steps / spacing).astype(np.intp)
    off = np.abs(steps - counts * spacing)
    # A distance of several steps may carry the tolerance of each.
    if (counts < 1).any() or (off > tolerance * np.maximum(counts, 1)).any():
        if leniency.on_uneven != "error" and counts.max() - 1 <= MAX_MISSING_RUN:
            return np.arange(len(steps) + 1), False
        smallest, largest = float(steps.min()), float(steps.max())
        raise refusal(
            RefusalCode.UNEVEN_SPACING, f"distances between slices run from {smallest:.3f} to {largest:.3f} mm"
        )
    holes = int((counts - 1).sum())
    if holes and (leniency.on_gap == "error" or counts.max() - 1 > MAX_MISSING_RUN):
        verb = "is" if holes == 1 else "are"
        raise refusal(RefusalCode.GAP, f"{holes} of {len(steps) + 1 + holes} slices {verb} missing")
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.intp), True


def _check_straight(
    points: NDArray[np.float64],
    places: NDArray[np.generic],
    step: NDArray[np.float64],
    normal: NDArray[np.float64],
    pixel_spacing: ArrayLike,
) -> None:
    """Refuse slices that do not lie on one straight line (a bent or jumping stack)."""
    away = points - (points[0] + np.asarray(places, dtype=np.float64)[:, None] * step)
    along = away @ normal
    across = np.linalg.norm(away - along[:, None] * normal, axis=1)
    height = abs(float(step @ normal))
    fine = float(np.min(np.asarray(pixel_spacing, dtype=np.float64)))
    if across.max() > max(1e-2, 0.1 * fine):
        raise refusal(RefusalCode.UNEVEN_SPACING, f"slices are shifted sideways by up to {across.max():.3f} mm")
    if np.abs(along).max() > max(2e-2, 0.1 * height):
        raise refusal(
            RefusalCode.UNEVEN_SPACING, f"slices are up to {np.abs(along).max():.3f} mm away from an even grid"
        )
