"""What a machine lacks for a training is said before any scan is prepared."""

from __future__ import annotations

import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import loggers
from safetensors.torch import save_file

from medcls.config import load_config
from medcls.config.settings import ModelSettings
from medcls.errors import MedclsError, UsageError
from medcls.networks import build_network
from medcls.networks.pretrained import places
from medcls.runs import output_folder
from medcls.workflows.commands import plan
from medcls.workflows.commands.train import train_run
from medcls.workflows.data import prepare

CASES = "scan,label\n" + "".join(f"{n}.png,{'ill' if n % 2 else 'well'}\n" for n in range(24))


class PreparingBeganError(Exception):
    """Raised in place of preparing scans."""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of cases, on a machine without CUDA, without a network, and without the loggers that are extras."""

    def begin(*_: object, **__: object) -> None:
        raise PreparingBeganError

    def absent(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("no such package")

    def unreachable(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    (tmp_path / "cases.csv").write_text(CASES, encoding="utf-8")
    for number in range(24):
        (tmp_path / f"{number}.png").touch()
    monkeypatch.setattr(prepare, "prepare_material", begin)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(loggers, "MLFlowLogger", absent)
    monkeypatch.setattr(loggers, "TensorBoardLogger", absent)
    monkeypatch.setattr(places.urllib.request, "urlopen", unreachable)
    monkeypatch.setenv("MEDCLS_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path


def begun(machine: Path, **changes: Any) -> None:
    usual = {"data": {"cases": machine / "cases.csv"}, "positive": "ill", "runs": machine / "runs"}
    small = {"model": {"name": "resnet10"}, "preprocessing": {"size": [32, 32]}, "train": {"loggers": ["csv"]}}
    given = {name: {**small.get(name, {}), **value} for name, value in changes.items() if isinstance(value, dict)}
    train_run(load_config(None, (), {**usual, **small, **changes, **given}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train": {"device": "cuda"}}, "no CUDA device"),
        ({"train": {"precision": "16"}}, "needs a CUDA device"),
        ({"train": {"loggers": ["mlflow"]}}, r"pip install 'medcls\[mlflow\]'"),
        ({"train": {"loggers": ["tensorboard"]}}, "pip install tensorboard"),
        ({"model": {"name": "resnet18", "weights": "imagenet"}}, "resnet18-f37072fd.pth are not on this machine"),
        ({"model": {"weights": "medicalnet"}}, "3-D"),
        ({"model": {"freeze": 9}}, "9 blocks cannot be frozen"),
        ({"model": {"name": "densenet121"}, "preprocessing": {"size": [28, 28]}}, "at least 29 voxels"),
        ({"augmentation": {"monai": [{"name": "RandRotate90", "prob": 1, "spatial_axes": [0, 5]}]}}, "RandRotate90"),
    ],
)
def test_what_the_machine_lacks_is_said_before_preparing(changes: dict[str, Any], words: str, machine: Path) -> None:
    with pytest.raises(MedclsError, match=words):
        begun(machine, **changes)
    assert not (machine / "runs").exists()


_FLAT = {"kind": "other", "dimensions": 2, "size": [32, 32]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train": {"device": "cuda"}}, "no CUDA device"),
        ({"train": {"loggers": ["mlflow"]}}, r"pip install 'medcls\[mlflow\]'"),
        ({"preprocessing": _FLAT, "model": {"name": "resnet18", "weights": "imagenet"}}, "are not on this machine"),
        (
            {
                "preprocessing": {**_FLAT, "size": [40_000, 40_000]},
                "train": {"method": "full", "batch_size": 512},
            },
            "of memory",
        ),
    ],
)
def test_and_before_a_plan_looks_at_them(
    changes: dict[str, Any], words: str, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(*_: object) -> None:
        raise PreparingBeganError

    monkeypatch.setattr(plan, "_look", look)
    with pytest.raises(MedclsError, match=words):
        begun(machine, **changes)
    with pytest.raises(PreparingBeganError):  # what the plan may still choose is no fault
        begun(machine, preprocessing={"size": [40_000, 40_000]})


def test_weights_that_do_not_fit_or_are_damaged_are_refused_before_preparing(machine: Path) -> None:
    other = build_network(ModelSettings(name="resnet18"), dimensions=2, channels=1, classes=2)
    save_file(dict(other.state_dict()), machine / "other.safetensors")
    (machine / "cut.pth").write_bytes(b"PK\3\4 cut")
    for name, words in {"other.safetensors": "of another network", "cut.pth": "cut.pth"}.items():
        with pytest.raises(MedclsError, match=words):
            begun(machine, model={"weights": str(machine / name)})


def test_with_all_that_is_wanted_preparing_begins(machine: Path) -> None:
    own = build_network(ModelSettings(name="resnet10"), dimensions=2, channels=1, classes=5)
    save_file(dict(own.state_dict()), machine / "own.safetensors")
    with pytest.raises(PreparingBeganError):
        begun(machine, model={"weights": str(machine / "own.safetensors")})


def test_a_place_that_takes_no_files_is_refused_before_the_work(machine: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file, not a folder"):
        begun(machine, runs=tmp_path / "file" / "runs")
    with pytest.raises(UsageError, match="is a file, not a folder"):
        output_folder.results_folder(tmp_path / "file" / "out", tmp_path, ["predictions.csv"])
