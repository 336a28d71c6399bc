"""Any series that the standard allows, written to files and read back: every value stands at its own place."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from scipy.spatial.transform import Rotation

from medcls.scans import Leniency, Scan, find_scans, read_scan
from tests.factories.dicom import MR, instance, save

SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
]


@dataclass(frozen=True)
class Made:
    """A series: its files, and the value at each place."""

    datasets: list[Dataset] = field(repr=False)
    places: np.ndarray = field(repr=False)  # (n, 3) RAS millimetres
    values: np.ndarray = field(repr=False)  # (n,)
    tilted: bool
    syntax: str


@st.composite
def series(draw: st.DrawFn) -> Made:
    """Random orientation, spacing, order, tilt, sign, bits, rescale and transfer syntax."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, rows, columns = draw(st.integers(2, 5)), draw(st.integers(2, 6)), draw(st.integers(2, 6))
    axes = Rotation.random(random_state=random).as_matrix() if draw(st.booleans()) else _upright(random)
    if draw(st.booleans()):
        axes[1] *= -1  # slices then stack the other way
    spacing = draw(st.floats(0.3, 3)), draw(st.floats(0.3, 3))
    tilt = draw(st.sampled_from([0.0, 0.0, -25.0, 3.0, 20.0]))
    step = np.cross(axes[0], axes[1]) + np.tan(np.radians(tilt)) * axes[1]
    positions = random.uniform(-300, 300, 3) + np.arange(count)[:, None] * draw(st.floats(0.5, 8)) * step
    stored, bits = draw(st.sampled_from([(8, 8), (16, 16), (16, 12), (16, 10), (16, 9)]))
    signed = draw(st.booleans())
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    pixels = random.integers(low, high, (count, rows, columns))
    slopes, intercepts = _rescales(draw, random, count)
    datasets = []
    for k in range(count):
        dataset = _slice(pixels[k], stored, bits, signed)
        dataset.ImagePositionPatient = [f"{value:.10f}" for value in positions[k]]
        dataset.ImageOrientationPatient = [f"{value:.12f}" for value in (*axes[0], *axes[1])]
        dataset.PixelSpacing = [f"{value:.12g}" for value in spacing]
        dataset.InstanceNumber = int(random.integers(0, 99))
        dataset.SliceThickness = float(random.uniform(0.1, 9))  # may say what it likes
        dataset.SpacingBetweenSlices = -3.3
        if slopes is not None:
            dataset.RescaleSlope, dataset.RescaleIntercept = slopes[k], intercepts[k]
        datasets.append(dataset)
    k, row, column = np.indices(pixels.shape).reshape(3, -1)
    places = positions[k] + row[:, None] * spacing[0] * axes[1] + column[:, None] * spacing[1] * axes[0]
    values = pixels.reshape(-1).astype(np.float64)
    if slopes is not None:
        values = values * np.array(slopes)[k] + np.array(intercepts)[k]
    order = random.permutation(count)
    syntax = draw(st.sampled_from(SYNTAXES))
    return Made([datasets[i] for i in order], places * [-1, -1, 1], values, tilt != 0, syntax)


def _upright(random: np.random.Generator) -> np.ndarray:
    """Axial, coronal, sagittal, mirrored: exact directions."""
    axes = np.eye(3)[random.permutation(3)] * random.choice([-1, 1], (3, 1))
    return np.asarray(axes, dtype=np.float64)


def _rescales(draw: st.DrawFn, random: np.random.Generator, count: int) -> tuple[list[float] | None, list[float]]:
    kind = draw(st.sampled_from(["absent", "ct", "each"]))
    if kind == "absent":
        return None, []
    if kind == "ct":
        return [1.0] * count, [-1024.0] * count
    return [round(float(x), 6) for x in random.uniform(0.001, 9, count)], [
        float(x) for x in random.integers(-50, 50, count)
    ]


def _slice(pixels: np.ndarray, stored: int, bits: int, signed: bool) -> Dataset:
    """One slice; the bits above BitsStored are the sign's, as most scanners write them, or zero, as PS3.5 8.1.1 allows."""
    kind = f"{'i' if signed else 'u'}{stored // 8}"
    cut = pixels if pixels.flat[0] % 2 else pixels & ((1 << bits) - 1)
    raw = cut.astype(np.int64).astype(f"u{stored // 8}").view(kind)
    dataset = instance(raw, Modality="MR", SOPClassUID=MR)
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    return dataset


def _written(dataset: Dataset, path: Path, syntax: str) -> None:
    if syntax == RLELossless:
        save(dataset, path)  # sets the file's meta information, which the encoder needs
        dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        dataset.save_as(path, enforce_file_format=True)
        return
    if syntax == ExplicitVRBigEndian and dataset.BitsAllocated == 16:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()
    save(dataset, path, syntax)


def right(scan: Scan, made: Made) -> bool:
    """Whether every value stands at its own place, and nothing else is there."""
    world = np.concatenate([made.places, np.ones((len(made.places), 1))], axis=1).T
    index = np.rint(np.linalg.inv(scan.affine) @ world).astype(int)
    if scan.array.size != len(made.values) or np.abs(scan.affine @ index - world).max() > 1e-4:
        return False
    inside = (index[:3] >= 0).all() and (index[:3].T < scan.shape).all()  # noqa: SIM300
    return bool(inside and np.allclose(scan.array[0][tuple(index[:3])], made.values, rtol=2e-6, atol=1e-3))


@given(series())
@settings(max_examples=120)
def test_every_value_of_any_series_stands_at_its_place(made):
    with tempfile.TemporaryDirectory() as folder:
        for number, dataset in enumerate(made.datasets):
            _written(dataset, Path(folder) / f"{number:x}", made.syntax)
        found = find_scans(folder)
        assert [item.code for item in found.refused] == (["tilted"] if made.tilted else [])
        scan = read_scan(folder, leniency=Leniency(on_tilt="warn"))
        assert right(scan, made)
        said = [note for note in scan.notes if not note.startswith("incomplete")]  # as the random numbers have it
        assert bool(said) == made.tilted
