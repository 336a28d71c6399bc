"""Checkpoints: no pickle, whole or not at all, and a resumed run ends where an uninterrupted one does."""

from __future__ import annotations

import enum
import math
import pickletools
import random
from collections import OrderedDict
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import safetensors
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor

from medcls.config.settings import TrainSettings
from medcls.errors import RunError, StorageError
from medcls.training.checkpoints.files import SafeCheckpointIO
from medcls.training.optimizers import build_optimizer
from medcls.training.schedules import WarmPlateau, build_schedule

torch.set_num_threads(1)

IO = SafeCheckpointIO()


def assert_same(actual: Any, expected: Any) -> None:
    """Equal in type, order and every bit."""
    assert type(actual) is type(expected)
    if isinstance(expected, Tensor):
        assert actual.dtype == expected.dtype
        assert actual.shape == expected.shape
        assert actual.stride() == expected.stride()
        assert torch.equal(actual.isnan(), expected.isnan())
        assert torch.equal(actual.nan_to_num(), expected.nan_to_num())
    elif isinstance(expected, dict):
        assert [*map(type, actual)] == [*map(type, expected)]
        assert list(actual) == list(expected)
        for key in expected:
            assert_same(actual[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(actual, expected)
        assert actual.dtype == expected.dtype
    elif isinstance(expected, float) and math.isnan(expected):
        assert math.isnan(actual)
    else:
        assert actual == expected


def round_trip(value: dict[str, Any], path: Path) -> dict[str, Any]:
    IO.save_checkpoint(value, path)
    return IO.load_checkpoint(path)


def test_every_kind_of_value_comes_back_as_it_was(tmp_path: Path) -> None:
    shared = torch.arange(6.0)
    value = {
        "none": None,
        "flags": [True, False, 0, 1],
        "numbers": [2**70, -1, 0.1, -0.0, math.inf, -math.inf, math.nan, 5e-324],
        "text": 'ä "quoted" \u2028 ' + chr(0),
        "looks like a kind": {"is": "tensor", "key": "none"},
        "tuples": ((), (1, (2.0, None))),
        "empty": [[], {}, OrderedDict()],
        7: {0: "int key", (1, "a"): "tuple key", None: "no key", True: 1.0},
        "7": "text key beside a number's",
        "ordered": OrderedDict(b=1, a=2),
        "numpy": [np.float64(0.1), np.float32(0.1), np.int64(-3), np.bool_(True), np.float64("nan")],
        "arrays": [np.arange(6, dtype=np.uint32).reshape(2, 3), np.zeros((0, 3)), np.array(["a", "bc"]), np.array(1.5)],
        "tensors": [torch.tensor(3), torch.tensor(math.nan), torch.zeros(0, 2), torch.tensor([True, False])],
        "kinds": [torch.ones(2, dtype=kind) for kind in (torch.bfloat16, torch.float16, torch.float64, torch.uint8)],
        "shared": [shared, shared, shared[2:], shared[::2].clone()],
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "channels last 3-D": torch.randn(2, 3, 4, 5, 6).to(memory_format=torch.channels_last_3d),
        "path": Path("a") / "b",
        "generator": torch.get_rng_state(),
        "python generator": random.getstate(),
    }
    assert_same(round_trip(value, tmp_path / "a.ckpt"), value)


def test_a_state_dictionary_keeps_its_versions(tmp_path: Path) -> None:
    state = torch.nn.Sequential(torch.nn.BatchNorm1d(2)).state_dict()
    restored = round_trip({"state_dict": state}, tmp_path / "a.ckpt")["state_dict"]
    assert_same(restored, state)
    assert restored._metadata == state._metadata


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
)


@settings(deadline=None, max_examples=100)
@given(value=values)
def test_any_nesting_comes_back_as_it_was(value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.ckpt"
    assert_same(round_trip({"value": value}, path), {"value": value})


class Mode(enum.StrEnum):
    """Text to JSON, and yet not text."""

    MAX = "max"


class Custom:
    """A type that no checkpoint knows."""


@pytest.mark.parametrize(
    "value",
    [
        Custom(),
        Mode.MAX,
        {1, 2},
        len,
        torch.float32,
        np.array([Custom()]),
        torch.ones(2, 2).to_sparse(),
        torch.Size([1]),
    ],
)
def test_an_unknown_type_is_named_with_its_place_and_nothing_is_written(value: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"callbacks/mine/0: a checkpoint cannot hold") as caught:
        IO.save_checkpoint({"callbacks": {"mine": [value]}}, tmp_path / "a.ckpt")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    IO.save_checkpoint({"state_dict": {"w": torch.randn(50)}, "epoch": 3, "loops": {"x": [1, 2, 3]}}, path)
    whole = path.read_bytes()
    rng = random.Random(0)
    harmed = [whole[:cut] for cut in (0, 4, 8, 100, len(whole) - 1)] + [whole + b"x", b"\x80\x04K\x01."]
    for _ in range(200):
        place = rng.randrange(len(whole))
        harmed.append(whole[:place] + bytes([whole[place] ^ (1 << rng.randrange(8))]) + whole[place + 1 :])
    for data in harmed:
        path.write_bytes(data)
        with pytest.raises(RunError) as caught:
            IO.load_checkpoint(path)
        assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be read"):
        IO.load_checkpoint(tmp_path / "none.ckpt")


def test_a_fault_in_the_middle_of_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    IO.save_checkpoint({"epoch": 1}, path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for fault, error in ((full, StorageError), (killed, KeyboardInterrupt)):
        with monkeypatch.context() as patch:
            patch.setattr("medcls.files.os.fsync", fault)
            with pytest.raises(error):
                IO.save_checkpoint({"epoch": 2, "w": torch.zeros(1000)}, path)
        assert IO.load_checkpoint(path) == {"epoch": 1}
        assert [one.name for one in tmp_path.iterdir()] == ["last.ckpt"]


def test_removing_is_done_once_and_may_be_asked_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    IO.save_checkpoint({}, path)
    IO.remove_checkpoint(path)
    IO.remove_checkpoint(path)
    assert not path.exists()


class Tiny(lightning.LightningModule):
    """Learns a line, with a batch norm and dropout, and logs what the schedules watch."""

    def __init__(self, train: TrainSettings) -> None:
        super().__init__()
        self.train_settings = train
        self.network = torch.nn.Sequential(
            torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Flatten(), torch.nn.Linear(12, 2)
        )

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        return torch.nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor], _: int) -> None:
        self.log("tune_auc", self.network(batch[0]).mean())

    def on_validation_epoch_end(self) -> None:
        if isinstance(self.lr_schedulers(), WarmPlateau):
            # No rise but the first, so that the rate drops on both sides of the interruption.
            self.lr_schedulers().observe(-self.current_epoch)

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = build_optimizer(self, self.train_settings)
        return build_schedule(optimizer, self.train_settings, steps_per_epoch=3)


def fit(folder: Path, train: TrainSettings, *, epochs: int, resume: Path | None = None) -> lightning.Trainer:
    lightning.seed_everything(0, verbose=False)
    module = Tiny(train)
    generator = torch.Generator().manual_seed(0)
    data = torch.utils.data.TensorDataset(
        torch.randn(12, 1, 4, 4, generator=generator), torch.randint(0, 2, (12,), generator=generator)
    )
    loader = torch.utils.data.DataLoader(data, batch_size=4)
    best = ModelCheckpoint(folder, filename="best", monitor="tune_auc", mode="max")
    # Lightning's own save_last is only as new as the last of the best.
    last = ModelCheckpoint(folder, filename="last", enable_version_counter=False)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[best, last, EarlyStopping("tune_auc", mode="max", patience=50)],
        plugins=[IO],
    )
    trainer.fit(module, loader, loader, ckpt_path=resume)
    return trainer


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("schedule", ["cosine", "plateau", "one_cycle"])
def test_a_resumed_run_ends_with_the_very_weights_of_an_uninterrupted_one(schedule: str, tmp_path: Path) -> None:
    train = TrainSettings(schedule=schedule, epochs=4, step_epochs=1, learning_rate=0.01)
    whole = fit(tmp_path / "whole", train, epochs=4)
    fit(tmp_path / "cut", train, epochs=2)
    resumed = fit(tmp_path / "cut", train, epochs=4, resume=tmp_path / "cut" / "last.ckpt")
    assert resumed.current_epoch == 4
    assert_same(dict(resumed.lightning_module.state_dict()), dict(whole.lightning_module.state_dict()))
    one, other = (IO.load_checkpoint(tmp_path / name / "last.ckpt") for name in ("whole", "cut"))
    assert_same(one["optimizer_states"], other["optimizer_states"])
    assert_same(one["lr_schedulers"], other["lr_schedulers"])


