"""Brain: T1-weighted volumes as compressed NIfTI, in the orientations that scanners and converters leave behind."""

from __future__ import annotations

import gzip
from pathlib import Path, PurePosixPath

import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from medcls.files import write_bytes
from medcls.synthesis.fields import Field, Points, grid_points
from medcls.synthesis.head import draw_head, draw_head_lesion
from medcls.synthesis.lesion import Lesion
from medcls.synthesis.look import Probed, WrittenCase
from medcls.synthesis.plan import Patient, Stream

DEFAULT_SIZE = 72
ORIENTATIONS = ("RAS", "LPS", "PIR", "oblique")
_FIELD_OF_VIEW = 220.0  # mm, in plane
_HEIGHT = 196.0  # mm, from below to above
_WORLD = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}


def write_brain_patient(patient: Patient, root: Path, look: Probed) -> list[WrittenCase]:
    """Write the volume of one patient.

    Args:
        patient: Who.
        root: Folder of the cohort.
        look: Size (voxels along the longer axes) and difficulty.
    """
    head = draw_head(patient.stream(Stream.ANATOMY))
    rng = patient.stream(Stream.VISIT)
    centre = rng.uniform((-5, -25, -30), (5, 25, 30))
    affine, shape = _draw_grid(rng, ORIENTATIONS[patient.rank % len(ORIENTATIONS)], centre, look.size)
    points = grid_points(affine, shape, centre)
    width = 1.1 * _FIELD_OF_VIEW / look.size
    image = head.paint(points, width)
    lesion = None
    if patient.positive:
        planted = draw_head_lesion(patient.stream(Stream.LESION), head, look)
        planted.paint(image, points, head, width)
        world = np.array(planted.centre) + centre
        voxel = np.linalg.solve(affine, np.append(world, 1.0))[:3]
        lesion = Lesion(tuple(map(float, world)), planted.radius, tuple(map(float, voxel)), planted.kind)
    stored = _scanned(rng, image, points, look)

    subject = f"sub-{patient.index + 1:04d}"
    scan = PurePosixPath("NIFTI", subject, "anat", f"{subject}_T1w.nii.gz")
    write_bytes(root / scan, _nifti(stored, affine))
    return [WrittenCase(subject, scan, patient.age(0), lesion)]


def _draw_grid(
    rng: np.random.Generator, orientation: str, centre: NDArray[np.float64], size: int
) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    """Affine and shape of a grid around ``centre``; thicker slices from below to above, as in a clinical sequence."""
    angles = rng.uniform(5, 20, 3) * rng.choice((-1, 1), 3)
    codes = "RAS" if orientation == "oblique" else orientation
    pixel, slices = _FIELD_OF_VIEW / size, max(8, round(size * 7 / 9))
    directions = np.array([_WORLD[code] for code in codes], float).T
    upright = [code in "SI" for code in codes]
    steps = np.where(upright, _HEIGHT / slices, pixel)
    shape = (*(slices if up else size for up in upright),)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() if orientation == "oblique" else np.eye(3)
    affine = np.eye(4)
    affine[:3, :3] = turn @ directions * steps
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    # NIfTI keeps the affine in single precision: what is sampled must be what will be read.
    return affine.astype(np.float32).astype(np.float64), (int(shape[0]), int(shape[1]), int(shape[2]))


def _scanned(rng: np.random.Generator, image: Field, points: Points, look: Probed) -> NDArray[np.int16]:
    """What the coil and the receiver make of the signal: shading, Rician noise, and a scale of the scanner's own."""
    slope = rng.uniform(-1, 1, 6).astype(np.float32)
    x, y, z = (values / np.float32(100) for values in points)
    shading = 1 + 0.14 * (slope[0] * x + slope[1] * y + slope[2] * z)
    shading += 0.10 * (slope[3] * x * y + slope[4] * y * z + slope[5] * (x * x - y * y))
    sigma = np.float32(0.028 * look.noise_scale)
    real = image * shading + sigma * rng.standard_normal(image.shape, dtype=np.float32)
    noisy = np.hypot(real, sigma * rng.standard_normal(image.shape, dtype=np.float32))
    stored: NDArray[np.int16] = np.clip(np.rint(noisy * rng.uniform(300, 900)), 0, 32767).astype(np.int16)
    return stored


def _nifti(stored: NDArray[np.int16], affine: NDArray[np.float64]) -> bytes:
    image = nibabel.Nifti1Image(stored, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    # No time in the gzip header: the same seed gives the same bytes.
    return gzip.compress(image.to_bytes(), compresslevel=4, mtime=0)
