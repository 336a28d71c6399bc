"""A run is trained again from its folder, and every number that did not come back is named."""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from medcls.cli.commands import reproduce
from medcls.cli.exits import ending
from medcls.errors import MedclsError
from medcls.runs.changed_files import changed_files
from medcls.runs.folder import Run
from medcls.runs.reproduction import compare_runs
from medcls.workflows.commands.reproduce import Reproduced, reproduce_run
from medcls.workflows.commands.train import train_run
from tests.factories.runs import Pictures, make_pictures, rows, settings

QUICK = {"model": {"name": "smallcnn", "first_pool": True}, "train": {"epochs": 1}, "explanation": {"cases": 0}}


def trained(pictures: Pictures, folder: Path, key_folder: Path, **changes: Any) -> Run:
    own = {"privacy": {"key_file": key_folder / "key"}, "store": {"folder": key_folder / "store"}}
    given = {**changes, "train": {**QUICK["train"], **changes.pop("train", {})}}  # type: ignore[dict-item]
    return train_run(settings(pictures, folder, **{**own, **QUICK, **given}))


@pytest.fixture(scope="module")
def quick(pictures: Pictures, key_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(pictures, tmp_path_factory.mktemp("runs"), key_folder)


def test_the_same_machine_gives_every_bit_again(quick: Run) -> None:
    again = reproduce_run(quick)
    assert again.run.path == quick.path.parent / "small-again"
    comes_back(quick, again)
    document = json.loads((again.run.path / "reproduction.json").read_text(encoding="utf-8"))
    assert (document["came_back"], document["estimates"], document["cases"]) == (True, [], [])
    assert "to the bit" in (again.run.path / "reproduction.md").read_text(encoding="utf-8")
    assert not changed_files(again.run.path)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"split": {"folds": 2}}, marks=pytest.mark.slow),
        pytest.param({"ensemble": {"seeds": 2}}, marks=pytest.mark.slow),
        {"train": {"method": "probe", "batch_size": "auto"}},
    ],
    ids=["folds", "ensemble", "probe"],
)
def test_so_it_is_with_folds_members_and_probes(
    changes: dict[str, Any], pictures: Pictures, key_folder: Path, tmp_path: Path
) -> None:
    first = trained(pictures, tmp_path, key_folder, **changes)
    again = reproduce_run(first)
    comes_back(first, again)
    assert again.found.tensors > 2 * len(list(first.classifier_folder.rglob("*.safetensors")))


def comes_back(first: Run, again: Reproduced) -> None:
    assert again.run.is_finished
    assert (again.found.outcome, again.found.circumstances) == ("to the bit", ())
    assert again.found.n_cases == len(rows(first.predictions_file)) > 0
    page = html.unescape(again.run.report_file.read_text(encoding="utf-8"))
    shown = page[page.index('id="reproduction"') :]
    assert all(sentence in shown for sentence in again.found.sentences())
    assert 'id="reproduction"' not in first.report_file.read_text(encoding="utf-8")


def test_what_another_seed_changes_is_told_number_by_number(quick: Run, pictures: Pictures, key_folder: Path) -> None:
    split = {"split": {"seed": 0}}
    other = trained(pictures, quick.path.parent, key_folder, seed=7, name="seven", **split)
    found = compare_runs(quick, other)
    assert {one.name for one in found.circumstances} == {"seed", "split.seed"}
    before, now = ({row["case"]: row for row in rows(one.predictions_file)} for one in (quick, other))
    apart = {case: abs(float(before[case]["p_ill"]) - float(now[case]["p_ill"])) for case in before}
    assert {one.case: one.largest for one in found.cases} == pytest.approx(apart)
    decided = {case for case in before if before[case]["predicted"] != now[case]["predicted"]}
    assert {one.case for one in found.cases if one.decision} == decided
    weights = [load_file(one.classifier_folder / "weights.safetensors") for one in (quick, other)]
    largest = max(float((weights[0][name].double() - weights[1][name]).abs().max()) for name in weights[0])
    assert found.largest_weight == pytest.approx(largest)
    brier = next(one for one in found.estimates if one.name == "test.brier")
    first, again = quick.metrics["test"]["brier"], other.metrics["test"]["brier"]
    assert (brier.first["value"], brier.again["value"]) == (first["value"], again["value"])
    assert brier.within == (first["low"] <= again["value"] <= first["high"])
    assert found.came_back == all(one.within for one in found.estimates)


