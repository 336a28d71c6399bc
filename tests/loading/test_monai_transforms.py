"""MONAI's own random transforms: only names and parameters that are known, and the same change for the same draw."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch

from medcls.config import load_config
from medcls.config.monai_transforms import MONAI_TRANSFORMS
from medcls.config.settings import AugmentationSettings, MonaiTransform
from medcls.errors import ConfigError
from medcls.loading import Augmentation
from medcls.loading.monai_transforms import MonaiTransforms

torch.set_num_threads(1)

# What medcls decides itself, or what would change the shape.
_NOT_OFFERED = {"self", "device", "dtype", "lazy", "cache_grid", "keep_size", "kwargs", "grid_dtype"}
_OWN_SIZE = {"Rand2DElastic", "Rand3DElastic", "RandAffine"}  # their spatial_size is the output's
_NEEDED: dict[str, dict[str, Any]] = {
    "Rand2DElastic": {"spacing": [6, 6], "magnitude_range": [1, 2]},
    "Rand3DElastic": {"sigma_range": [2, 3], "magnitude_range": [10, 20]},
    "RandAffine": {"rotate_range": 0.3},
    "RandCoarseDropout": {"holes": 2, "spatial_size": 3},
    "RandCoarseShuffle": {"holes": 2, "spatial_size": 3},
    "RandRotate": {"range_x": 0.4},
    "RandScaleIntensity": {"factors": 0.3},
    "RandScaleIntensityFixedMean": {"factors": 0.3},
    "RandShiftIntensity": {"offsets": 0.3},
    "RandSmoothDeform": {"spatial_size": [16, 16, 16], "rand_size": [4, 4, 4], "def_range": 0.1},
    "RandSmoothFieldAdjustContrast": {"spatial_size": [16, 16, 16], "rand_size": [4, 4, 4]},
    "RandSmoothFieldAdjustIntensity": {"spatial_size": [16, 16, 16], "rand_size": [4, 4, 4]},
    "RandStdShiftIntensity": {"factors": 0.3},
    "RandZoom": {"min_zoom": 0.7, "max_zoom": 1.3, "mode": "trilinear", "padding_mode": "constant"},
}


def set_in_config(text: str) -> list[MonaiTransform]:
    return load_config(None, [f"augmentation.monai={text}"]).augmentation.monai


@pytest.mark.parametrize("name", MONAI_TRANSFORMS)
def test_the_table_has_the_parameters_of_monai(name: str) -> None:
    import monai.transforms

    taken = set(inspect.signature(getattr(monai.transforms, name)).parameters) - _NOT_OFFERED
    assert set(MONAI_TRANSFORMS[name]) == taken - ({"spatial_size"} if name in _OWN_SIZE else set())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MONAI_TRANSFORMS)
def test_every_transform_changes_a_draw_the_same_way_in_any_batch(name: str) -> None:
    flat = name == "Rand2DElastic"
    random = torch.Generator().manual_seed(0)
    images = torch.rand(3, 2, *([16] * (2 if flat else 3)), generator=random)
    chosen = MonaiTransform(name=name, **{"prob": 1.0, **_NEEDED.get(name, {})})
    before, global_state, torch_state = images.clone(), np.random.get_state()[1].copy(), torch.get_rng_state()
    augmentation = Augmentation(seed=4, monai=(chosen,))
    whole = augmentation(images, torch.arange(3), epoch=1)
    assert torch.equal(images, before)
    assert (np.random.get_state()[1] == global_state).all()
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert whole.shape == images.shape
    assert whole.dtype == torch.float32
    assert not torch.equal(whole, images)
    order = [2, 0]
    again = Augmentation(seed=4, monai=(chosen,))(images[order], torch.tensor(order), epoch=1)
    assert torch.equal(again, whole[order])
    assert type(whole) is torch.Tensor
    # A flip of all axes that always happens has nothing random about it.
    assert name == "RandFlip" or not torch.equal(augmentation(images, torch.arange(3), epoch=2), whole)


def test_they_run_one_after_the_other_each_by_its_own_numbers() -> None:
    chosen = set_in_config(
        "[{name: RandShiftIntensity, offsets: 1, prob: 1}, {name: RandShiftIntensity, offsets: 1, prob: 1}]"
    )
    images = torch.zeros(40, 1, 4, 4)
    once = Augmentation(monai=tuple(chosen[:1]))(images, torch.arange(40), epoch=0)[:, 0, 0, 0]
    twice = Augmentation(monai=tuple(chosen))(images, torch.arange(40), epoch=0)[:, 0, 0, 0]
    second = twice - once
    assert abs(float(torch.corrcoef(torch.stack([once, second]))[0, 1])) < 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{name: RandGibsNoise}]", "Did you mean 'RandGibbsNoise'"),
        ("[{name: RandGibbsNoise, alfa: 1}]", "Did you mean 'alpha'"),
        ("[{name: RandLambda, func: print}]", "no random transform 'RandLambda'"),
        ("[{name: Compose}]", "no random transform 'Compose'"),
        ("[{name: __class__}]", "no random transform"),
        ("[{name: RandGibbsNoise, prob: {a: 1}}]", "number, text, true, false, null"),
        ("[{prob: 1}]", "is missing"),
    ],
)
def test_a_wrong_name_or_value_is_one_line_with_the_nearest_right_one(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        set_in_config(text)
    assert "\n" not in str(caught.value)
    assert "augmentation.monai" in str(caught.value)


def test_what_monai_refuses_is_said_before_training() -> None:
    settings = AugmentationSettings(monai=[MonaiTransform(name="RandGibbsNoise", alpha=[3, 7, 9])])
    with pytest.raises(ConfigError, match=r"augmentation\.monai\.0: MONAI refuses"):
        Augmentation.from_settings("lung", settings)


def test_a_transform_that_fails_or_changes_the_shape_is_named() -> None:
    turned = MonaiTransforms([MonaiTransform(name="RandRotate90", prob=1.0, max_k=1)])
    with pytest.raises(ConfigError, match=r"'RandRotate90' makes \(1, 6, 8\) of an image of shape \(1, 8, 6\)"):
        turned(torch.zeros(1, 1, 8, 6), [1])
    field = MonaiTransform(name="RandSmoothFieldAdjustContrast", spatial_size=[9, 9], rand_size=[3, 3], prob=1.0)
    with pytest.raises(ConfigError, match="'RandSmoothFieldAdjustContrast' fails on an image") as caught:
        MonaiTransforms([field])(torch.zeros(1, 1, 8, 6), [1])
    assert "\n" not in str(caught.value)


def test_the_config_keeps_them_word_for_word(tmp_path: Any) -> None:
    from medcls.config import dump_config

    config = load_config(None, ["augmentation.monai=[{name: RandGibbsNoise, prob: 0.3, alpha: [0.2, 0.6]}]"])
    dump_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml").augmentation == config.augmentation
