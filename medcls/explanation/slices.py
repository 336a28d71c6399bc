"""Slices of a volume and its map, turned the way a radiologist reads them.

Radiological convention: the patient's right is on the left of the picture in axial and coronal slices, the patient's
front is at the top of axial slices and on the left of sagittal ones, and the head is at the top of coronal and sagittal
slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}
_TILTED = 1.0  # degrees between the slice and the body's axes from which the slice is called tilted

# Name, axis cut through, axis across the picture, axis down the picture; axes run right-left, front-back, head-foot.
_PLANES = (("Axial", 2, 0, 1), ("Coronal", 1, 0, 2), ("Sagittal", 0, 1, 2))
_EDGES = (("R", "L"), ("A", "P"), ("S", "I"))  # first and last letter of each axis after it was turned for display


@dataclass(frozen=True, eq=False)
class DisplaySlice:
    """One picture with its map, upright as on a screen.

    Attributes:
        plain: ``(rows, columns)`` or ``(rows, columns, 3)`` in display range: uint8, or floats in 0..1.
        heat: ``(rows, columns)`` raw map, not negative; NaN where the network did not look.
        plane: ``Axial``, ``Coronal``, ``Sagittal`` …; empty for a picture that is no slice.
        left_right: Letters at the left and right edge; ``None`` where the geometry is unknown.
        top_bottom: Letters at the top and bottom edge; ``None`` where the geometry is unknown.
        spacing: Millimetres between rows and between columns; ``None`` where unknown.
    """

    plain: NDArray[Any]
    heat: NDArray[Any]
    plane: str = ""
    left_right: tuple[str, str] | None = None
    top_bottom: tuple[str, str] | None = None
    spacing: tuple[float, float] | None = None

    @property
    def peak(self) -> tuple[int, int]:
        """Row and column of the map's largest value; the first one where several are as large."""
        row, column = np.unravel_index(int(np.nanargmax(self.heat)), self.heat.shape)
        return int(row), int(column)


def slices_through_peak(
    volume: NDArray[Any], heat: NDArray[Any], affine: NDArray[np.float64] | None
) -> tuple[DisplaySlice, DisplaySlice, DisplaySlice]:
    """Three orthogonal slices through the map's peak, in radiological convention.

    Args:
        volume: ``(x, y, z)`` in display range: uint8, or floats in 0..1.
        heat: ``(x, y, z)`` raw map on the volume's grid, not negative; NaN where the network did not look.
        affine: ``(4, 4)``, voxel index to RAS+ millimetres; ``None`` where the geometry is unknown, and then the slices
            are shown as they are stored, without letters or scale.

    Returns:
        The axial, coronal and sagittal slice. Where the volume is tilted against the body they are the nearest slices
        of its own grid, and their names say by how many degrees.

    Raises:
        ValueError: The arrays are not volumes of one shape.
    """
    if volume.ndim != 3 or volume.shape != heat.shape:
        raise ValueError(f"volume and map are (x, y, z) of one shape; got {volume.shape} and {heat.shape}")
    if affine is None:
        return _stored_slices(volume, heat)
    turned, turned_heat, spacing, tilt = _to_display_axes(volume, heat, affine)
    peak = _peak(turned_heat)
    first, second, third = (
        _cut(turned, turned_heat, peak, spacing, plane, f" (tilted {tilt:.0f}°)" if tilt >= _TILTED else "")
        for plane in _PLANES
    )
    return first, second, third


def hottest_frames(
    frames: NDArray[Any], heat: NDArray[Any], times: Sequence[float], most: int = 3
) -> tuple[DisplaySlice, ...]:
    """The frames of a sequence in which its map is highest, in the order of time.

    Args:
        frames: ``(x, y, t)`` or ``(x, y, t, 3)`` in display range.
        heat: ``(x, y, t)`` raw map, not negative; NaN where the network did not look.
        times: ``(t,)`` seconds of each frame.
        most: How many at most.
    """
    highest = np.where(np.isfinite(heat), heat, -1).max(axis=(0, 1))
    chosen = sorted(int(number) for number in np.argsort(-highest, kind="stable")[:most])
    return tuple(
        DisplaySlice(np.swapaxes(frames[:, :, number], 0, 1), heat[:, :, number].T, f"at {times[number]:.2f} s")
        for number in chosen
    )


def edge_letters(affine: NDArray[np.float64]) -> tuple[tuple[str, str], tuple[str, str]]:
    """Letters for a picture shown as ``array[channel].T``: columns along x, rows along y.

    Args:
        affine: ``(4, 4)``, voxel index to RAS+ millimetres.

    Returns:
        The letters at the left and right edge, and those at the top and bottom edge.
    """
    from nibabel.orientations import aff2axcodes

    across, down, _ = aff2axcodes(affine)
    return (_OPPOSITE[across], across), (_OPPOSITE[down], down)


def _to_display_axes(
    volume: NDArray[Any], heat: NDArray[Any], affine: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64], float]:
    """Turn both arrays so that indices run right to left, front to back, head to foot."""
    from nibabel.affines import obliquity, voxel_sizes
    from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

    own = io_orientation(affine)
    turn = ornt_transform(own, axcodes2ornt(("L", "P", "I")))
    spacing = np.empty(3)
    spacing[own[:, 0].astype(int)] = voxel_sizes(affine)
    tilt = float(np.degrees(np.max(obliquity(affine))))
    return apply_orientation(volume, turn), apply_orientation(heat, turn), spacing, tilt


def _peak(heat: NDArray[Any]) -> tuple[int, ...]:
    """Where the map is largest; the middle of the volume where it is zero or unknown everywhere."""
    if not np.isfinite(heat).any() or not float(np.nanmax(heat)) > 0:
        return tuple(length // 2 for length in heat.shape)
    return tuple(int(index) for index in np.unravel_index(int(np.nanargmax(heat)), heat.shape))


def _cut(
    volume: NDArray[Any],
    heat: NDArray[Any],
    peak: tuple[int, ...],
    spacing: NDArray[np.float64],
    plane: tuple[str, int, int, int],
    remark: str,
) -> DisplaySlice:
    name, through, across, down = plane
    # What a cut leaves is (across, down); a picture is (down, across), hence the transposition.
    return DisplaySlice(
        plain=np.take(volume, peak[through], axis=through).T,
        heat=np.take(heat, peak[through], axis=through).T,
        plane=name + remark,
        left_right=_EDGES[across],
        top_bottom=_EDGES[down],
        spacing=(float(spacing[down]), float(spacing[across])),
    )


def _stored_slices(volume: NDArray[Any], heat: NDArray[Any]) -> tuple[DisplaySlice, DisplaySlice, DisplaySlice]:
    peak = _peak(heat)
    names = ("Across the third axis", "Across the second axis", "Across the first axis")
    first, second, third = (
        DisplaySlice(np.take(volume, peak[axis], axis=axis).T, np.take(heat, peak[axis], axis=axis).T, name)
        for name, axis in zip(names, (2, 1, 0), strict=True)
    )
    return first, second, third
