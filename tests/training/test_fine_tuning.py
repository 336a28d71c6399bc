"""Ways to fine-tune: rates by depth, gradual unfreezing, teachers; a killed training of each goes on to the same weights."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from medcls.config import load_config
from medcls.config.sections.train import LoraSettings
from medcls.config.settings import ModelSettings, TrainSettings
from medcls.errors import ConfigError
from medcls.networks import ClassificationNetwork, build_network, freeze_blocks
from medcls.networks.freezing import freeze_for_epoch
from medcls.networks.low_rank import adapt
from medcls.training.distillation import Teaching
from medcls.training.module import ClassificationModule
from medcls.training.optimizers import build_optimizer
from medcls.training.schedules import build_schedule
from tests.factories.training import BASE, cases, tiny, train

torch.set_num_threads(1)

LONG = BASE.model_copy(update={"epochs": 4, "optimizer": "adamw", "learning_rate": 0.01})


def rates(network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, float]:
    names = {one: name for name, one in network.named_parameters()}
    return {names[one]: group["lr"] for group in optimizer.param_groups for one in group["params"]}


@pytest.mark.parametrize("name", ["resnet10", "densenet121", "convnext_tiny"])
def test_each_block_nearer_to_the_input_learns_more_slowly_by_one_factor(name: str) -> None:
    network = build_network(ModelSettings(name=name), dimensions=2, channels=1, classes=2)
    freeze_blocks(network, 1)
    settings = TrainSettings(layer_decay=0.5, learning_rate=0.08, weight_decay=0.1)
    optimizer = build_optimizer(network, settings)
    found = rates(network, optimizer)
    assert found.keys() == {key for key, one in network.named_parameters() if one.requires_grad}
    assert found["head.weight"] == found["head.bias"] == 0.08
    names = list(network.blocks)
    for distance, block in enumerate(reversed(names[1:]), 1):
        of_block = {
            found[f"backbone.{child}.{key}"]
            for child in network.blocks[block]
            for key, _ in network.backbone.get_submodule(child).named_parameters()
        }
        assert of_block == {0.08 * 0.5**distance}
    for group in optimizer.param_groups:  # norms and biases are not decayed at any depth
        assert {one.ndim > 1 for one in group["params"]} == {group["weight_decay"] > 0}


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "step", "plateau", "constant"])
def test_the_rates_keep_their_proportion_through_warm_up_and_schedule(schedule: str) -> None:
    network = tiny()
    settings = TrainSettings(layer_decay=0.5, schedule=schedule, warmup_epochs=2, epochs=6, step_epochs=1)
    optimizer = build_optimizer(network, settings)
    scheduler = build_schedule(optimizer, settings, steps_per_epoch=3)["lr_scheduler"]["scheduler"]
    seen = []
    for _ in range(6):
        found = rates(network, optimizer)
        assert found["backbone.0.weight"] == pytest.approx(found["head.weight"] / 4)
        assert found["backbone.3.weight"] == pytest.approx(found["head.weight"] / 2)
        seen.append(found["head.weight"])
        optimizer.step()
        if schedule == "plateau":
            scheduler.step()
            scheduler.observe(0.5)
        else:
            for _ in range(3):
                scheduler.step()
    assert len(set(seen)) > 1


def test_one_step_moves_each_block_by_its_part_of_the_plain_step(tmp_path: Path) -> None:
    """SGD without momentum: the same gradients, so the moves are those of one rate, times the factors."""
    settings = BASE.model_copy(update={"momentum": 0.0, "weight_decay": 0.0})
    start = dict(tiny().named_parameters())
    plain, graded = (
        dict(
            train(
                tmp_path / str(decay), settings.model_copy(update={"layer_decay": decay}), cases(4)
            ).named_parameters()
        )
        for decay in (1.0, 0.5)
    )
    for name, factor in {"head.weight": 1, "backbone.3.weight": 0.5, "backbone.0.weight": 0.25}.items():
        moved = plain[name] - start[name]
        assert moved.abs().max() > 1e-5
        torch.testing.assert_close(graded[name] - start[name], moved * factor, atol=1e-6, rtol=1e-3)


def test_the_last_layer_is_trained_first_and_then_a_block_more_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statistics of a frozen block's batch norm stay too."""
    states: list[dict[str, Tensor]] = []
    look = ClassificationModule.on_validation_epoch_end

    def looked(self: Any) -> None:
        states.append({name: one.clone() for name, one in self.network.state_dict().items()})
        look(self)

    monkeypatch.setattr(ClassificationModule, "on_validation_epoch_end", looked)
    states.append({name: one.clone() for name, one in tiny().state_dict().items()})
    train(tmp_path, LONG.model_copy(update={"unfreeze": 1, "epochs": 3}), cases(16))
    moved = [
        {name for name in before if not torch.equal(before[name], after[name])}
        for before, after in itertools.pairwise(states)
    ]
    head = {"head.weight", "head.bias"}
    last = {"backbone.3.weight", "backbone.3.bias"}
    assert moved[0] == head
    assert moved[1] == head | last
    assert moved[2] == set(states[0])


