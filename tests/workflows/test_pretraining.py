"""Pretraining as a user meets it: whom it learns on, what it leaves, and what a training makes of it."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import medcls
from medcls.cohort.leakage.gate import LeakageError
from medcls.config import Config, load_config
from medcls.errors import CohortError, ConfigError, MedclsError, NothingToDo, RunError
from medcls.files import read_csv
from medcls.networks.pretrained.record import PretrainingRecord, record_in
from medcls.networks.pretrained.tensor_files import read_tensors
from medcls.preprocessing import build_recipe
from medcls.pretraining.module import PretrainingModule
from medcls.progress import SILENT, Progress
from medcls.runs.folder import Run
from medcls.workflows.commands.plan import plan_training
from medcls.workflows.commands.pretrain import Pretrained, pretrain_weights
from medcls.workflows.commands.train import train_run
from medcls.workflows.commands.whose import Origin, lead_back
from medcls.workflows.fitting.fit_classifier import start_network
from tests.factories.runs import Pictures, make_pictures, names_stay_home, rows, settings
from tests.factories.site_weights import write_index

TINY: Mapping[str, Any] = {
    "preprocessing": {"size": [16, 16]},
    "model": {"name": "smallcnn", "first_pool": True},
    "train": {"epochs": 1, "loggers": []},
    "explanation": {"cases": 0},
}


class _Killed(BaseException):
    """Stands for a kill -9: nothing in the package may catch it."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    return make_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def made(pictures: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Pretrained:
    return pretrain_weights(asked(pictures, tmp_path_factory.mktemp("runs")))


def asked(pictures: Pictures, runs: Path, **changes: Any) -> Config:
    values = dict(changes)
    for section, own in {**TINY, "pretrain": {"epochs": 2, "batch_size": 8}}.items():
        values[section] = {**own, **changes.get(section, {})}
    return settings(pictures, runs, **values)


def record_of(made: Pretrained) -> PretrainingRecord:
    record = record_in(read_tensors(made.weights).metadata, "weights")
    assert record is not None
    return record


def told(work: Any) -> str:
    stream = io.StringIO()
    work(Progress(stream=stream))
    return stream.getvalue()


def test_it_learns_on_the_training_cases_alone_and_names_nobody(made: Pretrained, pictures: Pictures) -> None:
    record, kept = record_of(made), read_csv(made.path / "training-cases.csv")
    assert len(record.cases) == made.record["scans"] == len(kept) == 32
    assert record.patients == 16
    assert list(record.cases) == [row["case"] for row in kept]
    names_stay_home(Run(made.path), pictures)
    assert not (made.path / "config.yaml").exists()  # it is no run
    assert [row["epoch"] for row in rows(made.path / "history.csv")] == ["1", "2"]
    assert "by simsiam" in made.summary


def test_its_weights_are_the_start_of_a_training_to_the_bit(made: Pretrained, pictures: Pictures) -> None:
    config = asked(pictures, Path("runs"), model={"weights": str(made.path)})
    recipe = build_recipe(config.region, config.preprocessing)
    said = told(lambda progress: start_network(config, recipe, 2, progress))
    assert "pretrained on 32 scans of 16 patients without labels, by simsiam" in said
    network = start_network(config, recipe, 2)
    random = start_network(asked(pictures, Path("runs")), recipe, 2)
    file, now, before = read_tensors(made.weights).tensors, network.state_dict(), random.state_dict()
    assert file.keys() == {name for name in now if name.startswith("backbone.")}
    assert all(torch.equal(now[name], tensor) for name, tensor in file.items())
    assert not any(torch.equal(now[name], before[name]) for name in file if name.endswith("0.0.weight"))
    assert torch.equal(now["head.weight"], before["head.weight"])


def test_a_training_on_it_says_so_and_later_evaluations_know_whom_it_saw(
    made: Pretrained, pictures: Pictures, tmp_path: Path
) -> None:
    run = train_run(asked(pictures, tmp_path, model={"weights": str(made.path)}, split={"train_part": 0.5}))
    started = json.loads((run.classifier_folder / "classifier.json").read_text())["provenance"]["starting_weights"]
    assert started["trained_on"] == "32 scans of 16 patients without labels, by simsiam"
    known = {row["case"] for row in rows(run.path / "training-cases.csv")}
    assert known >= set(record_of(made).cases)  # those too that were not trained on
    cohort = {row["case"] for row in rows(run.path / "cohort.csv")}
    assert len(known - cohort) > 0


