"""A training that begins from a linear probe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from medcls.progress import SILENT
from medcls.runs.folder import Run
from medcls.training.device import Compute
from medcls.training.module import ClassificationModule
from medcls.workflows.commands.train import train_run
from medcls.workflows.data.prepare import prepare_material
from medcls.workflows.fitting import probe_classifier
from medcls.workflows.fitting.fit_classifier import start_network
from medcls.workflows.session import Session
from tests.factories.runs import Pictures, settings

torch.set_num_threads(1)


class _Killed(BaseException):
    """Stands for a kill -9: nothing in the package may catch it."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {"folder": tmp_path_factory.mktemp("store")}


def test_the_last_layer_alone_is_fitted_and_the_network_is_trained_from_there(
    pictures: Pictures, store: dict[str, Path], tmp_path: Path
) -> None:
    config = settings(pictures, tmp_path, model={"freeze": 1}, store=store)
    material = prepare_material(config)
    begun, probe = (start_network(config, material.recipe, 2) for _ in range(2))
    before = {name: tensor.clone() for name, tensor in begun.state_dict().items()}
    compute, session = Compute("cpu", "32-true", False), Session.of(config, SILENT)
    probe_classifier.head_start(material, begun, compute, session)
    probe_classifier.probe_classifier(material, probe, compute, session)
    after = begun.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"head.weight", "head.bias"}
    assert torch.equal(begun.head.weight, probe.head.weight)
    assert begun.training
    assert not any(module.training for module in begun.frozen_modules())
    images = torch.rand(4, 3, 32, 32)
    with torch.no_grad():  # what the training sees at its first step is what the layer was fitted to
        assert torch.equal(begun(images), probe.eval()(images))


@pytest.mark.slow
def test_a_killed_one_goes_on_without_fitting_anew(
    pictures: Pictures, store: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, Any] = {
        "train": {"head_start": "probe", "layer_decay": 0.5, "unfreeze": 1, "patience": None},
        "explanation": {"cases": 0},
        "evaluation": {"baseline": False},
        "store": store,
    }
    whole = train_run(settings(pictures, tmp_path / "whole", **changes))
    step = ClassificationModule.training_step

    def killed(self: ClassificationModule, batch: Any, index: int) -> Any:
        if self.current_epoch == 1 and index == 1:
            raise _Killed
        return step(self, batch, index)

    config = settings(pictures, tmp_path / "killed", **changes)
    with monkeypatch.context() as patch:
        patch.setattr(ClassificationModule, "training_step", killed)
        with pytest.raises(_Killed):
            train_run(config)
    assert not Run(tmp_path / "killed" / "small").is_finished
    with monkeypatch.context() as patch:
        patch.setattr(probe_classifier, "fit_probe", lambda *_, **__: pytest.fail("fitted anew"))
        resumed = train_run(config, resume=True)
    for name in ("classifier/weights.safetensors", "metrics.json", "predictions.csv"):
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    checklist = (whole.path / "checklists" / "claim-2024.md").read_text(encoding="utf-8")
    assert "the last layer began from a linear probe" in checklist