def test_blocks_that_the_config_freezes_stay_frozen() -> None:
    network = tiny()
    assert [freeze_for_epoch(network, epoch, every=2, least=1) for epoch in (0, 1, 2, 50)] == [
        ("stem", "block1"),
        ("stem", "block1"),
        ("stem",),
        ("stem",),
    ]


def test_without_blocks_nothing_can_be_unfrozen() -> None:
    network = tiny()
    network.blocks = {}
    with pytest.raises(ConfigError, match=r"train\.unfreeze: .*no blocks"):
        freeze_for_epoch(network, 0, every=1, least=0)
    with pytest.raises(ConfigError, match="the first block would be trained after 5 epochs, and there are 5"):
        load_config(None, (), {"train": {"unfreeze": 5, "epochs": 5}})


class _Killed(BaseException):
    """Stands for a kill -9: nothing in the package may catch it."""


@pytest.mark.parametrize(
    "way",
    [
        {"layer_decay": 0.5, "schedule": "cosine", "warmup_epochs": 1},
        {"unfreeze": 1},
        {"unfreeze": 2, "optimizer": "sgd", "average": "ema", "layer_decay": 0.7},
        {"teacher": "big"},
        {"lora": LoraSettings(rank=2), "average": "ema"},
    ],
)
@pytest.mark.parametrize("epoch", [1, 2])
def test_a_killed_training_goes_on_to_the_same_weights(
    way: dict[str, Any], epoch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, data = LONG.model_copy(update=way), cases(16)
    taught = torch.rand(16, 1, generator=torch.Generator().manual_seed(0)).numpy()
    parts: dict[str, Any] = {}
    if "teacher" in way:
        both = np.hstack([taught, 1 - taught])
        parts["teaching"] = Teaching.of(both, temperature=2, share=0.5, multilabel=False)

    def start() -> ClassificationNetwork:
        network = tiny()
        if settings.lora is not None:
            adapt(network, rank=2, alpha=4, seed=0)
        return network

    whole = train(tmp_path / "whole", settings, data, network=start(), **parts)
    step = ClassificationModule.training_step

    def killed(self: ClassificationModule, batch: Any, index: int) -> Any:
        if self.current_epoch == epoch and index == 1:
            raise _Killed
        return step(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(ClassificationModule, "training_step", killed)
        with pytest.raises(_Killed):
            train(tmp_path / "cut", settings, data, network=start(), **parts)
    resumed = train(tmp_path / "cut", settings, data, network=start(), **parts)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name
    last = [(tmp_path / folder / "checkpoints" / "last.ckpt") for folder in ("whole", "cut")]
    assert last[0].exists()
    states = [load(one)["state_dict"] for one in last]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def load(path: Path) -> dict[str, Any]:
    from medcls.training.checkpoints.files import SafeCheckpointIO

    return SafeCheckpointIO().load_checkpoint(path)