def test_the_same_seed_gives_the_same_bits_and_a_killed_one_goes_on_to_them(
    made: Pretrained, pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, steps = PretrainingModule.training_step, []

    def killed(module: PretrainingModule, *given: Any) -> Any:
        steps.append(1)
        if len(steps) == 6:  # in the second epoch of four steps
            raise _Killed
        return step(module, *given)

    config = asked(pictures, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(PretrainingModule, "training_step", killed)
        with pytest.raises(_Killed):
            pretrain_weights(config)
    assert not (tmp_path / "small-pretrained" / "weights.safetensors").exists()
    with pytest.raises(RunError, match=r"config has changed.*pretrain\.epochs is 3, it was 2"):
        pretrain_weights(asked(pictures, tmp_path, pretrain={"epochs": 3}), resume=True)
    again = pretrain_weights(config, resume=True)
    assert again.path == tmp_path / "small-pretrained"
    assert again.weights.read_bytes() == made.weights.read_bytes()
    other = pretrain_weights(asked(pictures, tmp_path, seed=1, split={"seed": 0}), name="other")
    assert other.weights.read_bytes() != made.weights.read_bytes()
    with pytest.raises(RunError, match=r"'small-pretrained' is finished.*--run NAME"):
        pretrain_weights(config, resume=True)


def test_scans_of_tune_and_test_are_left_out_of_a_folder(made: Pretrained, pictures: Pictures, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    shutil.copytree(pictures.folder, folder)
    (folder / "cases.csv").unlink()
    config = asked(pictures, tmp_path, pretrain={"scans": folder, "method": "spark", "epochs": 1})
    found: list[Pretrained] = []
    said = told(lambda progress: found.append(pretrain_weights(config, progress=progress)))
    assert "16 scans left out, of patients, studies or images of tune or test" in said
    assert "48 of 48 scans to pretrain on name no patient" in said
    (one,) = found
    assert one.record["held_out"] == 16
    pixels = {row["pixels"] for row in record_of(one).cases.values()}
    assert pixels == {row["pixels"] for row in record_of(made).cases.values()}  # those of train, and no other
    excluded = rows(one.path / "excluded.csv")
    assert {row["code"] for row in excluded} == {"duplicate"}
    (places,) = lead_back([excluded[0]["case"]], Origin.of(one.path)).found.values()
    assert places[0].table is None
    assert places[0].scan is not None
    assert places[0].scan.parent == folder


def test_weights_that_saw_test_are_refused_or_marked(pictures: Pictures, tmp_path: Path) -> None:
    config = asked(pictures, tmp_path, data={"cases": None}, pretrain={"scans": pictures.folder, "epochs": 1})
    weights = str(pretrain_weights(config).path)
    wanted = {"model": {"weights": weights}}
    with pytest.raises(LeakageError, match=r"8 cases with identical pixels.*the pretrained network was trained"):
        train_run(asked(pictures, tmp_path, **wanted))
    run = train_run(asked(pictures, tmp_path, **wanted, split={"allow_leakage": "to see"}))
    cautions = run.metrics_file.read_text() + (run.path / "report.html").read_text()
    assert "It was allowed because: to see" in cautions
    assert "8 tune cases are of patients or images that the weights were pretrained on" in cautions


def test_a_plan_takes_the_network_from_the_weights_or_asks_for_it(
    made: Pretrained, pictures: Pictures, tmp_path: Path
) -> None:
    def plan(weights: Path) -> Mapping[str, Any]:
        values = {"data": {"cases": pictures.table}, "positive": "ill", "preprocessing": {"size": [16, 16]}}
        values |= {"runs": tmp_path, "model": {"weights": str(weights)}}
        return {one.key: one.value for one in plan_training(load_config(None, (), values)).choices}

    found = plan(made.path)
    assert (found["train.method"], found["model.name"]) == ("full", "smallcnn")
    assert "ensemble.networks" not in found
    other = tmp_path / "other.safetensors"
    other.write_bytes(safetensors.torch.save({"weight": torch.zeros(1)}))
    with pytest.raises(ConfigError, match=r"does not say of which network.*model\.name"):
        plan(other)


def test_without_a_cohort_nobody_is_said_to_be_checked(pictures: Pictures, tmp_path: Path) -> None:
    shutil.copytree(pictures.folder, tmp_path / "scans", ignore=shutil.ignore_patterns("*.csv"))
    scans = {"scans": tmp_path / "scans", "epochs": 1}
    made = pretrain_weights(asked(pictures, tmp_path, data={"cases": None}, pretrain=scans))
    assert "left out for tune and test" not in made.summary
    assert "Caution: the config has no data" in made.summary
    assert made.record["held_out"] is None


def test_it_ends_in_time_with_its_weights(pictures: Pictures, tmp_path: Path) -> None:
    said: list[Pretrained] = []
    limited = asked(pictures, tmp_path, pretrain={"epochs": 50, "time_limit": "0.001 s"})
    text = told(lambda progress: said.append(pretrain_weights(limited, progress=progress)))
    assert "Ended after 1 of 50 epochs" in text
    assert said[0].record["epochs"] == 1
    assert said[0].weights.exists()


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"data": {"cases": None}}, ConfigError, "no scans are named to pretrain on"),
        ({"split": {"folds": 3}}, ConfigError, "every case is in some fold's test"),
        ({"data": {"cases": None}, "pretrain": {"scans": "nowhere"}}, MedclsError, "nothing at this path"),
        ({"model": {"name": "vit_s_16"}, "pretrain": {"method": "spark"}}, ConfigError, "Choose simsiam"),
        ({"pretrain": {"time_limit": "soon"}}, ConfigError, "a number and a unit"),
        ({"model": {"weights": "nowhere.pth"}}, MedclsError, "no such weights file"),
    ],
)
def test_what_cannot_be_pretrained_is_one_line_and_leaves_no_folder(
    changes: Mapping[str, Any], kind: type[MedclsError], words: str, pictures: Pictures, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=words) as raised:
        pretrain_weights(asked(pictures, tmp_path / "runs", **changes))
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "runs").glob("*")) if (tmp_path / "runs").exists() else True


