"""Going on with a run: as it was, for more epochs, or with what it has."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from medcls.config import Config, dump_config, load_config
from medcls.errors import RunError
from medcls.files import write_csv, write_json
from medcls.runs.changed_files import changed_files, write_sums
from medcls.runs.folder import Run, new_run
from medcls.training import BEST, FITTED
from medcls.training.history import COLUMNS
from medcls.workflows.commands.train import finish_run, train_run
from medcls.workflows.fitting.resume import CHANGES, end_here, go_on, how_it_went_on
from tests.factories.runs import Pictures, make_pictures, rows, settings


class _Killed(BaseException):
    """Stands for a kill -9: nothing in the package may catch it."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    return make_pictures(tmp_path_factory.mktemp("pictures"))


def begun(folder: Path, *, epochs: int, finished: bool = True, **train: Any) -> Run:
    """A run as its files say it is, without a training."""
    run = Run(folder / "lung")
    config = load_config(None, (), {"name": "lung", "runs": folder, "train": train})
    dump_config(config, run.config_file)
    write_csv(run.path / "history.csv", COLUMNS, [{"epoch": number + 1} for number in range(epochs)])
    run.checkpoints.mkdir()
    (run.checkpoints / BEST).write_bytes(b"")
    if finished:
        write_json(run.checkpoints / FITTED, {"epochs": epochs})
        write_json(run.metrics_file, {})
        run.report_file.write_text("", encoding="utf-8")
    return run


def asked(run: Run, **train: Any) -> Config:
    kept = run.load_config()
    return kept.model_copy(update={"train": kept.train.model_copy(update=train)})


def test_a_finished_run_says_where_its_report_is_and_how_to_train_longer(tmp_path: Path) -> None:
    run = begun(tmp_path, epochs=40)
    with pytest.raises(RunError, match=r"finished, its report is .*report\.html.*--resume --set train\.epochs=N"):
        go_on(run, asked(run))
    with pytest.raises(RunError, match=r"is finished.*longer"):
        new_run(tmp_path, "lung", exact=True)  # not: go on with --resume
    with pytest.raises(RunError, match="finished already"):
        end_here(run)


@pytest.mark.parametrize(
    ("done", "kept", "wanted", "words"),
    [
        (40, {}, {"epochs": 60, "learning_rate": 0.1}, r"train\.learning_rate is 0\.1, it was 0\.0003"),
        (40, {}, {"epochs": 30}, "40 epochs are trained"),
        (22, {}, {"epochs": 60}, "stopped after epoch 22.*not got better for 12 epochs"),
        (40, {"schedule": "one_cycle"}, {"epochs": 60}, "cannot be lengthened"),
    ],
)
def test_what_cannot_be_lengthened_is_left_as_it_is(
    done: int, kept: dict[str, Any], wanted: dict[str, Any], words: str, tmp_path: Path
) -> None:
    run = begun(tmp_path, epochs=done, **kept)
    before = run.config_file.read_bytes()
    with pytest.raises(RunError, match=words):
        go_on(run, asked(run, **wanted))
    assert run.config_file.read_bytes() == before
    assert run.is_finished


def test_a_longer_run_is_open_again_and_says_so(tmp_path: Path) -> None:
    run = begun(tmp_path, epochs=40)
    write_sums(run.path)
    assert go_on(run, asked(run, epochs=60)).train.epochs == run.load_config().train.epochs == 60
    assert not run.is_finished
    assert changed_files(run.path) == ()
    assert not (run.checkpoints / FITTED).exists()
    (said,) = how_it_went_on(run.path)
    assert "from 40 to 60 epochs after epoch 40, after test had been evaluated" in said
    assert go_on(run, asked(run)).train.epochs == 60  # killed, and gone on with
    assert how_it_went_on(run.path) == (said,)


def test_folds_are_lengthened_and_ended_with_their_run(tmp_path: Path) -> None:
    run = Run(tmp_path / "lung")
    changes = {"name": "lung", "runs": tmp_path, "split": {"folds": 2}}
    dump_config(load_config(None, (), changes), run.config_file)
    for name in ("1-1", "1-2"):
        begun(run.folds, epochs=40)
        (run.folds / "lung").rename(run.folds / name)
    config = go_on(run, asked(run, epochs=60))
    assert [Run(run.folds / name).load_config().train.epochs for name in ("1-1", "1-2")] == [60, 60]
    assert not Run(run.folds / "1-1").is_finished
    assert end_here(run) == config
    assert (run.folds / "1-2" / "checkpoints" / FITTED).exists()
    shutil.rmtree(run.folds / "1-2")
    with pytest.raises(RunError, match="1 of 2 folds have no finished epoch"):
        end_here(run)


@pytest.mark.slow
def test_longer_with_a_constant_rate_is_the_training_that_had_all_epochs_and_a_stopped_one_can_end(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medcls.training.module import ClassificationModule

    train = {"epochs": 3, "patience": None, "schedule": "constant"}
    store = {"folder": tmp_path / "store"}
    whole = train_run(settings(pictures, tmp_path / "whole", train=train, store=store))
    step = ClassificationModule.training_step

    def killed(self: ClassificationModule, batch: Any, index: int) -> Any:
        if self.current_epoch == 2:
            raise _Killed
        return step(self, batch, index)

    config = settings(pictures, tmp_path / "runs", train=train, store=store)
    with monkeypatch.context() as patch:
        patch.setattr(ClassificationModule, "training_step", killed)
        with pytest.raises(_Killed):
            train_run(config)
    ended = finish_run(Run(tmp_path / "runs" / "small"))
    assert ended.is_finished
    assert len(rows(ended.path / "history.csv")) == 2
    assert "ended by hand after epoch 2 of 3" in ended.report_file.read_text(encoding="utf-8")
    (ended.path / CHANGES).unlink()
    longer = train_run(settings(pictures, tmp_path / "runs", train={**train, "epochs": 4}, store=store), resume=True)
    history = [row["train_loss"] for row in rows(longer.path / "history.csv")]
    assert history[:3] == [row["train_loss"] for row in rows(whole.path / "history.csv")]
    assert len(history) == 4
    assert changed_files(ended.path) == ()
    assert "lengthened from 3 to 4 epochs" in longer.report_file.read_text(encoding="utf-8")
