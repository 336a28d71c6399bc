"""Whatever a recipe does to the grid, its affine says where each voxel is in the patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from medcls.config.settings import PreprocessingSettings
from medcls.preprocessing import Prepared, build_recipe
from medcls.preprocessing.steps.common.resampling import is_sheared, resample_to, straighten
from medcls.preprocessing.steps.common.step import affine_of, make_image
from medcls.scans import read_scan
from medcls.scans.core.scan import Scan
from tests.factories.scans import GEOMETRIES, LPS, affine, chest, planted

torch.set_num_threads(1)

# Half of full scale is brighter than the body and darker than the ball.
_SCALE = {"low": 0, "high": 1000}
_CROPS = {
    "whole": {"crop_foreground": False},
    "foreground": {"crop_foreground": True},
    "border": {"crop_foreground": False, "crop_border": True},
    "segmented": {"segment_foreground": True},
}


def bright_places(prepared: Prepared) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """World places of all voxels of all views ``(N, 3)``, and how far each is above half of full scale ``(N,)``."""
    places, weights = [], []
    for image, matrix in zip(prepared.images[:, 0].astype(float), prepared.affines, strict=True):
        index = np.stack(np.meshgrid(*[np.arange(n) for n in image.shape], indexing="ij"), axis=-1).reshape(
            -1, image.ndim
        )
        index = np.pad(index, ((0, 0), (0, 3 - image.ndim)))
        places.append(index @ matrix[:3, :3].T + matrix[:3, 3])
        weights.append(np.clip(image.ravel() - 0.5, 0, None))
    return np.concatenate(places), np.concatenate(weights)


def bright_centre(prepared: Prepared) -> NDArray[np.float64]:
    places, weights = bright_places(prepared)
    assert weights.sum() > 0
    return (places * weights[:, None]).sum(0) / weights.sum()


def half_a_voxel(prepared: Prepared, axes: int) -> float:
    return float(np.linalg.norm(prepared.affines[0, :3, :axes], axis=0).max()) / 2


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("mode", ["pad", "stretch", "crop"])
@pytest.mark.parametrize("spacing", [None, [1.7, 1.4, 2.0]])
@pytest.mark.parametrize("crop", _CROPS)
def test_a_planted_ball_is_found_in_the_world_from_a_volume(
    geometry: str, mode: str, spacing: list[float] | None, crop: str
) -> None:
    scan, centre = planted(GEOMETRIES[geometry])
    steps = {"scale": _SCALE, "resize": {"mode": mode}, **_CROPS[crop]}
    values = {"dimensions": 3, "size": [34, 30, 28], "spacing": spacing, "steps": steps}
    prepared = build_recipe("generic", PreprocessingSettings.model_validate(values)).prepare(scan)
    error = np.linalg.norm(bright_centre(prepared) - centre)
    assert error < half_a_voxel(prepared, 3)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize(
    ("mode", "plane"),
    [("pad", "axial"), ("pad", "coronal"), ("pad", "sagittal"), ("stretch", "acquired"), ("crop", "axial")],
)
def test_a_planted_ball_is_found_in_the_world_from_slices(geometry: str, mode: str, plane: str) -> None:
    scan, centre = planted(GEOMETRIES[geometry])
    steps = {"scale": _SCALE, "resize": {"mode": mode}, "orientation": {"plane": plane}, "crop_border": True}
    values = {"size": [44, 38], "slices": "all", "steps": steps}
    prepared = build_recipe("generic", PreprocessingSettings.model_validate(values)).prepare(scan)
    error = np.linalg.norm(bright_centre(prepared) - centre)
    assert error < half_a_voxel(prepared, 2)


@pytest.mark.parametrize("mode", ["pad", "stretch", "crop"])
@pytest.mark.parametrize("shape", [(80, 50), (30, 30), (41, 64)])
def test_a_planted_spot_is_found_in_a_picture(mode: str, shape: tuple[int, int]) -> None:
    spot = np.array([shape[0] * 0.6, shape[1] * 0.4])
    x, y = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    array = 30 + 220 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / 32)
    scan = Scan(array[None].astype(np.uint8), np.eye(4), has_geometry=False)
    values = {"size": [40, 44], "steps": {"resize": {"mode": mode}}}
    prepared = build_recipe("generic", PreprocessingSettings.model_validate(values)).prepare(scan)
    assert np.linalg.norm(bright_centre(prepared)[:2] - spot) < half_a_voxel(prepared, 2)


def test_a_sheared_scan_is_straightened_in_its_voxels_too() -> None:
    scan, centre = planted(GEOMETRIES["sheared"], sigma=5.0)
    assert is_sheared(scan.affine)
    values = {"dimensions": 3, "size": [40, 40, 40], "spacing": [1, 1, 1], "steps": {"scale": _SCALE}}
    prepared = build_recipe("generic", PreprocessingSettings.model_validate(values)).prepare(scan)
    matrix = prepared.affines[0]
    assert not is_sheared(matrix)
    # A ball is round: in the straight grid, voxel offsets along different axes do not go together.
    index = np.stack(np.meshgrid(*[np.arange(40)] * 3, indexing="ij"), axis=-1).reshape(-1, 3).astype(float)
    weights = np.clip(prepared.images[0, 0].astype(float).ravel() - 0.5, 0, None)
    middle = (index * weights[:, None]).sum(0) / weights.sum()
    offsets = index - middle
    spread = (offsets * weights[:, None]).T @ offsets / weights.sum()
    assert np.abs(spread - np.diag(np.diag(spread))).max() < 0.03 * spread.max()
    assert np.ptp(np.diag(spread)) < 0.1 * spread.max()
    assert np.allclose(matrix[:3, :3] @ middle + matrix[:3, 3], centre, atol=0.5)


def test_straightening_keeps_every_corner_of_the_scan_and_leaves_straight_ones_alone() -> None:
    matrix = GEOMETRIES["sheared"]
    image = make_image(torch.ones(1, 10, 12, 8), matrix)
    straight = straighten(image)
    corners = np.array([[x, y, z, 1.0] for x in (0, 9) for y in (0, 11) for z in (0, 7)])
    index = (np.linalg.inv(affine_of(straight)) @ matrix @ corners.T)[:3]
    assert (index > -0.5).all()
    assert (index < np.array(straight.shape[1:])[:, None] - 0.5).all()
    plain = make_image(torch.ones(1, 10, 12, 8), GEOMETRIES["oblique"])
    assert straighten(plain) is plain


def test_axial_slices_stand_upright_as_radiologists_show_them() -> None:
    # World: a mark at the patient's left front, in a volume stored the other way round on every axis.
    matrix = affine(np.diag([1.0, 1.0, 1.0]), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    array = np.zeros((1, 30, 30, 5), np.float32)
    array[0, 2:6, 24:28] = 1  # x small is left, y large is anterior in RAS+
    scan = Scan(array, matrix, modality="MR", kind="nifti")
    recipe = build_recipe("generic", PreprocessingSettings(size=[30, 30]))
    rows, columns = np.nonzero(recipe.prepare(scan).images[0, 0] > 0.5)
    assert rows.max() < 15  # front: top
    assert columns.min() > 15  # patient's left: right of the picture


def test_a_single_slice_is_shown_in_the_plane_it_was_taken_in() -> None:
    scan, _ = planted(GEOMETRIES["sagittal"])
    single = Scan(scan.array[..., 13:14], scan.affine, modality="MR", kind="nifti")
    recipe = build_recipe("generic", PreprocessingSettings(size=[36, 40]))
    image = recipe.prepare(single).images[0, 0].astype(float)
    # Columns to the back and rows to the feet is how it was stored, so nothing moved.
    stored = scan.array[0, :, :, 13].T
    low, high = np.percentile(stored, (0.5, 99.5))
    assert np.allclose(image, np.clip((stored - low) / (high - low), 0, 1), atol=2e-3)


def test_proportions_are_kept_in_millimetres_when_padding() -> None:
    matrix = affine(LPS, (0.5, 1.0, 4.0), (0.0, 0.0, 0.0))
    array = np.random.default_rng(0).random((1, 80, 40, 10), np.float32)
    scan = Scan(array, matrix, modality="MR", kind="nifti")
    values = {"dimensions": 3, "size": [32, 32, 32], "steps": {"scale": False}}
    prepared = build_recipe("generic", PreprocessingSettings.model_validate(values)).prepare(scan)
    spacing = np.linalg.norm(prepared.affines[0, :3, :3], axis=0)
    assert np.allclose(spacing, spacing[0], rtol=0.02)
    stretched = build_recipe(
        "generic", PreprocessingSettings.model_validate({**values, "steps": {"resize": {"mode": "stretch"}}})
    ).prepare(scan)
    assert np.allclose(np.linalg.norm(stretched.affines[0, :3, :3], axis=0), [40 / 32, 40 / 32, 40 / 32])


def test_cropping_to_the_body_leaves_air_away_and_never_the_patient() -> None:
    scan = chest()
    values = {"size": [48, 48, 24], "steps": {"spacing": False, "resize": {"mode": "stretch"}}}
    cropped = build_recipe("lung", PreprocessingSettings.model_validate(values)).prepare(scan)
    values["steps"]["crop_foreground"] = False  # type: ignore[index]
    whole = build_recipe("lung", PreprocessingSettings.model_validate(values)).prepare(scan)
    assert (cropped.images == 0).mean() < 0.6 * (whole.images == 0).mean()
    body = np.argwhere(scan.array[0] > -500)
    corners = np.concatenate([body.min(0)[None], body.max(0)[None]])
    world = corners @ scan.affine[:3, :3].T + scan.affine[:3, 3]
    index = (world - cropped.affines[0, :3, 3]) @ np.linalg.inv(cropped.affines[0, :3, :3]).T
    assert (index > -0.5).all()
    assert (index < np.array([48, 48, 24]) - 0.5).all()


def test_the_black_border_of_an_endoscope_is_cropped_and_letters_in_it_are_ignored() -> None:
    array = np.zeros((3, 120, 100), np.uint8)
    array[:, 30:90, 20:80] = 150
    array[:, 60, 50] = 151
    array[:, 2:8, 2:6] = 255
    scan = Scan(array, np.eye(4), has_geometry=False, photometric="rgb")
    prepared = build_recipe("stomach", PreprocessingSettings(size=[60, 60])).prepare(scan)
    assert np.allclose(prepared.images, 150 / 255, atol=5e-3)
    assert np.allclose(prepared.affines[0] @ [0, 0, 0, 1], [30, 20, 0, 1])
    black = Scan(np.zeros((3, 50, 50), np.uint8), np.eye(4), has_geometry=False, photometric="rgb")
    black.array[:, 25, 25] = 1  # below what a border may hold: all is border, and nothing is cropped
    assert build_recipe("stomach", PreprocessingSettings(size=[60, 60])).prepare(black).images.shape == (1, 3, 60, 60)


def test_resampling_agrees_with_block_means_and_keeps_lines() -> None:
    random = torch.rand(2, 24, 18, 12)
    smooth = torch.nn.functional.avg_pool3d(random, 5, 1, 2)
    halved = resample_to(make_image(smooth, np.eye(4)), (12, 9, 6)).as_tensor()
    means = torch.nn.functional.avg_pool3d(smooth, 2)
    assert float((halved - means)[:, 2:-2, 2:-2, 2:-2].abs().max()) < 0.03
    ramp = torch.arange(40.0).view(1, 40, 1, 1).expand(1, 40, 3, 3)
    for length in (17, 40, 93):
        changed = resample_to(make_image(ramp, np.eye(4)), (length, 3, 3))
        places = affine_of(changed)[0, 0] * np.arange(length) + affine_of(changed)[0, 3]
        inner = slice(length // 8, -(length // 8))
        assert np.allclose(changed.as_tensor()[0, inner, 1, 1], places[inner], atol=0.06)


def test_fine_texture_does_not_alias() -> None:
    stripes = torch.tensor([0.0, 1.0]).repeat(60).view(1, 120, 1, 1)
    shrunk = resample_to(make_image(stripes, np.eye(4)), (50, 1, 1)).as_tensor()
    assert float((shrunk - 0.5).abs().max()) < 0.1


@pytest.mark.parametrize(
    ("folder", "region"),
    [
        ("dicom/ct_chest_siemens_B40f_LungDx-A0002", "lung"),
        ("dicom/mr_brain_siemens_HFS", "brain"),
        ("dicom/mr_brain_siemens_HFDR", "brain"),
    ],
)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_real_scans_show_at_each_prepared_voxel_what_lies_at_its_place(
    shared_data: Path, folder: str, region: str, dimensions: int
) -> None:
    scan = read_scan(shared_data / folder)
    settings = PreprocessingSettings(dimensions=dimensions, slices=[3, 9])  # type: ignore[arg-type]
    prepared = build_recipe(region, settings).prepare(scan)  # type: ignore[arg-type]
    values = scan.array[0].astype(float)
    for image, matrix in zip(prepared.images[:, 0].astype(float), prepared.affines, strict=True):
        index = np.indices(image.shape).reshape(image.ndim, -1)
        index = np.pad(index, ((0, 4 - image.ndim), (0, 0)), constant_values=0)
        index[3] = 1
        stored = (np.linalg.inv(scan.affine) @ matrix @ index)[:3]
        inside = ((stored >= 0) & (stored <= np.array(values.shape)[:, None] - 1)).all(axis=0)
        assert inside.mean() > 0.3
        there = ndimage.map_coordinates(values, stored[:, inside], order=1)
        there = np.clip(there, -1000, 400) if region == "lung" else there
        # Two voxels away it would be below: the figure tells right places from nearly right ones.
        assert np.corrcoef(there, image.ravel()[inside])[0, 1] > 0.95
