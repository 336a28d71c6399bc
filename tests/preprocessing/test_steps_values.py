"""Grey values: held against MONAI, scikit-image and plain arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from medcls.config.settings import PreprocessingSettings
from medcls.preprocessing import build_recipe
from medcls.preprocessing.steps import STEPS
from medcls.preprocessing.steps.common.components import bounding_box, largest_parts
from medcls.preprocessing.steps.common.foreground import find_foreground
from medcls.preprocessing.steps.common.step import Context, make_image
from medcls.preprocessing.steps.denoise_nlm import noise_level
from tests.factories.scans import GEOMETRIES, ball, chest, picture, planted

torch.set_num_threads(1)

_BY_NAME = {step.name: step for step in STEPS}


def context(**changes: object) -> Context:
    plain = Context(
        flat=False, geometry=True, sized=True, hounsfield=False, full_scale=None, size=(8, 8, 8), channels=1
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def apply(
    name: str, values: NDArray[np.float32], where: Context | None = None, **parameters: object
) -> NDArray[np.float32]:
    step = _BY_NAME[name].model_validate(parameters)
    image = make_image(torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)), np.eye(4))
    return np.asarray(step.apply(image, where or context()).as_tensor().numpy())


def noise(shape: tuple[int, ...] = (1, 12, 11, 10), seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(100, 30, shape).astype(np.float32)


@given(low=st.floats(-2000, 500), width=st.floats(1, 4000))
@hypothesis_settings(max_examples=25, deadline=None)
def test_a_window_is_what_monai_makes_of_it(low: float, width: float) -> None:
    from monai.transforms import ScaleIntensityRange

    values = np.random.default_rng(1).uniform(-1500, 2500, (1, 6, 6, 6)).astype(np.float32)
    got = apply("window", values, context(hounsfield=True), windows=[[low, low + width]])
    expected = ScaleIntensityRange(low, low + width, 0, 1, clip=True)(values)
    assert np.array_equal(got, np.asarray(expected))
    assert np.allclose(got, np.clip((values - low) / width, 0, 1), atol=1e-4)


def test_a_whole_recipe_is_what_monai_makes_of_it() -> None:
    from monai.data import MetaTensor
    from monai.transforms import Compose, Orientation, Resize, ScaleIntensityRange

    scan = chest((64, 64, 32))
    values = {
        "size": [32, 32, 16],
        "steps": {"spacing": False, "crop_foreground": False, "resize": {"mode": "stretch"}},
    }
    ours = build_recipe("lung", PreprocessingSettings.model_validate(values)).prepare(scan)
    chain = Compose(
        [
            Orientation("RAS", labels=(("L", "R"), ("P", "A"), ("I", "S"))),
            ScaleIntensityRange(-1000, 400, 0, 1, clip=True),
            Resize((32, 32, 16), mode="area"),
        ]
    )
    theirs = chain(MetaTensor(torch.from_numpy(scan.array.astype(np.float32)), affine=torch.from_numpy(scan.affine)))
    assert np.allclose(ours.affines[0], theirs.affine.numpy())
    assert np.corrcoef(ours.images.astype(float).ravel(), theirs.numpy().ravel())[0, 1] > 0.99


def test_percentiles_are_what_monai_makes_of_them() -> None:
    from monai.transforms import ScaleIntensityRangePercentiles

    values = noise()
    expected = ScaleIntensityRangePercentiles(2, 95, 0, 1, clip=True)(values)
    assert np.allclose(apply("percentile", values, lower=2, upper=95), np.asarray(expected), atol=1e-6)


def test_a_rare_structure_is_not_cut_off_by_percentiles() -> None:
    mask = np.zeros((1, 20, 20, 20), np.float32)
    mask[0, 5:8, 5:8, 5:8] = 1
    assert np.array_equal(apply("percentile", mask), mask)
    assert np.array_equal(apply("scale", mask), mask)


def test_scale_takes_the_range_of_the_format_or_the_one_it_is_told() -> None:
    values = np.array([0, 51, 255], np.float32).reshape(1, 3, 1, 1)
    assert np.allclose(apply("scale", values, context(full_scale=255.0)).ravel(), [0, 0.2, 1])
    assert np.allclose(apply("scale", values, low=51, high=255).ravel(), [0, 0, 1])


def test_z_scores_are_taken_inside_the_head_alone() -> None:
    scan, _ = planted(GEOMETRIES["axial"])
    found = find_foreground(make_image(torch.from_numpy(scan.array), scan.affine), context(), longest=256)
    inside = found.full()
    block = np.zeros(scan.shape, bool)
    block[4:-4, 4:-4, 1:-1] = True
    assert (inside == block).mean() > 0.98
    scored = apply("zscore", scan.array, clip=None)
    assert abs(scored[0][inside].mean()) < 1e-4
    assert abs(scored[0][inside].std() - 1) < 1e-4
    brighter = apply("zscore", scan.array * 7 + 300, clip=None)
    assert np.allclose(scored, brighter, atol=1e-3)
    assert apply("zscore", scan.array, clip=2.0).max() == 2.0


def test_the_body_is_found_with_its_lungs_and_without_the_table() -> None:
    scan = chest()
    array = scan.array.astype(np.float32)
    array[0, 10:38, 46:47] = 200  # a table, apart from the body
    found = find_foreground(make_image(torch.from_numpy(array), scan.affine), context(hounsfield=True), longest=256)
    mask = found.full()
    x, y, _ = np.meshgrid(*[np.linspace(-1, 1, n) for n in scan.shape], indexing="ij")
    body = (x / 0.7) ** 2 + (y / 0.5) ** 2 < 1
    assert (mask == body).mean() > 0.98
    assert mask[:, 46].sum() == 0
    blanked = apply("segment_foreground", array, context(hounsfield=True))
    assert (blanked[0][~mask] == array.min()).all()
    assert np.array_equal(blanked[0][mask], array[0][mask])


def test_a_thinned_mask_covers_what_the_full_one_covers() -> None:
    scan = chest((200, 190, 40))
    image = make_image(torch.from_numpy(scan.array.astype(np.float32)), scan.affine)
    coarse = find_foreground(image, context(hounsfield=True), longest=64).full()
    fine = find_foreground(image, context(hounsfield=True), longest=256).full()
    assert coarse.shape == fine.shape == scan.shape
    assert (coarse == fine).mean() > 0.97


def test_boxes_and_parts() -> None:
    mask = np.zeros((10, 10), bool)
    mask[2:7, 3:8] = True
    mask[9, 9] = True
    assert bounding_box(largest_parts(mask, at_least=0.5), smallest=0.2) == ((2, 3), (7, 8))
    assert bounding_box(largest_parts(mask, at_least=0.01), smallest=0.2) == ((2, 3), (10, 10))
    assert bounding_box(mask, smallest=0.9) is None
    assert bounding_box(np.zeros((4, 4), bool), smallest=0.0) is None


@pytest.mark.parametrize("name", ["denoise_median", "denoise_gaussian", "denoise_nlm"])
@pytest.mark.parametrize("flat", [True, False])
def test_denoising_takes_noise_away_and_leaves_the_picture(name: str, flat: bool) -> None:
    shape = (32, 30, 1 if flat else 12)
    clean = 100 + 300 * ball(shape, np.eye(4), np.array([16.0, 15.0, shape[2] // 2]), 6.0)[None]
    noisy = clean + np.random.default_rng(0).normal(0, 20, clean.shape)
    done = apply(name, noisy.astype(np.float32), context(flat=flat))
    assert done.shape == clean.shape
    assert np.sqrt(((done - clean) ** 2).mean()) < 0.7 * np.sqrt(((noisy - clean) ** 2).mean())
    even = np.full((1, *shape), 7, np.float32)
    assert np.allclose(apply(name, even, context(flat=flat)), even, rtol=1e-5)


def test_a_median_in_slabs_is_the_median_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    values = noise((2, 20, 9, 8))
    whole = apply("denoise_median", values, radius=2)
    monkeypatch.setattr("medcls.preprocessing.steps.denoise_median._MOST_VALUES", 125 * 2 * 72 * 3)
    assert np.array_equal(apply("denoise_median", values, radius=2), whole)
    outlier = np.zeros((1, 9, 9, 9), np.float32)
    outlier[0, 4, 4, 4] = 1000
    assert apply("denoise_median", outlier).max() == 0


def test_the_noise_level_is_measured() -> None:
    flat = np.random.default_rng(0).normal(50, 8, (1, 100, 100)).astype(np.float32)
    assert abs(noise_level(flat) - 8) < 0.5
    ramp = np.tile(np.arange(100, dtype=np.float32), (1, 100, 1))
    assert noise_level(ramp) < 1e-6


@pytest.mark.parametrize("name", ["denoise_median", "denoise_gaussian", "denoise_nlm"])
def test_denoising_treats_the_channels_of_a_picture_alike(name: str) -> None:
    values = np.repeat(noise((1, 20, 18, 1)), 3, axis=0)
    done = apply(name, values, context(flat=True))
    assert done.shape == values.shape
    assert np.allclose(done[0], done[2], atol=1e-4)


def test_no_step_changes_the_image_it_is_given() -> None:
    for step in STEPS:
        if step.name == "n4":
            continue
        values = noise()
        apply(step.name, values)
        assert np.array_equal(values, noise()), step.name


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("flat", [True, False])
def test_clahe_is_scikit_images_slice_by_slice(channels: int, flat: bool) -> None:
    from skimage.exposure import equalize_adapthist

    values = np.random.default_rng(0).uniform(0.4, 0.6, (channels, 32, 24, 1 if flat else 3)).astype(np.float32)
    done = apply("clahe", values, context(flat=flat), tiles=4, clip_limit=0.02)
    assert done.shape == values.shape
    picture = values[..., 0]
    kernel = {"kernel_size": (8, 6), "clip_limit": 0.02}
    if channels == 3:
        expected = np.moveaxis(equalize_adapthist(np.moveaxis(picture, 0, -1), **kernel), -1, 0)
    else:
        expected = np.stack([equalize_adapthist(channel, **kernel) for channel in picture])
    assert np.allclose(done[..., 0], expected, atol=1e-5)
    assert done.std() > 2 * values.std()


def test_clahe_keeps_the_range_of_z_scores_and_an_even_image() -> None:
    scored = np.random.default_rng(0).normal(0, 1.5, (1, 24, 24, 2)).astype(np.float32)
    done = apply("clahe", scored)
    assert done.min() >= scored.min() - 1e-4
    assert done.max() <= scored.max() + 1e-4
    even = np.full((1, 16, 16, 2), 0.3, np.float32)
    assert np.array_equal(apply("clahe", even), even)


def test_gamma_brightens_the_middle_and_keeps_the_ends() -> None:
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 4, 4, 4)
    done = apply("gamma", values, gamma=0.5)
    assert np.allclose(done, np.sqrt(values), atol=1e-4)


def test_normalise_takes_imagenets_numbers_or_its_own() -> None:
    values = np.random.default_rng(0).uniform(0, 1, (3, 4, 4, 1)).astype(np.float32)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (values - mean.reshape(3, 1, 1, 1)) / std.reshape(3, 1, 1, 1)
    assert np.allclose(apply("normalise", values), expected, atol=1e-5)
    assert np.allclose(apply("normalise", values, mean=[0.5], std=[0.5]), values * 2 - 1, atol=1e-5)
    assert np.allclose(apply("normalise", values[:1]), (values[:1] - mean.mean()) / std.mean(), atol=1e-5)


def test_every_step_works_in_every_region_in_2d_and_3d() -> None:
    for step in STEPS:
        if step.name == "n4":
            continue
        flat = PreprocessingSettings(dimensions=2, size=[24, 24], steps={step.name: True})
        volume = PreprocessingSettings(dimensions=3, size=[20, 20, 16], steps={step.name: True})
        assert np.isfinite(build_recipe("brain", flat).prepare(picture()).images).all(), step.name
        assert np.isfinite(build_recipe("lung", volume).prepare(chest((24, 24, 10))).images).all(), step.name


def test_n4_evens_out_a_shaded_image() -> None:
    pytest.importorskip("SimpleITK")
    head = np.zeros((48, 48, 24))
    head[6:-6, 6:-6, 3:-3] = 500
    shade = np.linspace(0.6, 1.4, 48)[:, None, None]
    shaded = (head * shade + np.random.default_rng(0).normal(0, 5, head.shape))[None].astype(np.float32)
    done = apply("n4", shaded, shrink=2)
    inside = head > 0
    assert done[0][inside].std() / done[0][inside].mean() < 0.5 * shaded[0][inside].std() / shaded[0][inside].mean()