@pytest.mark.filterwarnings("ignore")
def test_lightnings_checkpoints_hold_no_pickle_and_open_with_plain_safetensors(tmp_path: Path) -> None:
    fit(tmp_path, TrainSettings(epochs=2), epochs=2)
    path = tmp_path / "last.ckpt"
    with safetensors.safe_open(path, framework="pt") as opened:
        assert "state_dict/network.0.weight" in opened.keys()  # noqa: SIM118
        assert opened.metadata()["format"] == "medcls-checkpoint-1"
    data = path.read_bytes()
    assert not data.startswith((b"\x80", b"PK"))
    with pytest.raises(ValueError):
        list(pickletools.genops(data))
    checkpoint = IO.load_checkpoint(path)
    assert checkpoint["epoch"] == 1
    assert {"loops", "callbacks", "optimizer_states", "lr_schedulers", "state_dict"} <= set(checkpoint)


@pytest.mark.filterwarnings("ignore")
def test_what_lightning_saves_comes_back_as_torch_would_bring_it_back(tmp_path: Path) -> None:
    trainer = fit(tmp_path, TrainSettings(epochs=1), epochs=1)
    checkpoint = trainer._checkpoint_connector.dump_checkpoint()
    assert_same(round_trip(checkpoint, tmp_path / "a.ckpt"), checkpoint)
