"""A check says what a training would be, or what stops it, and leaves no run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import medcls
from medcls.cli.commands import train
from medcls.cli.exits import ending
from medcls.errors import CohortError, MedclsError
from medcls.runs.folder import Run
from medcls.training import fitting
from medcls.workflows.commands.check import Readiness, check_run
from medcls.workflows.commands.train import train_run
from tests.factories.runs import Pictures, rows, settings


def checked(pictures: Pictures, runs: Path, key_folder: Path, **changes: Any) -> Readiness:
    usual = {"privacy": {"key_file": key_folder / "key"}, "store": {"folder": key_folder / "store"}}
    return check_run(settings(pictures, runs, **usual, **changes))


def test_what_a_check_says_is_what_the_training_then_is(
    run: Run, pictures: Pictures, key_folder: Path, tmp_path: Path
) -> None:
    found = checked(pictures, tmp_path / "runs", key_folder)
    assert not (tmp_path / "runs").exists()
    assert found.run.name == run.name
    cohort = rows(run.path / "cohort.csv")
    for part in found.partitions:
        of_run = [row for row in cohort if row["partition"] == part.name]
        assert (part.cases, part.patients) == (len(of_run), len({row["patient"] for row in of_run}))
        assert part.by_label == {label: sum(row["reference"] == label for row in of_run) for label in ("ill", "well")}
    (training,) = found.trainings
    last = rows(run.path / "logs" / "csv" / "metrics.csv")[-1]
    assert training.epochs == 2
    assert training.computing.weights == "random"
    assert training.epochs * training.steps_per_epoch == int(last["step"]) + 1
    assert f"({training.epochs * training.steps_per_epoch} steps in all)" in dict(found.facts())["length"]


def test_steps_folds_and_members_are_those_of_the_config(pictures: Pictures, key_folder: Path, tmp_path: Path) -> None:
    plain = checked(pictures, tmp_path, key_folder).trainings[0]
    halved = checked(pictures, tmp_path, key_folder, train={"accumulate": 2}).trainings[0]
    assert halved.steps_per_epoch == -(-plain.steps_per_epoch // 2)
    folds = checked(pictures, tmp_path, key_folder, split={"folds": 2}).trainings
    assert [one.name for one in folds] == ["1-1", "1-2"]
    held_out = [part.cases for one in folds for part in one.partitions if part.name == "test"]
    assert sum(held_out) == 48
    members = checked(pictures, tmp_path, key_folder, ensemble={"networks": ["resnet10", "smallcnn"]}).trainings
    assert [one.name for one in members] == ["resnet10-0", "smallcnn-0"]
    probe = checked(pictures, tmp_path, key_folder, train={"method": "probe"})
    assert dict(probe.facts())["length"] == "a linear probe, without epochs"


def test_what_stops_a_training_stops_its_check_with_the_same_line(
    run: Run, pictures: Pictures, key_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pictures.table.read_text(encoding="utf-8").splitlines()
    partitions = ["split", *("train", "tune", "test") * 16]  # a patient's two images on two sides
    leaking = tmp_path / "leaking.csv"
    lines = (f"{line},{part}" for line, part in zip(table, partitions, strict=True))
    leaking.write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = {"data": {"cases": leaking, "root": pictures.folder}}
    monkeypatch.setattr(fitting, "fit", lambda *_: pytest.fail("a check trained"))
    said = []
    for verb in (check_run, train_run):
        with pytest.raises(CohortError) as stopped:
            verb(settings(pictures, tmp_path / "runs", name="leaking", **data))
        said.append(str(stopped.value))
    assert said[0] == said[1]
    assert [one.name for one in (tmp_path / "runs").iterdir()] == ["leaking-leaks.csv"]
    with pytest.raises(MedclsError, match="'small' exists"):
        check_run(settings(pictures, run.path.parent), name="small")


def test_a_case_that_is_left_out_is_said_by_its_pseudonym(pictures: Pictures, key_folder: Path, tmp_path: Path) -> None:
    table = pictures.table.read_text(encoding="utf-8") + "case48,patient-24,broken.png,ill\n"
    (tmp_path / "cases.csv").write_text(table, encoding="utf-8")
    (pictures.folder / "broken.png").write_bytes(b"no picture")
    data = {"cases": tmp_path / "cases.csv", "root": pictures.folder}
    (left_out,) = checked(pictures, tmp_path, key_folder, data=data).to_json()["excluded"]
    assert left_out["case"].startswith("C")
    assert "case48" not in str(left_out)


def test_from_python_it_takes_what_a_training_takes(pictures: Pictures, key_folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "small.yaml"
    config.write_text(
        f"positive: ill\ndata: {{cases: {pictures.table}}}\npreprocessing: {{size: [32, 32]}}\nruns: {tmp_path / 'r'}\n"
        f"store: {{folder: {key_folder / 'store'}}}\n",
        encoding="utf-8",
    )
    found = medcls.check_training(
        config, run="next", train={"epochs": 3, "precision": "32"}, model={"name": "resnet10"}
    )
    assert (found.run, found.trainings[0].epochs) == (tmp_path / "r" / "next", 3)
    assert not (tmp_path / "r").exists()


def test_the_last_line_says_ready_or_what_stops_it_and_the_exit_code_too(
    pictures: Pictures, key_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "small.yaml"
    config.write_text(
        f"positive: ill\ndata: {{cases: {pictures.table}}}\npreprocessing: {{size: [32, 32]}}\nmodel: resnet10\n"
        f"train: {{precision: 32}}\nruns: {tmp_path / 'r'}\nstore: {{folder: {key_folder / 'store'}}}\n",
        encoding="utf-8",
    )
    assert ending(train, config, check=True) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("Ready: ")
    assert ending(train, config, ["model.freeze=99"], check=True) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("medcls: model.freeze: 99 blocks cannot be frozen")
    assert ending(train, config, resume=True, check=True) == 2
    assert "--check" in capsys.readouterr().err
