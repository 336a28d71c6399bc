"""A map comes home: what was hot in the prepared view is hot at the same place of the scan."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from medcls.config import load_config
from medcls.explanation.explanation import Explanation
from medcls.explanation.native import cell_affines, cells_to_view, to_scan_space
from medcls.explanation.pointing import points_at
from medcls.preprocessing import Prepared, build_recipe
from medcls.scans import Scan


def turned(angle: float, axis: int) -> NDArray[np.float64]:
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    first, second = [other for other in range(3) if other != axis]
    matrix = np.eye(4)
    matrix[[first, second], [first, second]] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix


def affine(kind: str) -> NDArray[np.float64]:
    lps = np.diag([-1.5, -1.5, 3.0, 1.0])
    lps[:3, 3] = [40, 30, -60]
    if kind == "oblique":
        return turned(25, 0) @ turned(-15, 2) @ lps
    if kind == "sagittal":
        return np.array([[0, 0, 3.0, -40], [1.5, 0, 0, -30], [0, -1.5, 0, 50], [0, 0, 0, 1]])
    if kind == "sheared":
        sheared = lps.copy()
        sheared[1, 2] = 3.0 * np.tan(np.radians(18))
        return sheared
    return lps


def volume(kind: str, shape: tuple[int, int, int] = (40, 36, 30)) -> Scan:
    rng = np.random.default_rng(0)
    array = rng.normal(100, 5, (1, *shape)).astype(np.float32)
    return Scan(array, affine(kind), modality="MR", kind="nifti")


def prepared(scan: Scan, **preprocessing: object) -> Prepared:
    config = load_config(None, (), {"region": "brain", "preprocessing": {"kind": "mr", **preprocessing}})
    return build_recipe(config.region, config.preprocessing).prepare(scan)


def centroid(values: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    full = values.reshape(*values.shape, *[1] * (3 - values.ndim))
    index = np.stack(np.meshgrid(*map(np.arange, full.shape), indexing="ij"))
    mean = (index * full).sum(axis=(1, 2, 3)) / full.sum()
    return (matrix @ [*mean, 1.0])[:3]


@pytest.mark.parametrize("kind", ["axial", "oblique", "sagittal", "sheared"])
@pytest.mark.parametrize("mode", ["pad", "stretch"])
def test_a_hot_cell_of_a_volume_comes_home_within_half_a_cell(kind: str, mode: str) -> None:
    scan = volume(kind)
    ready = prepared(scan, dimensions=3, size=[48, 48, 48], steps={"resize": {"mode": mode}})
    maps = np.zeros((1, 6, 6, 6), np.float32)
    maps[0, 2, 3, 3] = 1
    values, seen = to_scan_space(maps, ready, scan.affine, scan.shape)
    place = (cell_affines(maps, ready)[0] @ [2, 3, 3, 1])[:3]
    size = np.linalg.norm(cell_affines(maps, ready)[0][:3, :3], axis=0)
    assert values.shape == scan.shape
    assert seen.mean() > 0.5
    assert np.linalg.norm(centroid(values, scan.affine) - place) <= size.min() / 2


def test_a_picture_comes_home_upright() -> None:
    scan = Scan(np.zeros((1, 60, 40), np.uint8) + np.arange(40, dtype=np.uint8), np.eye(4), has_geometry=False)
    config = load_config(None, (), {"region": "generic", "preprocessing": {"size": [32, 32], "dimensions": 2}})
    ready = build_recipe(config.region, config.preprocessing).prepare(scan)
    maps = np.zeros((1, 4, 4), np.float32)
    maps[0, 0, 3] = 1  # top right as on a screen
    values, _ = to_scan_space(maps, ready, scan.affine, scan.shape)
    x, y = np.unravel_index(values.argmax(), values.shape)
    assert x > 30
    assert y < 20


def test_slices_of_a_volume_come_home_to_their_own_slice() -> None:
    scan = volume("axial")
    ready = prepared(scan, dimensions=2, size=[32, 32], slices=[4, 20])
    maps = np.stack([np.full((4, 4), 1, np.float32), np.full((4, 4), 2, np.float32)])
    values, seen = to_scan_space(maps, ready, scan.affine, scan.shape)
    filled = np.flatnonzero(values.any(axis=(0, 1)))
    assert len(filled) == 2
    assert set(filled) == set(np.flatnonzero(seen.any(axis=(0, 1))))
    assert {float(values[..., index].max()) for index in filled} == {1.0, 2.0}


@given(st.integers(1, 9), st.integers(9, 64))
def test_cells_tile_the_view(cells: int, length: int) -> None:
    matrix = cells_to_view((cells,) * 3, (length,) * 3)
    first, last = (matrix @ [-0.5, 0, 0, 1])[0], (matrix @ [cells - 0.5, 0, 0, 1])[0]
    assert first == pytest.approx(-0.5)
    assert last == pytest.approx(length - 0.5)


def explanation(scan: Scan, peak: tuple[float, float, float] | None) -> Explanation:
    values = np.random.default_rng(1).random(scan.shape).astype(np.float32)
    return Explanation("ill", values, values >= 0, scan.affine, peak, (4, 4, 4), (8.0, 8.0, 20.0), np.eye(3), scan)


@pytest.mark.parametrize("kind", ["axial", "oblique", "sagittal", "sheared"])
def test_a_saved_map_has_the_scans_own_geometry(kind: str, tmp_path: Path) -> None:
    scan = volume(kind)
    original = explanation(scan, (0, 0, 0))
    original.save(tmp_path / "map.nii.gz")
    image = nibabel.load(tmp_path / "map.nii.gz")
    assert np.abs(image.affine - scan.affine).max() <= 1e-4
    assert np.array_equal(image.get_fdata(dtype=np.float32), original.map)
    form = image.get_qform(coded=True)
    if kind == "sheared":
        assert form[1] == 0
    else:
        assert np.abs(form[0] - scan.affine).max() <= 1e-4


def test_pointing_tolerates_one_cell_along_each_axis_and_no_more() -> None:
    scan = volume("axial")
    for peak, hit in (
        ((0, 0, 0), True),
        ((17.9, 0, 0), True),
        ((18.1, 0, 0), False),
        ((0, 0, 29.9), True),
        ((0, 0, 30.1), False),
    ):
        assert points_at(explanation(scan, peak), (0, 0, 0), 10) is hit
    assert not points_at(explanation(scan, None), (0, 0, 0), 10)
