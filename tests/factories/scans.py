"""Small scans made in memory, with something bright at a known place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medcls.errors import ScanRefused
from medcls.scans.core.leniency import STRICT, Leniency
from medcls.scans.core.scan import Scan

Affine = NDArray[np.float64]


def affine(
    directions: NDArray[np.float64], spacing: tuple[float, float, float], origin: tuple[float, float, float]
) -> Affine:
    result = np.eye(4)
    result[:3, :3] = directions * np.array(spacing)
    result[:3, 3] = origin
    return result


def turned(degrees: float, first: int, second: int) -> NDArray[np.float64]:
    turn = np.eye(3)
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn[first, first] = turn[second, second] = c
    turn[first, second], turn[second, first] = -s, s
    return turn


LPS = np.diag([-1.0, -1.0, 1.0])
SAGITTAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # columns to P, rows to I, slices to R
TILT = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.33], [0.0, 0.0, 1.0]])

GEOMETRIES: dict[str, Affine] = {
    "axial": affine(LPS, (1.0, 1.0, 1.5), (30.0, 20.0, -10.0)),
    "superior-first": affine(np.diag([1.0, 1.0, -1.0]), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
    "oblique": affine(turned(20, 0, 1) @ turned(15, 1, 2) @ LPS, (1.0, 1.0, 1.2), (5.0, -7.0, 100.0)),
    "sagittal": affine(SAGITTAL, (1.0, 1.0, 1.3), (-20.0, 15.0, 30.0)),
    "sheared": affine(LPS @ TILT, (1.0, 1.0, 1.6), (0.0, 4.0, -3.0)),
    "anisotropic": affine(LPS, (0.6, 0.6, 3.0), (12.0, 12.0, 12.0)),
}


def world(matrix: Affine, index: NDArray[np.float64]) -> NDArray[np.float64]:
    """World places of indices ``(..., 3)``."""
    return index @ matrix[:3, :3].T + matrix[:3, 3]


def ball(shape: tuple[int, ...], matrix: Affine, centre: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """A Gaussian ball, round in the world, ``shape``."""
    full = (*shape, 1) if len(shape) == 2 else shape
    index = np.stack(np.meshgrid(*[np.arange(n) for n in full], indexing="ij"), axis=-1).astype(float)
    distance = np.linalg.norm(world(matrix, index) - centre, axis=-1)
    return np.exp(-0.5 * (distance / sigma) ** 2).reshape(shape)


def planted(
    matrix: Affine,
    shape: tuple[int, int, int] = (40, 36, 26),
    voxel: tuple[int, int, int] = (24, 15, 13),
    sigma: float = 4.0,
) -> tuple[Scan, NDArray[np.float64]]:
    """An MR-like volume with a dim block of body and a bright ball in it, and the ball's world place."""
    centre = world(matrix, np.array(voxel, dtype=float))
    array = np.zeros(shape)
    array[4:-4, 4:-4, 1:-1] = 200.0
    array = array + 800.0 * ball(shape, matrix, centre, sigma)
    return Scan(array[None].astype(np.float32), matrix, modality="MR", kind="nifti"), centre


def chest(shape: tuple[int, int, int] = (48, 48, 24), *, seed: int = 0, modality: str = "CT") -> Scan:
    """A CT-like volume in Hounsfield units: air, a body, two lungs."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij", sparse=True)
    body = ((x / 0.7) ** 2 + (y / 0.5) ** 2 < 1) & (abs(z) <= 1)
    lungs = ((abs(x) - 0.35) / 0.2) ** 2 + (y / 0.3) ** 2 + 0 * z < 1
    array = np.where(lungs, -800.0, np.where(body, 40.0, -1000.0))
    array = array + np.random.default_rng(seed).normal(0, 10, shape)
    matrix = affine(LPS, (7.0, 7.0, 10.0), (160.0, 160.0, 0.0))
    return Scan(array[None].astype(np.int16), matrix, modality=modality, kind="dicom")


def picture(shape: tuple[int, int] = (60, 40), *, channels: int = 1, seed: int = 0) -> Scan:
    """An 8-bit picture of noise, ``(channels, columns, rows)``."""
    array = np.random.default_rng(seed).integers(0, 256, (channels, *shape), dtype=np.uint8)
    photometric = "rgb" if channels == 3 else "grey"
    return Scan(array, np.eye(4), kind="raster", has_geometry=False, photometric=photometric)


@dataclass(frozen=True)
class FileSource:
    """A scan in an ``.npy`` file, as a search would have found it; its content says how reading ends."""

    name: str
    paths: tuple[Path, ...]
    part: str = ""

    @classmethod
    def save(cls, folder: Path, name: str, array: NDArray[np.generic]) -> FileSource:
        path = folder / f"{name}.npy"
        np.save(path, array)
        return cls(name, (path,))

    def read(self, *, leniency: Leniency = STRICT) -> Scan:
        array = np.load(self.paths[0], allow_pickle=False)
        if array.dtype == np.int8:  # stands for a file that kills the decoder
            os._exit(9)
        if array.dtype == bool:
            raise ScanRefused("damaged", "the file is cut short", where=self.name)
        attributes, identity = {"sex": "F", "age": "61"}, {"patient_id": "DOE-1", "issuer": "H"}
        notes = (f"read with on_gap={leniency.on_gap}",)
        return Scan(
            array,
            np.eye(4),
            has_geometry=False,
            attributes=attributes,
            identity=identity,
            notes=notes,
            paths=self.paths,
        )