@pytest.mark.parametrize("header", ["case,patient,scan", "case,patient,scan,label"])
def test_a_table_without_labels_is_refused_with_the_way_to_do_without(
    header: str, pictures: Pictures, tmp_path: Path
) -> None:
    table = tmp_path / "cases.csv"
    empty = "," if header.endswith("label") else ""
    lines = [f"c{n},p{n},{pictures.folder / f'image{n}.png'}{empty}" for n in range(4)]
    table.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    with pytest.raises(CohortError, match=r"--scans FOLDER, and leave data\.cases out") as raised:
        pretrain_weights(asked(pictures, tmp_path / "runs", data={"cases": table}))
    assert "\n" not in str(raised.value)
    table.write_text("case,label\na,ill\nb,well\n", encoding="utf-8")
    with pytest.raises(CohortError) as other:  # which is no lack of labels
        pretrain_weights(asked(pictures, tmp_path / "runs", data={"cases": table}))
    assert "--scans" not in str(other.value)


def test_a_silent_call_of_python_warns_of_what_was_learnt_in_vain(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medcls.pretraining.simsiam.COLLAPSED", 2.0)  # beyond any spread
    given = {"data": {"cases": pictures.table}, "positive": "ill", "runs": tmp_path, **TINY}
    with pytest.warns(UserWarning, match="pretraining COLLAPSED"):
        medcls.pretrain(run="silent", pretrain={"epochs": 1, "batch_size": 8}, **given)
    told(lambda progress: medcls.pretrain(run="said", pretrain={"epochs": 1}, progress=progress, **given))


def test_a_network_must_be_named(pictures: Pictures, tmp_path: Path) -> None:
    config = load_config(None, (), {"data": {"cases": pictures.table}, "runs": tmp_path / "runs"})
    with pytest.raises(ConfigError, match=r"model\.name: the config names no network.*--set model\.name=resnet18"):
        pretrain_weights(config)


def test_one_scan_is_too_few(pictures: Pictures, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    shutil.copy(pictures.folder / "image0.png", tmp_path / "one")
    config = asked(pictures, tmp_path, data={"cases": None}, pretrain={"scans": tmp_path / "one"})
    with pytest.raises(NothingToDo, match="1 scan to pretrain on, and two are the least"):
        pretrain_weights(config)


def test_a_file_of_the_site_keeps_whom_it_saw(
    made: Pretrained, pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(made.weights, tmp_path)
    own = {"name": "ours", "network": "smallcnn", "dimensions": 2, "file": made.weights.name}
    sha256 = hashlib.sha256(made.weights.read_bytes()).hexdigest()
    write_index(tmp_path, {**own, "sha256": sha256, "licence": "ours", "trained_on": "an archive"})
    monkeypatch.setenv("MEDCLS_WEIGHTS", str(tmp_path))
    config = asked(pictures, tmp_path, model={"weights": "ours"})
    started = start_network(config, build_recipe(config.region, config.preprocessing), 2).started_from
    assert started is not None
    assert started.record == record_of(made)
    assert started.to_json()["source"] == "ours"


def test_a_damaged_record_is_refused(made: Pretrained, pictures: Pictures, tmp_path: Path) -> None:
    tensors = dict(read_tensors(made.weights).tensors)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(safetensors.torch.save(tensors, {"medcls-pretraining": '{"method": "simsiam"}'}))
    config = asked(pictures, tmp_path, model={"weights": str(path)})
    with pytest.raises(MedclsError, match="record of pretraining is damaged"):
        start_network(config, build_recipe(config.region, config.preprocessing), 2, SILENT)


def test_another_key_and_other_values_are_said(made: Pretrained) -> None:
    record = record_of(made)
    assert record.remark(record.values) == ""
    assert record.remark("standard") == f"pretrained on other values ({record.values}, and these are standard)"
    assert record_in(record.to_metadata(), "") == record
    assert record_in({}, "") is None
