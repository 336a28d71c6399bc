"""The memory of a training is reckoned, without taking any, before anything is prepared."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from medcls.config import load_config
from medcls.config.settings import ModelSettings, NetworkName, TrainSettings
from medcls.errors import ConfigError
from medcls.networks import build_network
from medcls.preprocessing import build_recipe
from medcls.progress import Progress
from medcls.training.step_memory import counting_saved, memory_of, step_memory
from medcls.workflows.fitting import memory_check
from medcls.workflows.fitting.batch_size import one_step

GB = 10**9


@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet10", (40, 48)), ("resnet18", (16, 24, 16)), ("densenet121", (32, 32)), ("resnet50", (32, 32))],
)
def test_what_is_reckoned_is_what_autograd_keeps(name: NetworkName, size: tuple[int, ...]) -> None:
    network = build_network(ModelSettings(name=name), dimensions=len(size), channels=1, classes=2).train()
    reckoned = memory_of(network, (1, *size))
    assert next(network.parameters()).device.type == "cpu"
    with counting_saved() as saved:
        network(torch.randn(2, 1, *size))
    assert reckoned.saved == sum(saved.values()) // 2
    assert reckoned == step_memory(ModelSettings(name=name), dimensions=len(size), channels=1, size=size)


def checked(there: int, monkeypatch: pytest.MonkeyPatch, size: list[int], **train: Any) -> list[str]:
    monkeypatch.setattr(memory_check, "available_memory", lambda: there)
    changes = {"preprocessing": {"dimensions": len(size), "size": size}, "train": {"device": "cpu", **train}}
    config = load_config(None, (), changes)
    said: list[str] = []
    progress = Progress(quiet=True)
    progress.note = said.append  # type: ignore[method-assign]
    memory_check.check_room(config, build_recipe(config.region, config.preprocessing), progress)
    return said


@pytest.mark.parametrize("size", [[20_000, 20_000], [512, 512, 512]])
def test_what_cannot_fit_is_one_line_with_estimate_room_and_remedy(
    size: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError) as found:
        checked(32 * GB, monkeypatch, size)
    said = str(found.value)
    shape = " x ".join(map(str, size))
    assert f"16 cases of {shape} in densenet121" in said
    assert "TB of memory" in said
    assert "this machine has 32.0 GB available. Lower preprocessing.size" in said


def test_what_cannot_even_be_counted_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no machine has the memory for images of 1000000 x 1000000 x 1000000"):
        checked(GB, monkeypatch, [1_000_000] * 3)


def test_a_batch_that_fits_is_named_and_what_is_close_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    need = step_memory(ModelSettings(), dimensions=2, channels=1, size=(512, 512))
    with pytest.raises(ConfigError, match=r"Lower train\.batch_size to \d"):
        checked(need.estimate(8), monkeypatch, [512, 512], batch_size=64)
    assert checked(2 * need.estimate(16), monkeypatch, [512, 512]) == []
    (said,) = checked(need.estimate(16), monkeypatch, [512, 512])
    assert said.startswith("  warning: a training step needs about")
    assert checked(2 * need.estimate(2), monkeypatch, [512, 512], batch_size="auto") == []


def test_a_step_of_more_cases_than_there_are_is_told_where_it_was_asked_for() -> None:
    (said,) = one_step(TrainSettings(batch_size=1000), 30)
    assert said.startswith("train.batch_size asks for 1000 cases in a step, and there are 30 to train on")
    assert "train.batch_size with train.accumulate asks for 32" in one_step(TrainSettings(accumulate=2), 30)[0]
    assert one_step(TrainSettings(batch_size=30), 30) == one_step(TrainSettings(), 3) == ()