def metric(run: Run, change: Callable[[dict[str, Any]], None]) -> None:
    document = run.metrics
    change(document["test"]["brier"])
    run.metrics_file.write_text(json.dumps(document), encoding="utf-8")


def weight(run: Run) -> None:
    path = run.classifier_folder / "weights.safetensors"
    tensors = load_file(path)
    tensors["head.bias"] = tensors["head.bias"].nextafter(tensors["head.bias"] + 1)
    save_file(tensors, path)


def prediction(run: Run) -> None:
    text = run.predictions_file.read_text(encoding="utf-8")
    cell = rows(run.predictions_file)[0]["p_ill"]
    run.predictions_file.write_text(text.replace(cell, f"{float(cell) + 1e-9!r}", 1), encoding="utf-8")


@pytest.mark.parametrize(
    "change", [weight, prediction, lambda run: metric(run, lambda one: one.update(value=one["value"] + 1e-12))]
)
def test_one_bit_that_nothing_explains_is_no_reproduction(
    change: Callable[[Run], None], quick: Run, tmp_path: Path
) -> None:
    copy = Run(Path(shutil.copytree(quick.path, tmp_path / "copy")))
    assert compare_runs(quick, copy).outcome == "to the bit"
    change(copy)
    found = compare_runs(quick, copy)
    assert (found.outcome, found.came_back) == ("no", False)
    assert "nothing that is known of its making differs" in next(found.sentences())


def test_on_another_processor_a_metric_may_move_within_its_interval_and_not_beyond(quick: Run, tmp_path: Path) -> None:
    copy = Run(Path(shutil.copytree(quick.path, tmp_path / "copy")))
    told = json.loads((copy.path / "environment.json").read_text(encoding="utf-8"))
    (copy.path / "environment.json").write_text(json.dumps({**told, "processor": "another"}), encoding="utf-8")
    assert compare_runs(quick, copy).outcome == "to the bit"
    metric(copy, lambda one: one.update(value=one["high"]))
    within = compare_runs(quick, copy)
    assert within.outcome == "within the intervals"
    assert "processor: " in list(within.sentences())[-1]
    metric(copy, lambda one: one.update(value=one["high"] + 1e-6))
    beyond = compare_runs(quick, copy)
    assert beyond.outcome == "no"
    assert "outside its interval: test.brier" in " ".join(beyond.sentences())


def test_what_a_run_lacks_is_one_line_and_no_second_run(key_folder: Path, tmp_path: Path) -> None:
    pictures = make_pictures(tmp_path / "pictures")
    run = trained(pictures, tmp_path / "runs", key_folder)
    picture = pictures.folder / "image3.png"
    kept = picture.read_bytes()
    picture.unlink()
    lacking = {
        "1 of the run's 48 cases cannot be read any more": lambda: picture.unlink(missing_ok=True),
        "cases.csv": lambda: (picture.write_bytes(kept), pictures.table.rename(tmp_path / "away.csv")),
        "is not finished": run.report_file.unlink,
    }
    for words, lose in lacking.items():
        lose()
        with pytest.raises(MedclsError, match=words):
            reproduce_run(run)
        assert [one.name for one in run.path.parent.iterdir()] == ["small"]


def test_another_picture_under_the_same_name_is_told(quick: Run, tmp_path: Path) -> None:
    copy = Run(Path(shutil.copytree(quick.path, tmp_path / "copy")))
    pixels = rows(quick.path / "cohort.csv")[3]["pixels"]
    text = (copy.path / "cohort.csv").read_text(encoding="utf-8")
    (copy.path / "cohort.csv").write_text(text.replace(pixels, "V0123456789ab"), encoding="utf-8")
    (told,) = compare_runs(quick, copy).circumstances
    assert str(told) == "pixels of cases: 48 cases, now 1 with other pixels"


def test_the_exit_code_says_whether_it_came_back(
    quick: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Run(Path(shutil.copytree(quick.path, tmp_path / "copy")))
    weight(copy)
    for other, code in ((quick, 0), (copy, 1)):
        ended = Reproduced(other, compare_runs(quick, other))
        monkeypatch.setattr("medcls.workflows.commands.reproduce.reproduce_run", lambda *_, ended=ended, **__: ended)
        assert ending(reproduce, quick.path) == code
        assert ("did not come back" in capsys.readouterr().out) == bool(code)
