"""A policy: each image gets a few of the allowed changes, by its own numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from medcls.config import load_config
from medcls.config.settings import AugmentationSettings, PolicySettings
from medcls.errors import ConfigError
from medcls.loading import Augmentation

torch.set_num_threads(1)

OPERATIONS = {"flip": ("x",), "rotate": 20.0, "noise": 0.1, "contrast": 0.3, "gamma": 0.3}


def policy(**given: object) -> Augmentation:
    return Augmentation(seed=3, **OPERATIONS, policy=PolicySettings(**given))  # type: ignore[arg-type]


def images(count: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((count, 2, 20, 16), dtype=np.float32))


def test_a_draw_is_changed_alike_in_any_batch_and_otherwise_in_every_epoch() -> None:
    batch, keys, augment = images(12), torch.arange(12) * 7, policy()
    whole = augment(batch, keys, epoch=2)
    for k in range(12):
        assert torch.equal(augment(batch[k : k + 1], keys[k : k + 1], epoch=2)[0], whole[k])
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(augment(batch[order], keys[order], epoch=2), whole[order])
    assert not torch.equal(augment(batch, keys, epoch=3), whole)


def test_each_image_has_so_many_of_the_allowed_changes_and_all_come_about_as_often() -> None:
    """Told by the changes that each alone would make: nothing else may have been done to the image."""
    batch, keys = images(1).expand(400, -1, -1, -1), torch.arange(400)
    found = policy(operations=1)(batch, keys, epoch=0)
    alone = {
        name: Augmentation(seed=3, **{name: value})(batch, keys, epoch=0)  # type: ignore[arg-type]
        for name, value in OPERATIONS.items()
    }
    by = {name: (found - one).abs().flatten(1).amax(1) < 1e-6 for name, one in alone.items()}
    counted = torch.stack(list(by.values()))
    assert counted.any(0).all()
    assert all(int(one.sum()) > 50 for one in by.values())  # 80 of each are expected


@pytest.mark.parametrize("magnitude", [0.1, 0.5])
def test_the_magnitude_bounds_every_change(magnitude: float) -> None:
    batch, keys = torch.ones(200, 1, 8, 8), torch.arange(200)
    augment = Augmentation(brightness=0.4, policy=PolicySettings(operations=1, magnitude=magnitude))
    shifts = (augment(batch, keys, epoch=0) - batch)[:, 0, 0, 0]
    assert 0.8 * 0.4 * magnitude < float(shifts.abs().max()) <= 0.4 * magnitude + 1e-6
    assert -0.1 < float(shifts.mean()) / (0.4 * magnitude) < 0.1


def test_all_operations_at_full_magnitude_are_the_plain_augmentation() -> None:
    batch, keys = images(6), torch.arange(6)
    whole = replace(policy(), policy=None)
    assert torch.equal(policy(operations=5)(batch, keys, epoch=1), whole(batch, keys, epoch=1))


def test_a_region_that_does_not_mirror_never_does() -> None:
    settings = AugmentationSettings(policy=PolicySettings(operations=3))
    chest = Augmentation.from_settings("lung", settings)
    assert chest is not None
    assert "flip" not in chest.operations
    steps = torch.linspace(0, 1, 64).expand(300, 1, 64, 64)  # brighter to the right, whatever is done to it
    changed = chest(steps.clone(), torch.arange(300), epoch=0)
    assert (changed[..., 40:].mean((1, 2, 3)) > changed[..., :24].mean((1, 2, 3))).all()
    endoscope = Augmentation.from_settings("stomach", settings)
    assert endoscope is not None
    assert "flip" in endoscope.operations


def test_more_changes_than_are_allowed_are_refused() -> None:
    only = {"rotate": 5, "scale": 0, "translate": 0, "noise": 0, "contrast": 0, "brightness": 0, "blur": 0}
    settings = load_config(None, (), {"augmentation": {**only, "policy": {}}}).augmentation
    with pytest.raises(ConfigError, match=r"policy\.operations: 2 changes for each image, and 1 are allowed: rotate"):
        Augmentation.from_settings("lung", settings)
