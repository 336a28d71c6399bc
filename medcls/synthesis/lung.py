"""Lung: chest CT series as DICOM, one file a slice, as an export from a PACS is on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian
from scipy import ndimage
from scipy.spatial.transform import Rotation

from medcls.synthesis.chest import ChestLesion, draw_chest, draw_chest_lesion
from medcls.synthesis.dicom_attributes import Device, common_dataset, uid
from medcls.synthesis.dicom_slices import SliceWriter
from medcls.synthesis.fields import Field, grid_points
from medcls.synthesis.lesion import Lesion
from medcls.synthesis.look import Probed, WrittenCase
from medcls.synthesis.plan import Patient, Stream

DEVICES = (
    Device("SIEMENS", "SOMATOM Definition AS", "B40f", 0.45),
    Device("GE MEDICAL SYSTEMS", "LightSpeed VCT", "STANDARD", 0.55, padded=True),
    Device("Philips", "Brilliance 64", "B", 0.5, transfer_syntax=ImplicitVRLittleEndian),
    Device("TOSHIBA", "Aquilion ONE", "FC08", 0.6),
)
DEFAULT_SIZE = 96
_FIELD_OF_VIEW = 336.0  # mm, in plane
_HEIGHT = 240.0  # mm, along the slices
_RETURNS = 0.2  # part of the patients with a second study
_OBLIQUE = 0.35  # part of the series that are tilted
_INTERCEPT = -1024
_PADDING = -2000
_LPS = np.diag([-1.0, -1.0, 1.0])  # RAS+ to DICOM's LPS+ and back


@dataclass(frozen=True, eq=False)
class SeriesGrid:
    """Where the slices of a series are (DICOM PS3.3 C.7.6.2.1.1), LPS+ millimetres.

    Attributes:
        row: Unit vector along a row (growing column index).
        column: Unit vector along a column (growing row index).
        origin: Centre of the first voxel of the first slice.
        pixel: Pixel spacing, millimetres.
        gap: Distance between slices, millimetres.
        size: Rows and columns.
        slices: Number of slices.
    """

    row: NDArray[np.float64]
    column: NDArray[np.float64]
    origin: NDArray[np.float64]
    pixel: float
    gap: float
    size: int
    slices: int

    @property
    def affine(self) -> NDArray[np.float64]:
        """``(4, 4)``: voxel (column, row, slice) to RAS+ millimetres."""
        lps = np.stack(
            [self.row * self.pixel, self.column * self.pixel, np.cross(self.row, self.column) * self.gap], axis=1
        )
        affine = np.eye(4)
        affine[:3, :3] = _LPS @ lps
        affine[:3, 3] = _LPS @ self.origin
        return affine

    def position(self, index: int) -> list[float]:
        """ImagePositionPatient of a slice."""
        return _decimal(self.origin + index * self.gap * np.cross(self.row, self.column))


def write_lung_patient(patient: Patient, root: Path, look: Probed) -> list[WrittenCase]:
    """Write all studies of one patient.

    Args:
        patient: Who.
        root: Folder of the cohort.
        look: Size (rows and columns of a slice; a quarter as many slices) and difficulty.
    """
    anatomy = patient.stream(Stream.ANATOMY)
    chest = draw_chest(anatomy)
    visits = 2 if anatomy.random() < _RETURNS else 1
    planted = draw_chest_lesion(patient.stream(Stream.LESION), chest, look) if patient.positive else None
    cases = []
    for visit in range(visits):
        rng = patient.stream(Stream.VISIT, visit)
        centre = rng.uniform((-12, -15, -700), (12, 15, 300))
        grid = _draw_grid(rng, centre, look.size)
        device = DEVICES[(patient.rank + visit) % len(DEVICES)]
        growth = float(rng.uniform(0.95, 1.05))
        seen = replace(planted, radius=planted.radius * growth) if planted else None

        points = grid_points(grid.affine, (grid.size, grid.size, grid.slices), centre)
        image, lung = chest.paint(points, grid.pixel)
        if seen:
            seen.paint(image, points, lung, chest.clouds, grid.pixel)
        image += _noise(rng, image.shape, device, look)

        folder = PurePosixPath("DICOM", patient.folder, f"ST{visit + 1:06d}", "SE000001")
        _write_series(root / folder, rng, patient, visit, device, grid, image)
        lesion = _place(seen, centre, grid) if seen else None
        cases.append(WrittenCase(f"{patient.folder}-{visit + 1}", folder, patient.age(visit), lesion))
    return cases


def _draw_grid(rng: np.random.Generator, centre: NDArray[np.float64], size: int) -> SeriesGrid:
    slices = max(8, size // 4)
    oblique = rng.random() < _OBLIQUE
    angles = np.array([rng.uniform(6, 18) * rng.choice((-1, 1)), rng.uniform(-6, 6), rng.uniform(-5, 5)])
    turn = Rotation.from_euler("xyz", angles if oblique else np.zeros(3), degrees=True).as_matrix()
    pixel = round(_FIELD_OF_VIEW / size * float(rng.uniform(0.99, 1.04)), 4)
    gap = round(_HEIGHT / slices * float(rng.uniform(0.98, 1.02)), 2)
    row, column = np.array(_decimal(turn[:, 0])), np.array(_decimal(turn[:, 1]))
    middle = np.array([(size - 1) / 2 * pixel, (size - 1) / 2 * pixel, (slices - 1) / 2 * gap])
    origin = _LPS @ centre - np.stack([row, column, np.cross(row, column)], axis=1) @ middle
    return SeriesGrid(row, column, np.array(_decimal(origin)), pixel, gap, size, slices)


def _decimal(values: NDArray[np.float64]) -> list[float]:
    """Round so that each value fits the 16 characters of a DS (DICOM PS3.5, 6.2)."""
    return [round(float(value), 8) + 0.0 for value in values]


def _noise(rng: np.random.Generator, shape: tuple[int, ...], device: Device, look: Probed) -> Field:
    """Quantum noise as the reconstruction leaves it: blurred within a slice, independent between slices, in HU."""
    white = rng.standard_normal(shape, dtype=np.float32)
    smooth = ndimage.gaussian_filter(white, (0.9 - 0.6 * device.sharpness,) * 2 + (0,), mode="wrap")
    noise: Field = smooth * np.float32(22 * look.noise_scale * (0.7 + 0.6 * device.sharpness) / smooth.std())
    return noise


def _place(lesion: ChestLesion, centre: NDArray[np.float64], grid: SeriesGrid) -> Lesion:
    world = np.array(lesion.centre) + centre
    voxel = np.linalg.solve(grid.affine, np.append(world, 1.0))[:3]
    return Lesion(tuple(map(float, world)), lesion.radius, tuple(map(float, voxel)), lesion.kind)


def _write_series(
    folder: Path,
    rng: np.random.Generator,
    patient: Patient,
    visit: int,
    device: Device,
    grid: SeriesGrid,
    image: Field,
) -> None:
    stored = np.clip(np.rint(image) - _INTERCEPT, 0, 4095).astype("<i2")
    if device.padded:
        side = np.arange(grid.size) - (grid.size - 1) / 2
        stored[np.hypot(side[:, None], side[None]) > grid.size / 2] = _PADDING
    writer = SliceWriter(_series_dataset(patient, visit, device, grid), device.transfer_syntax)
    numbers = rng.permutation(grid.slices) if rng.random() < 0.3 else np.arange(grid.slices)[:: rng.choice((-1, 1))]
    names = rng.permutation(grid.slices)
    folder.mkdir(parents=True)
    for index in range(grid.slices):
        own = Dataset()
        own.InstanceNumber = int(numbers[index]) + 1
        own.ImagePositionPatient = grid.position(index)
        own.SliceLocation = round(index * grid.gap, 2)
        own.add_new("PixelData", "OW", stored[:, :, index].T.tobytes())
        writer.write(folder / f"IM{names[index] + 1:06d}", own, uid(patient, visit, "slice", index))


def _series_dataset(patient: Patient, visit: int, device: Device, grid: SeriesGrid) -> Dataset:
    """Everything the slices of a series share (CT image IOD, DICOM PS3.3 A.3)."""
    dataset = common_dataset(patient, visit, device, CTImageStorage, "CT")
    axial = bool(np.allclose(np.cross(grid.row, grid.column), (0, 0, 1)))
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL" if axial else "OTHER"]
    dataset.SeriesDescription = "Chest"
    dataset.BodyPartExamined = "CHEST"
    dataset.PatientPosition = "HFS"
    dataset.KVP = 120
    dataset.ConvolutionKernel = device.kernel
    dataset.SliceThickness = grid.gap
    dataset.AcquisitionNumber = 1
    dataset.FrameOfReferenceUID = uid(patient, visit, "frame")
    dataset.PositionReferenceIndicator = ""
    dataset.ImageOrientationPatient = [*map(float, grid.row), *map(float, grid.column)]
    dataset.PixelSpacing = [grid.pixel, grid.pixel]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = grid.size
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 1
    if device.padded:
        dataset.add_new("PixelPaddingValue", "SS", _PADDING)
    dataset.WindowCenter, dataset.WindowWidth = -600, 1500
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = _INTERCEPT, 1, "HU"
    return dataset
