"""Augmentation: each draw by its own numbers, the same for the same seed, and never beyond what is set."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from torch import Tensor

from medcls.config.settings import AugmentationSettings, MonaiTransform
from medcls.errors import ConfigError
from medcls.loading import Augmentation
from medcls.loading.spatial import resample
from medcls.loading.values import blur

torch.set_num_threads(1)

FULL = Augmentation(
    seed=3,
    flip=("x", "y"),
    rotate=20,
    scale=0.2,
    translate=0.1,
    noise=0.1,
    contrast=0.3,
    brightness=0.2,
    blur=1.5,
    crop=0.3,
    elastic=1.0,
    elastic_spacing=4,
    gamma=0.3,
    bias_field=0.2,
    monai=(MonaiTransform(name="RandGibbsNoise", prob=0.5, alpha=[0.2, 0.6]),),
)
SHAPES = [(6, 2, 20, 16), (5, 1, 12, 10, 8)]


def images(shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).random(shape, dtype=np.float32))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_draw_is_changed_alike_in_any_batch(shape: tuple[int, ...]) -> None:
    batch, keys = images(shape), torch.arange(shape[0]) * 7
    whole = FULL(batch, keys, epoch=2)
    assert whole.shape == batch.shape
    assert torch.equal(whole, FULL(batch, keys, epoch=2))
    for k in range(shape[0]):
        assert torch.equal(FULL(batch[k : k + 1], keys[k : k + 1], epoch=2)[0], whole[k])
    order = torch.randperm(shape[0], generator=torch.Generator().manual_seed(0))
    assert torch.equal(FULL(batch[order], keys[order], epoch=2), whole[order])


@pytest.mark.parametrize("shape", SHAPES)
def test_seed_epoch_and_key_each_change_the_numbers(shape: tuple[int, ...]) -> None:
    batch, keys = images(shape), torch.arange(shape[0])
    base = FULL(batch, keys, epoch=0)
    other = replace(FULL, seed=4)
    for changed in (FULL(batch, keys, epoch=1), FULL(batch, keys + 100, epoch=0), other(batch, keys, epoch=0)):
        assert not any(torch.equal(a, b) for a, b in zip(changed, base, strict=True))


def test_the_global_random_state_is_neither_read_nor_moved() -> None:
    batch, keys = images(SHAPES[0]), torch.arange(6)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = FULL(batch, keys, epoch=0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(FULL(batch, keys, epoch=0), first)


def test_nothing_set_changes_nothing() -> None:
    for shape in SHAPES:
        batch = images(shape)
        assert torch.equal(Augmentation()(batch, torch.arange(len(batch)), epoch=0), batch)


@pytest.mark.parametrize(
    ("axis", "shape", "dimension"),
    [("x", SHAPES[0], -1), ("y", SHAPES[0], -2), ("x", SHAPES[1], -3), ("y", SHAPES[1], -2), ("z", SHAPES[1], -1)],
)
def test_a_flip_mirrors_its_own_axis_half_of_the_time(axis: str, shape: tuple[int, ...], dimension: int) -> None:
    one = images(shape)[:1]
    batch = one.expand(64, *one.shape[1:])
    changed = Augmentation(flip=(axis,))(batch, torch.arange(64), epoch=0)  # type: ignore[arg-type]
    mirrored = [torch.allclose(each, one[0].flip(dimension), atol=1e-5) for each in changed]
    same = [torch.allclose(each, one[0], atol=1e-5) for each in changed]
    assert sum(mirrored) + sum(same) == 64
    assert 16 <= sum(mirrored) <= 48


@pytest.mark.parametrize("axes", [2, 3])
def test_the_affine_interpolates_as_scipy_does(axes: int) -> None:
    shape = (15, 12, 9)[:axes]
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    image.flat[0] = 0  # the lowest value is what is outside
    turn = 0.3
    matrix = np.eye(axes)
    matrix[:2, :2] = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) * 1.1
    shift = np.array([1.5, -0.7, 0.4])[:axes]
    ours = resample(torch.from_numpy(image)[None, None], np.concatenate([matrix, shift[:, None]], axis=1)[None])[0, 0]
    middle = (np.array(shape) - 1) / 2
    expected = ndimage.affine_transform(image, matrix, middle - matrix @ middle + shift, order=1, mode="grid-constant")
    assert np.allclose(ours, expected, atol=1e-4)


def test_outside_lies_the_images_own_background() -> None:
    batch = torch.full((1, 2, 10, 10), -1.5)
    batch[:, 1] = 4
    changed = Augmentation(translate=0.9, rotate=45)(batch, torch.tensor([0]), epoch=0)
    assert torch.allclose(changed, batch, atol=1e-6)


def test_changes_stay_within_their_limits_and_use_them() -> None:
    batch = torch.zeros(200, 1, 16, 16)
    batch[:, :, ::2] = 1
    keys = torch.arange(200)
    shifted = Augmentation(brightness=0.3)(batch, keys, epoch=0) - batch
    assert 0.27 < float(shifted.abs().max()) <= 0.3 + 1e-6
    assert abs(float(shifted.mean())) < 0.05
    scaled = Augmentation(contrast=0.4)(batch, keys, epoch=0)
    factors = scaled.amax((1, 2, 3)) - scaled.amin((1, 2, 3))
    assert 0.6 - 1e-5 <= float(factors.min()) < 0.65
    assert 1.35 < float(factors.max()) <= 1.4 + 1e-5
    assert torch.allclose(scaled.mean((1, 2, 3)), batch.mean((1, 2, 3)), atol=1e-5)
    noisy = (Augmentation(noise=0.5)(batch, keys, epoch=0) - batch).std((1, 2, 3))
    assert float(noisy.max()) < 0.58
    assert 0.2 < float(noisy.mean()) < 0.3


def test_rotation_and_zoom_turn_a_mark_as_far_as_they_may() -> None:
    batch = torch.zeros(100, 1, 65, 65)
    batch[:, :, 31:34, 54:57] = 1  # right of the middle by 23
    y, x = torch.meshgrid(torch.arange(65.0) - 32, torch.arange(65.0) - 32, indexing="ij")

    def place(changed: Tensor) -> tuple[Tensor, Tensor]:
        weight = changed.sum((1, 2, 3))
        row, column = (changed * y).sum((1, 2, 3)) / weight, (changed * x).sum((1, 2, 3)) / weight
        return torch.rad2deg(torch.atan2(row, column)), torch.hypot(row, column)

    angles, _ = place(Augmentation(rotate=30)(batch, torch.arange(100), epoch=0))
    assert 27 < float(angles.abs().max()) <= 30.5
    assert abs(float(angles.mean())) < 5
    _, radii = place(Augmentation(scale=0.2)(batch, torch.arange(100), epoch=0))
    assert 0.79 < float(radii.min()) / 23 < 0.84
    assert 1.16 < float(radii.max()) / 23 < 1.21
    angles, radii = place(Augmentation(translate=0.1)(batch, torch.arange(100), epoch=0))
    assert float(radii.min()) > 16
    assert float(radii.max()) < 31


@pytest.mark.parametrize("shape", [(3, 2, 20, 16), (3, 1, 12, 10, 9)])
def test_blur_weighs_each_neighbour_by_the_gaussians_integral_over_it(shape: tuple[int, ...]) -> None:
    axes = len(shape) - 2
    batch, sigmas = images(shape), [[0.0] * axes, [0.8, 1.4, 0.5][:axes], [0.3, 0.0, 1.1][:axes]]
    blurred = blur(batch, sigmas)
    for image, done, sigma in zip(batch, blurred, sigmas, strict=True):
        expected = image.numpy()
        for axis, width in enumerate(sigma, 1):
            radius = int(3 * width + 0.5) or 1
            edges = stats.norm.cdf(np.arange(-radius - 0.5, radius + 1), scale=max(width, 1e-6))
            weights = np.diff(edges) / np.diff(edges).sum()
            expected = ndimage.correlate1d(expected, weights, axis=axis, mode="nearest")
        assert np.allclose(done, expected, atol=1e-5)


@pytest.mark.parametrize("region", ["lung", "brain", "stomach", "generic"])
def test_no_region_mirrors_left_and_right_where_they_differ(region: str) -> None:
    augmentation = Augmentation.from_settings(region, AugmentationSettings(), kind="ct", seed=5)  # type: ignore[arg-type]
    assert augmentation is not None
    assert augmentation.flip == ()
    assert augmentation.rotate > 0
    assert augmentation.seed == 5


def test_an_endoscope_may_be_mirrored_and_the_config_has_the_last_word() -> None:
    endoscopy = Augmentation.from_settings("stomach", AugmentationSettings())
    assert endoscopy is not None
    assert endoscopy.flip == ("x", "y")
    assert Augmentation.from_settings("lung", AugmentationSettings(enabled=False)) is None
    chosen = Augmentation.from_settings("stomach", AugmentationSettings(flip=["x"], rotate=0, noise=0.5))
    assert chosen is not None
    assert (chosen.flip, chosen.rotate, chosen.noise, chosen.blur) == (("x",), 0, 0.5, endoscopy.blur)
    with pytest.raises(ConfigError, match=r"augmentation\.flip"):
        Augmentation.from_settings("lung", AugmentationSettings(flip=["z"]), dimensions=2)


def test_half_precision_comes_back_as_it_went_in() -> None:
    batch = images(SHAPES[0]).to(torch.bfloat16)
    assert FULL(batch, torch.arange(6), epoch=0).dtype == torch.bfloat16
