"""A leak stops before hours of preparing where the table shows it, and all that it ties stands in a table beside the run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from medcls.cohort.cohort import LostLabelError
from medcls.cohort.leakage.gate import LeakageError
from medcls.config import load_config
from medcls.errors import StorageError
from medcls.files import read_csv
from medcls.progress import Progress
from medcls.scores.evaluate import ScoreOptions, evaluate_scores
from medcls.workflows.commands.train import train_run
from tests.factories.scores import binary_rows, write_table

Rows = list[dict[str, str]]
SIDES = ("train", "train", "tune", "test")


def cohort(folder: Path, change: Callable[[Rows], None] = lambda _: None) -> Path:
    """A table of 40 pictures of 40 patients, ten on each side but twenty in train."""
    folder.mkdir()
    rows = [
        {
            "case": f"case-{n}",
            "patient": f"MILLER-{n}",
            "scan": f"{n}.png",
            "label": "ill" if n // 4 % 2 else "well",
            "split": SIDES[n % 4],
        }
        for n in range(40)
    ]
    change(rows)
    for row in rows:
        Image.new("L", (8, 8), int(row["case"][5:])).save(folder / row["scan"])
    text = "\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)])
    (folder / "cases.csv").write_text(text + "\n", encoding="utf-8")
    return folder / "cases.csv"


def settings(tmp_path: Path, places: bool = False, **data: Any) -> Any:
    privacy = {"key_file": tmp_path / "key", "places": places}
    values = {"positive": "ill", "runs": tmp_path / "runs", "name": "lung", "store": {"folder": tmp_path / "store"}}
    return load_config(None, (), {**values, "privacy": privacy, "data": data})


def one_patient(rows: Rows) -> None:
    """Six patients of train are in test too."""
    for n in range(6):
        rows[4 * n + 3]["patient"] = rows[4 * n]["patient"]


def one_path(rows: Rows) -> None:
    rows[3]["scan"] = f"./{rows[0]['scan']}"


def one_path_in_two_words(rows: Rows) -> None:
    rows[3]["scan"], rows[3]["label"] = f"../data/{rows[0]['scan']}", "ill"


@pytest.mark.parametrize("change", [one_patient, one_path, one_path_in_two_words])
@pytest.mark.parametrize("folds", [None, 2])
def test_what_the_table_shows_stops_before_any_scan_is_read(
    change: Callable[[Rows], None], folds: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("a scan is looked at")

    for name in ("find_scans", "find_one", "read_scan"):
        monkeypatch.setattr(f"medcls.scans.{name}", read)
    for name in (
        "medcls.cohort.sources.locate.find_one",
        "medcls.cohort.sources.folder.find_scans",
        "medcls.scans.search.probe_many.probe_many",
    ):
        monkeypatch.setattr(name, read)
    config = settings(tmp_path, cases=cohort(tmp_path / "data", change))
    split = config.split.model_copy(update={"folds": folds})
    with pytest.raises(LeakageError):
        train_run(config.model_copy(update={"split": split}))
    assert not (tmp_path / "store").exists() or not list((tmp_path / "store").glob("??/*"))


@pytest.mark.parametrize(
    ("row", "said_of_it"),
    [(4, "has different reference labels: line 2 and line 6"), (1, "counts as 2 cases: line 2 and line 3")],
)
def test_one_scan_in_two_lines_is_said_before_any_scan_is_read(row: int, said_of_it: str, tmp_path: Path) -> None:
    from medcls.workflows.data.early_checks import look_first

    def twice(rows: Rows) -> None:
        rows[row]["scan"] = rows[0]["scan"]  # on one side

    said: list[str] = []
    progress = Progress(quiet=True)
    progress.note = said.append  # type: ignore[method-assign]
    look_first(settings(tmp_path, cases=cohort(tmp_path / "data", twice)), progress)
    assert said[-1] == f"  warning: one scan {said_of_it}"


def test_all_groups_stand_in_a_table_beside_the_run_without_names(tmp_path: Path) -> None:
    config = settings(tmp_path, cases=cohort(tmp_path / "data", one_patient))
    with pytest.raises(LeakageError) as stopped:
        train_run(config)
    path = tmp_path / "runs" / "lung-leaks.csv"
    assert f"and 3 more; all of them (6 groups) stand in {path}" in str(stopped.value)
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    rows, names = read_csv(path), config.privacy.pseudonyms()
    assert list(rows[0]) == ["group", "reason", "case", "patient", "side", "line"]
    assert rows == [
        {
            "group": str(n + 1),
            "reason": "the same patient",
            "case": names.case(f"case-{4 * n + add}"),
            "patient": names.patient(f"MILLER-{4 * n}"),
            "side": side,
            "line": str(4 * n + add + 2),
        }
        for n in range(6)
        for add, side in ((0, "train"), (3, "test"))
    ]
    assert "MILLER" not in path.read_text(encoding="utf-8") + str(stopped.value)


def test_paths_are_given_when_asked_and_else_the_way_back_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    for number in range(40):  # the first ill one of train is in test too
        label, side = "ill" if number % 2 else "well", SIDES[number // 2 % 4]
        place = folder / side / label / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").resize((32, 32)).rotate(9 * number).save(place)
    shutil.copy(folder / "train" / "ill" / "1.png", folder / "test" / "ill" / "again.png")
    for places in (False, True):
        with pytest.raises(LeakageError) as stopped:
            train_run(settings(tmp_path, places, folder=folder))
        rows = read_csv(tmp_path / "runs" / "lung-leaks.csv")
        if places:
            assert "(train/ill/1.png) in train" in str(stopped.value)
            assert [row["scan"] for row in rows] == ["test/ill/again.png", "train/ill/1.png"]
        else:
            assert "'medcls whose CODE --config FILE' says which scan a code is" in str(stopped.value)
            assert "scan" not in rows[0]


def test_where_no_table_can_be_written_the_leak_is_said_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageError("cannot write: no space left")

    monkeypatch.setattr("medcls.runs.leak_list.write_csv", full)
    with pytest.raises(LeakageError, match=r"the same patient.*could not be written: cannot write"):
        train_run(settings(tmp_path, cases=cohort(tmp_path / "data", one_patient)))


def test_a_table_of_scores_lists_the_rows_of_every_patient_on_two_sides(tmp_path: Path) -> None:
    rows = binary_rows(60)
    for index, row in enumerate(rows):
        row["partition"], row["patient"] = ("tune" if index % 2 else "test"), f"MILLER-{index // 2}"
    with pytest.raises(LeakageError, match="30 groups"):
        evaluate_scores(write_table(tmp_path / "s.csv", rows), ScoreOptions(positive="sick"), tmp_path / "out")
    listed = read_csv(tmp_path / "out-leaks.csv")
    assert len(listed) == 60
    assert {row["side"] for row in listed} == {"tune", "test"}
    assert "MILLER" not in (tmp_path / "out-leaks.csv").read_text(encoding="utf-8")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("split", [{}, {"folds": 2}])
def test_a_label_whose_files_are_refused_says_so_and_leaves_their_list(tmp_path: Path, split: dict[str, int]) -> None:
    for number in range(12):
        place = tmp_path / "scans" / ("ill" if number % 2 else "well") / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        if number % 2:
            place.write_text("no picture", encoding="utf-8")
        else:
            Image.linear_gradient("L").resize((32, 32)).rotate(9 * number).save(place)
    config = settings(tmp_path, folder=tmp_path / "scans")
    config = config.model_copy(update={"split": config.split.model_copy(update=split)})
    with pytest.raises(LostLabelError) as stopped:
        train_run(config)
    path = tmp_path / "runs" / "lung-excluded.csv"
    said = f"of this label 6 are left out, 6 as not-an-image; all that is left out stands in {path}"
    assert said in str(stopped.value)
    assert [row["code"] for row in read_csv(path)] == ["not-an-image"] * 6
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_leak_is_one_line_that_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(LeakageError) as stopped:
        train_run(settings(tmp_path, cases=cohort(tmp_path / "data", one_patient)))
    line = str(stopped.value).replace(str(tmp_path), "")
    assert line.count(" in train and ") == 3
    assert len(line) < 500
