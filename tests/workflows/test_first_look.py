"""What config and table alone show to be wrong is said before torch is imported and before any scan is opened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from medcls.cohort.sources.paths import check_paths, leads_somewhere, missing_in_words, scan_path
from medcls.config import load_config
from medcls.errors import CohortError, ConfigError, MedclsError, StorageError
from medcls.files import cache_folder
from medcls.privacy import load_pseudonyms
from medcls.progress import Progress
from medcls.workflows.data.early_checks import look_first

_MANY = """
import contextlib, io, json, sys
from medcls.cli.app import main
found = []
for line in json.loads(sys.argv[1]):
    sys.argv = ["medcls", *line.split()]
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main()
    found.append([code, said.getvalue(), sorted({"torch", "monai", "lightning", "pandas"} & set(sys.modules))])
print(json.dumps(found))
"""


def table(folder: Path, lines: list[str], *, files: int = 0) -> Path:
    """A table of cases, and so many of the files that it may name."""
    path = folder / "cases.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for number in range(files):
        (folder / f"{number}.png").write_bytes(b"")
    return path


def looked(cases: Path, **changes: Any) -> None:
    look_first(
        load_config(None, (), {"positive": "ill", **changes, "data": {"cases": cases, **changes.get("data", {})}})
    )


def test_config_errors_are_said_before_torch_is_imported(tmp_path: Path) -> None:
    table(tmp_path, ["scan,label", "gone.png,ill", "gone2.png,well"])
    for name, text in {
        "key": "train: {epoch: 3}",
        "gone": "data: {cases: gone.csv}",
        "paths": "data: {cases: cases.csv}",
    }.items():
        (tmp_path / f"{name}.yaml").write_text(f"positive: ill\n{text}\n", encoding="utf-8")
    (tmp_path / "gone-scans.csv").write_text("scan\nct.nii.gz.nii.gz\n", encoding="utf-8")
    (tmp_path / "ct.nii.gz").touch()
    run = tmp_path / "runs" / "lung"
    (run / "classifier").mkdir(parents=True)
    (run / "config.yaml").write_text("region: lung\n", encoding="utf-8")
    (run / "classifier" / "classifier.json").write_text(
        json.dumps({"labels": ["ill", "well"], "positive": "ill", "multilabel": False}), encoding="utf-8"
    )
    lines = {
        "train -c key.yaml": "Did you mean 'train.epochs'",
        "train -c gone.yaml": "gone.csv",
        "train -c paths.yaml": "none of the 2 scans",
        "train -c paths.yaml --resume": "none of the 2 scans",
        "infer gone": "nothing at this path",
        "infer . --model lang": "Did you mean 'lung'",
        "explain gone --model lung": "nothing at this path",
        "explain . --model lang": "Did you mean 'lung'",
        "infer gone-scans.csv --model lung": "is not where the table says; looked first for ct.nii.gz.nii.gz (line 2).",
        "explain gone-scans.csv --model lung": "Did you mean 'ct.nii.gz'?",
        "evaluate lang": "Did you mean 'lung'",
        "evaluate lung --cases gone.csv": "no such table of other cases",
        "evaluate lung --cases runs": "this is a folder, and no table of other cases",
        "evaluate lung --cases cases.csv": "none of the 2 scans",
        "finish lang": "Did you mean 'lung'",
        "demo --region knee": "lung, brain, stomach",
    }
    result = subprocess.run(
        [sys.executable, "-c", _MANY, json.dumps(list(lines))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    for (line, words), (code, said, heavy) in zip(lines.items(), json.loads(result.stdout), strict=True):
        assert (code, said.count("\n"), heavy) == (2, 1, []), (line, said)
        assert words in said, line


def test_all_paths_wrong_shows_the_first_and_what_is_there(tmp_path: Path) -> None:
    cases = table(tmp_path, ["scan,label", "ct/a.png,ill", "ct/b.png,well"])
    with pytest.raises(CohortError) as found:
        looked(cases)
    said = str(found.value)
    assert f"none of the 2 scans is where the table says; looked first for {tmp_path / 'ct' / 'a.png'} (line 2)" in said
    assert f"There is a folder {tmp_path}, and no 'ct' in it" in said


@pytest.mark.parametrize(
    ("cell", "there", "words"),
    [
        ("ct\\a.png", "ct/a.png", "backslashes: ct/a.png"),
        ("C:\\data\\a.png", "a.png", "drive on Windows"),
        ("a.png", "ct/a.png", "from {folder}/ct on: set data.root"),
        ("ct/a.png", "a.png", "without its first folder"),
        ("ct/b.png", "ct/a.png", "There is a folder {folder}/ct, and no 'b.png' in it"),
    ],
)
@pytest.mark.skipif(os.sep != "/", reason="backslashes part folders there")
def test_the_likeliest_reason_of_wrong_paths_is_tried_out(cell: str, there: str, words: str, tmp_path: Path) -> None:
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_bytes(b"")
    with pytest.raises(CohortError) as found:
        looked(table(tmp_path, ["scan,label", f"{cell},ill", f"{cell}x,well"]))
    assert words.format(folder=tmp_path) in str(found.value)


def test_one_wrong_path_of_many_is_no_error_and_is_counted(tmp_path: Path) -> None:
    from medcls.cohort import read_cohort
    from medcls.progress import Progress

    lines = ["scan,label", *(f"{number}.png,{'ill' if number % 2 else 'well'}" for number in range(6)), "gone.png,ill"]
    cases = table(tmp_path, lines, files=6)
    config = load_config(None, (), {"positive": "ill", "data": {"cases": cases}})
    said: list[str] = []
    progress = Progress(quiet=True)
    progress.note = said.append  # type: ignore[method-assign]
    cohort = read_cohort(config, progress)
    assert f"1 of 7 scan paths leads nowhere: {tmp_path / 'gone.png'}, line 8" in said
    assert len(cohort.excluded) == 7  # empty files are no pictures
    check_paths([(case.scan, case.line) for case in cohort.cases], tmp_path)
    assert "2 of 9 scan paths lead nowhere" in missing_in_words([cohort_case(tmp_path)] * 2, 9)


def cohort_case(folder: Path) -> Any:
    from medcls.cohort import Case

    return Case("a", "", folder / "gone", (0,))


def test_paths_into_archives_and_parts_of_folders_lead_somewhere(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"")
    (tmp_path / "series").mkdir()
    assert leads_somewhere(tmp_path / "a.zip" / "inner" / "x.dcm")
    assert leads_somewhere(tmp_path / "series#s2")
    assert not leads_somewhere(tmp_path / "b.zip" / "x.dcm")


def test_a_tilde_is_the_home_folder_wherever_a_path_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "c.yaml").write_text(
        "data: {cases: ~/cases.csv, root: '~'}\nruns: ~/runs\nmodel: {weights: ~/w.pth}\n", encoding="utf-8"
    )
    config = load_config(tmp_path / "c.yaml", ["store.folder=~/store", "privacy.key_file=~/key"])
    assert (config.data.cases, config.data.root) == (tmp_path / "cases.csv", tmp_path)
    assert (config.runs, config.model.weights) == (tmp_path / "runs", str(tmp_path / "w.pth"))
    assert (config.store.folder, config.privacy.key_file) == (tmp_path / "store", tmp_path / "key")
    assert scan_path(Path("/data"), "~/a.png") == tmp_path / "a.png"
    assert scan_path(Path("/data"), "a~1.png") == Path("/data/a~1.png")
    with pytest.raises(StorageError, match="without ~"):
        load_config(None, ["runs=~nobody-of-this-name/runs"])


def test_a_patient_or_a_path_on_two_sides_of_a_given_split_is_found_by_the_table_alone(tmp_path: Path) -> None:
    sides = ["train"] * 4 + ["tune"] * 2 + ["test"] * 2
    rows = [f"c{n},{n}.png,p{n},{'ill' if n % 2 else 'well'},{side}" for n, side in enumerate(sides)]
    header = "case,scan,patient,label,split"
    looked(table(tmp_path, [header, *rows], files=8))
    with pytest.raises(
        CohortError, match=r"2 cases with the same patient are in different partitions.*line 2.*line 10"
    ):
        looked(table(tmp_path, [header, *rows, "c8,7.png,p0,ill,test"]))
    twice = table(tmp_path, [header, *rows, "c9,0.png,p9,well,test"])
    for allowed in ({"on_leak": "drop"}, {"allow_leakage": "to see"}):
        looked(twice, split=allowed)
    with pytest.raises(CohortError, match="2 cases with identical pixels"):
        looked(twice)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"split": {"folds": 5}}, "patients"),
        ({}, "cases.csv: the label .* too few for 3 partitions .train, test, tune.. Add patients of this label"),
        ({"model": {"weights": "imagnet"}}, "Did you mean 'imagenet'"),
        ({"positive": "Ill"}, "Did you mean 'ill'"),
        ({"region": "lung", "preprocessing": {"kind": "endoscopy"}}, "endoscopy"),
    ],
)
def test_what_needs_no_scan_is_refused_without_one(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    cases = table(tmp_path, ["scan,label", "0.png,ill", "1.png,well", "2.png,ill"], files=3)
    with pytest.raises(MedclsError, match=words):
        looked(cases, **changes)


def test_without_a_home_the_key_and_its_variable_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "MEDCLS_PSEUDONYM_KEY",
        "MEDCLS_CACHE",
        "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME",
        "APPDATA",
        "LOCALAPPDATA",
    ):
        monkeypatch.delenv(name, raising=False)

    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    with pytest.raises(StorageError, match=r"home folder.*MEDCLS_PSEUDONYM_KEY"):
        load_pseudonyms()
    with pytest.raises(StorageError, match=r"home folder.*MEDCLS_CACHE"):
        cache_folder("prepared")


def test_a_file_in_the_place_of_the_cache_is_named_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cases.csv").touch()
    for name in ("cases.csv", "cases.csv/below"):
        monkeypatch.setenv("MEDCLS_CACHE", str(tmp_path / name))
        with pytest.raises(StorageError, match=r"MEDCLS_CACHE names a folder, and .*cases.csv is a file"):
            cache_folder("prepared")


def test_the_doctor_looks_at_the_key_and_names_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medcls.workflows.commands.doctor import _pseudonym_key

    monkeypatch.setenv("MEDCLS_PSEUDONYM_KEY", str(tmp_path / "new" / "key"))
    (check,) = _pseudonym_key()
    assert check.ok
    assert not (tmp_path / "new").exists()  # a look makes nothing
    (tmp_path / "new").write_text("", encoding="utf-8")
    (check,) = _pseudonym_key()
    assert not check.ok
    assert "MEDCLS_PSEUDONYM_KEY" in check.remedy
    (tmp_path / "key").write_text("no key", encoding="utf-8")
    monkeypatch.setenv("MEDCLS_PSEUDONYM_KEY", str(tmp_path / "key"))
    (check,) = _pseudonym_key()
    assert not check.ok
    assert "hexadecimal" in check.found


def test_a_key_that_cannot_be_kept_names_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise StorageError("cannot write pseudonym.key: read-only file system", where=str(tmp_path))

    monkeypatch.setattr("medcls.privacy.write_bytes", read_only)
    monkeypatch.setenv("MEDCLS_PSEUDONYM_KEY", str(tmp_path / "key"))
    with pytest.raises(StorageError, match=r"pseudonym key.*MEDCLS_PSEUDONYM_KEY"):
        load_pseudonyms()
    (tmp_path / "key").mkdir()
    with pytest.raises(ConfigError, match="MEDCLS_PSEUDONYM_KEY"):
        load_pseudonyms()


def test_a_faulty_step_is_named_with_its_line_and_what_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "lung.yaml"
    for steps, words in (
        ("window: {windows: [400, -1000]}", r"windows.0: it needs a list.*: \[low, high\] in HU.*\(given: 400\)"),
        ("spacing: {millimetres: {x: 1}}", "millimetres: it needs a list"),
        ("spacings: {}", "Did you mean 'spacing'"),
    ):
        path.write_text(f"region: lung\npreprocessing:\n  kind: ct\n  steps: {{{steps}}}\n", encoding="utf-8")
        with pytest.raises(ConfigError, match=rf"lung.yaml:4: preprocessing.steps\..*{words}"):
            look_first(load_config(path))


def test_what_the_config_asks_for_and_does_not_get_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = table(tmp_path, ["scan,label", *(f"{n}.png,{'ill' if n % 2 else 'well'}" for n in range(8))], files=8)
    asked: dict[str, dict[str, Any]] = {
        "split": {"folds": 2, "test": 0.4},
        "privacy": {"key_file": tmp_path / "other.key"},
        "train": {"focal_gamma": 5, "momentum": 0.5, "step_epochs": 3, "ema_decay": 0.9, "warmup_epochs": 50},
        "model": {"freeze": 2, "weights_sha256": "0" * 64, "first_stride": 1},
    }
    config = load_config(None, (), {"positive": "ill", "data": {"cases": cases}, **asked})
    look_first(config, Progress())
    said = capsys.readouterr().err
    assert "split.test is not used with split.folds" in said
    unused = ("train.focal_gamma", "train.momentum", "train.step_epochs", "train.ema_decay")
    for key in (*unused, "model.weights_sha256", "model.first_stride"):
        assert f"{key} is not used without" in said
    assert "train.warmup_epochs is 50, and train.epochs is 40: the warm-up is cut to 39" in said
    assert "model.freeze without model.weights keeps random blocks" in said
    assert f"there is no {tmp_path / 'other.key'}: a new pseudonym key is made" in said
    asked["train"], asked["model"] = {"schedule": "one_cycle", "warmup_epochs": 2}, {"name": "resnet18"}
    asked["ensemble"] = {"networks": ["resnet10", "densenet121"]}
    asked["preprocessing"] = {"dimensions": 3, "slices": "all"}
    del asked["split"]
    look_first(load_config(None, (), {"positive": "ill", "data": {"cases": cases}, **asked}), Progress())
    said = capsys.readouterr().err
    assert "train.warmup_epochs is not used with train.schedule: one_cycle" in said
    assert "model.name is not used with ensemble.networks" in said
    assert "preprocessing.slices is not used with preprocessing.dimensions: 3" in said
    asked = {"privacy": asked["privacy"], "split": {"folds": 2}}
    look_first(load_config(None, (), {"positive": "ill", "data": {"cases": cases}, **asked}), Progress())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "form", ["2021-03-{:02d}", "{:02d}.03.2021", "3/{}/21", "202103{:02d}", "{} Mar 2021", "2021-03-{:02d} 10:30"]
)
def test_dates_in_the_place_of_patients_are_said_before_anything_long(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{n}.png,{form.format(n // 2 + 1)},{'ill' if n % 2 else 'well'}" for n in range(24)]
    cases = table(tmp_path, ["scan,patient,label", *lines, "24.png,,ill"], files=25)
    config = load_config(None, (), {"positive": "ill", "data": {"cases": cases}})
    look_first(config, Progress())
    said = capsys.readouterr().err
    assert said.startswith(
        "  warning: column 'patient' should name patients, and all of its values are dates (line 2: "
    )
    assert "data.columns.patient" in said
    assert not any(
        day in said for day in ("Mar 2021", "2021-03", "03.2021")
    )  # no cell is quoted: a date may tell who it is


@pytest.mark.parametrize("form", ["p{}", "2021-{:03d}", "{:08d}", "99{:02d}1345", "7-{}", "MR-2021-03-{:02d}"])
def test_numbers_of_patients_are_no_dates(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{n}.png,{form.format(n + 1)},{'ill' if n % 2 else 'well'}" for n in range(24)]
    cases = table(tmp_path, ["scan,patient,label", *lines], files=24)
    look_first(load_config(None, (), {"positive": "ill", "data": {"cases": cases}}), Progress())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        (["testing"] * 8, "no case is in train: column 'split' says 'testing' (8)"),
        (
            ["train", "test"] * 4,
            "no training case has the label 'ill' (its cases: 4 in test): column 'split' says 'train' (4), 'test' (4)",
        ),
    ],
)
def test_a_split_column_that_leaves_a_label_out_of_train_is_named_with_its_values(
    sides: list[str], words: str, tmp_path: Path
) -> None:
    rows = [f"c{n},{n}.png,p{n},{'ill' if n % 2 else 'well'},{side}" for n, side in enumerate(sides)]
    with pytest.raises(CohortError) as found:
        looked(table(tmp_path, ["case,scan,patient,label,split", *rows], files=8))
    assert words in str(found.value)
