"""Where slices are: order, spacing, gaps and tilt from measured positions alone.

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

from medcls.scans.core.leniency import STRICT, Leniency
from medcls.scans.core.refusals import RefusalCode, refusal

SAME_POSITION_MM = 1e-3
"""Slices closer than this along the normal are at one position."""

SAME_ORIENTATION = 1e-3
"""Largest difference between direction cosines of slices of one volume."""

TILT_DEGREES = 0.1
"""Below this angle a stack counts as upright: half a millimetre over 30 cm, and the affine keeps even that."""

EVEN_MM, EVEN_SHARE = 1e-2, 0.02
"""A slice may be this far away from the even grid of its stack: the larger of the two, the second a share of a step."""

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
    """Where slices are along the normal: ``dot(ImagePositionPatient, row x column)``, millimetres, ``(n,)``."""
    return np.asarray(np.asarray(positions, dtype=np.float64) @ directions(orientation)[2])


def lay_out(
    positions: ArrayLike, orientation: ArrayLike, pixel_spacing: ArrayLike, leniency: Leniency = STRICT
) -> Layout:
    """Order slices and measure their affine.

    The grid goes evenly from the first to the last position, so a tilted gantry keeps its shear exactly. Slices are even when
    none is further away from it along the normal than the larger of 0.01 mm and 2 % of a step. Scanners round positions,
    mostly to 0.1 mm: where all coordinates go by multiples of 0.1, 0.01 or 0.001 mm, a slice may be that much away in each,
    though never more than a quarter of a step.

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
    digit = _rounding(points)
    found = _even_places(along, min(digit * float(np.abs(normal).sum()), float(np.median(steps)) / 4))
    places = _irregular(steps, leniency) if found is None else _without_gaps(found, leniency)
    step = (points[-1] - points[0]) / places[-1]
    line = places if found is not None else (along - along[0]) / (step @ normal)
    blur = digit * 3**0.5  # of a position in space
    _check_straight(points, line, step, normal, max(1e-2, 0.1 * float(np.min(np.asarray(pixel_spacing))), blur))
    tilt = _tilt(step, normal)
    if tilt and float(np.linalg.norm(_sideways(step, normal))) * places[-1] <= blur:
        step, tilt = step - _sideways(step, normal), 0.0
    if tilt and leniency.on_tilt == "error":
        raise refusal(RefusalCode.TILTED, f"the slices are stacked {tilt:.1f} degrees away from their normal")
    return Layout(
        order=tuple(order.tolist()),
        places=tuple(places.tolist()),
        affine=slice_affine(points[0], orientation, pixel_spacing, step),
        tilt=tilt,
        heights=() if found is not None else tuple((along - along[0]).tolist()),
    )


def _rounding(points: NDArray[np.float64]) -> float:
    """To which power of ten, in millimetres, the positions ``(n, 3)`` were rounded; 0 when to none that matters.

    Told from their differences, as some scanners add an origin of more digits to what they round.
    """
    away = points - points[0]
    for digit in (0.1, 0.01, 0.001):
        if np.abs(away - np.rint(away / digit) * digit).max() <= 1e-5:  # more, and a small tilt passes for rounding
            return digit
    return 0.0


def _sideways(vectors: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of vectors ``(..., 3)`` at right angles to the normal."""
    return vectors - (vectors @ normal)[..., np.newaxis] * normal


def _tilt(step: NDArray[np.float64], normal: NDArray[np.float64]) -> float:
    """Degrees between the two; 0 below :data:`TILT_DEGREES`."""
    cosine = float(step @ normal) / float(np.linalg.norm(step))
    tilt = float(np.degrees(np.arccos(min(1.0, cosine))))
    return tilt if tilt >= TILT_DEGREES else 0.0


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


def _even_places(along: NDArray[np.float64], blur: float) -> NDArray[np.intp] | None:
    """Grid index of each slice, holes left out; ``None`` where the heights ``along``, ascending, fit no even grid.

    Args:
        along: ``(n,)`` heights.
        blur: Millimetres by which their rounding may move one away from the grid.
    """
    steps = np.diff(along)
    spacing = float(np.median(steps))
    if len(steps) == 2 and steps.max() > 1.5 * steps.min():  # of two distances the smaller is one step
        spacing = float(steps.min())
    counts = np.rint(steps / spacing)
    if (counts < 1).any():
        return None
    counts = np.rint(steps / float(steps[counts == 1].mean()))  # so that rounding adds up to nothing over a long hole
    places = np.concatenate([[0], np.cumsum(counts)])
    step = (along[-1] - along[0]) / places[-1]
    off = np.abs(along - along[0] - places * step).max()
    # Of a hair more, since heights are sums of rounded products.
    return places.astype(np.intp) if off <= max(EVEN_MM, EVEN_SHARE * step, blur) + 1e-6 else None


def _irregular(steps: NDArray[np.float64], leniency: Leniency) -> NDArray[np.intp]:
    """Places of slices at uneven distances, one after the other.

    Raises:
        ScanRefused: ``uneven-spacing``, unless asked for; always across a hole as of two scans.
    """
    smallest, largest = float(steps.min()), float(steps.max())
    if leniency.on_uneven == "error" or round(largest / float(np.median(steps))) - 1 > MAX_MISSING_RUN:
        raise refusal(
            RefusalCode.UNEVEN_SPACING, f"distances between slices run from {smallest:.3f} to {largest:.3f} mm"
        )
    return np.arange(len(steps) + 1)


def _without_gaps(places: NDArray[np.intp], leniency: Leniency) -> NDArray[np.intp]:
    """The same places.

    Raises:
        ScanRefused: ``gap`` when some are missing, unless asked for; always across a hole as of two scans.
    """
    holes, longest = int(places[-1]) + 1 - len(places), int(np.diff(places).max()) - 1
    if holes and (leniency.on_gap == "error" or longest > MAX_MISSING_RUN):
        verb = "is" if holes == 1 else "are"
        raise refusal(RefusalCode.GAP, f"{holes} of {len(places) + holes} slices {verb} missing")
    return places


def _check_straight(
    points: NDArray[np.float64],
    places: NDArray[np.generic],
    step: NDArray[np.float64],
    normal: NDArray[np.float64],
    tolerance: float,
) -> None:
    """Refuse slices that are more than ``tolerance`` millimetres beside one straight line (a bent or jumping stack)."""
    away = points - (points[0] + np.asarray(places, dtype=np.float64)[:, None] * step)
    across = float(np.linalg.norm(_sideways(away, normal), axis=1).max())
    if across > tolerance:
        raise refusal(RefusalCode.UNEVEN_SPACING, f"slices are shifted sideways by up to {across:.3f} mm")
