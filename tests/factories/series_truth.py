"""A series of slices of which it is known what value is at which place, and whether a scan agrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation

from medcls.scans import Scan
from tests.factories.dicom import instance

RAS = np.diag([-1.0, -1.0, 1.0])
ROTATION = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
SPACING = (0.5, 0.75)  # between rows, between columns
STEP = 2.5


@dataclass(frozen=True)
class Truth:
    """Where the slices are, and a field that is linear in the place (LPS): interpolation gives it back exactly."""

    positions: np.ndarray
    shape: tuple[int, int] = (12, 10)
    gradient: tuple[float, float, float] = (7.0, -5.0, 3.0)

    def places(self) -> np.ndarray:
        """``(slices, rows, columns, 3)`` LPS millimetres, PS3.3 C.7.6.2.1.1."""
        rows, columns = np.indices(self.shape)
        inside = rows[..., None] * SPACING[0] * ROTATION[1] + columns[..., None] * SPACING[1] * ROTATION[0]
        return self.positions[:, None, None] + inside

    def field(self, places: np.ndarray) -> np.ndarray:
        """The value at places in LPS."""
        return places @ np.array(self.gradient) + 500.0

    def pixels(self) -> np.ndarray:
        """``(slices, rows, columns)`` int16, in tenths, so that rounding is small beside the differences."""
        return np.rint(self.field(self.places()) * 10).astype(np.int16)

    def datasets(self, **changes: object) -> list[Dataset]:
        """One for each slice, in order."""
        orientation = [round(float(x), 12) for x in (*ROTATION[0], *ROTATION[1])]
        common = {"ImageOrientationPatient": orientation, "PixelSpacing": list(SPACING), "FrameOfReferenceUID": "1.2.7"}
        common |= {"RescaleSlope": 0.1, "RescaleIntercept": 0, **changes}
        made = []
        for number, (pixels, position) in enumerate(zip(self.pixels(), self.positions, strict=True), start=1):
            place = [round(float(x), 10) for x in position]
            made.append(instance(pixels, **{"ImagePositionPatient": place, "InstanceNumber": number, **common}))
        return made


def truth(heights: Sequence[float] = tuple(STEP * i for i in range(8)), tilt: float = 0.0) -> Truth:
    """Slices at these heights along the normal; a gantry tilted by ``tilt`` degrees shifts them along the columns."""
    shear = ROTATION[2] + np.tan(np.radians(tilt)) * ROTATION[1]
    return Truth(np.array([-40.0, 25.0, 60.0]) + np.asarray(heights)[:, None] * shear)


def right(scan: Scan, made: Truth) -> bool:
    """Every pixel that was written stands at its own place, and nothing else is there."""
    places = made.places()
    if scan.array.size != places[..., 0].size or scan.channels != 1:
        return False
    world = np.concatenate([places.reshape(-1, 3) @ RAS, np.ones((places[..., 0].size, 1))], axis=1)
    index = np.linalg.inv(scan.affine) @ world.T
    whole = np.rint(index[:3]).astype(int)
    if np.abs(scan.affine @ np.vstack([whole, index[3:]]) - world.T).max() > 1e-4:
        return False
    if len(np.unique(whole, axis=1).T) != whole.shape[1] or (whole < 0).any() or (scan.shape <= whole.T).any():
        return False
    return bool(np.allclose(scan.array[0][tuple(whole)], made.pixels().ravel() * 0.1, atol=1e-3))


def follows(scan: Scan, made: Truth) -> bool:
    """Each voxel inside the volume that was measured holds the field's value at its own place."""
    grid = np.indices(scan.shape).reshape(3, -1)
    lps = RAS @ (scan.affine[:3, :3] @ grid + scan.affine[:3, 3:])
    expected = made.field(lps.T)
    # Inside: within the slice's rectangle at its own height, found from the two measured slices around it.
    offset = (lps.T - made.positions[0]) @ ROTATION.T
    heights = (made.positions - made.positions[0]) @ ROTATION[2]
    across = np.stack(
        [np.interp(offset[:, 2], heights, (made.positions - made.positions[0]) @ ROTATION[i]) for i in (0, 1)]
    )
    pixel = (offset[:, :2] - across.T) / np.array([SPACING[1], SPACING[0]])
    inside = (pixel >= -1e-6).all(axis=1) & (pixel <= np.array(made.shape[::-1]) - 1 + 1e-6).all(axis=1)
    inside &= (offset[:, 2] >= -1e-6) & (offset[:, 2] <= heights[-1] + 1e-6)
    error = np.abs(scan.array[0].reshape(-1) - expected)[inside]
    return bool(inside.sum() > 0.5 * made.places()[..., 0].size and error.max() < 0.15)
