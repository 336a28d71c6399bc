"""A training that diverges says so, with its epoch and what to lower, and keeps what it had learnt before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medcls.errors import TrainingDiverged
from medcls.files import read_csv
from medcls.training.module import ClassificationModule
from medcls.workflows.commands.train import train_run
from tests.factories.runs import make_pictures, settings


@pytest.mark.parametrize("good_epochs", [0, 1])
def test_a_training_that_diverges_keeps_history_and_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good_epochs: int
) -> None:
    pictures = make_pictures(tmp_path / "pictures")
    step = ClassificationModule.on_train_batch_start

    def broken(self: ClassificationModule, batch: object, index: int) -> None:
        step(self, batch, index)  # type: ignore[arg-type]
        if self.current_epoch == good_epochs:
            with torch.no_grad():
                self.network.head.weight.fill_(torch.nan)

    monkeypatch.setattr(ClassificationModule, "on_train_batch_start", broken)
    config = settings(pictures, tmp_path / "runs", train={"epochs": 3, "clip_norm": None})
    with pytest.raises(TrainingDiverged) as caught:
        train_run(config)
    line = str(caught.value)
    assert f"diverged in epoch {good_epochs + 1} of 3" in line
    assert "train.learning_rate (now" in line
    assert "train.clip_norm: 1.0" in line
    assert "\n" not in line
    (run,) = (tmp_path / "runs").iterdir()
    assert (run / "config.yaml").is_file()
    if good_epochs:
        assert [row["epoch"] for row in read_csv(run / "history.csv")] == ["1"]
        assert (run / "checkpoints" / "last.ckpt").is_file()
        assert (run / "checkpoints" / "best.ckpt").is_file()
        assert "up to epoch 1 are kept" in line
    else:
        assert "No epoch was finished" in line
