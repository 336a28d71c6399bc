"""What was typed wrongly is answered with one line that says what to type instead."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest

import medcls
from medcls.cli import app
from medcls.errors import RunError, UsageError
from medcls.runs.folder import model_folder, open_run
from medcls.scans.core.leniency import STRICT
from medcls.workflows.data.find_inputs import find_targets


@pytest.fixture(autouse=True)
def _working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def typed(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of ``medcls LINE``."""
    monkeypatch.setattr("sys.argv", ["medcls", *line.split()])
    code = app.main()
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("trian", "Did you mean 'medcls train'?"),
        ("predict scans", "Did you mean 'medcls infer'?"),
        ("lung.yaml", "'medcls train --config lung.yaml'"),
        ("train", "medcls train --config FILE"),
        ("train lung.yaml", "medcls train --config lung.yaml"),
        ("train --confg lung.yaml", "Did you mean '--config'?"),
        ("train -c lung.yaml train.epochs=3", "--set train.epochs=3"),
        ("train -c lung.yaml --set", "--set"),
        ("infer", "needs SCANS"),
        ("infer lung scans", "medcls infer scans --model lung"),
        ("explain lung scans --label ill", "medcls explain scans --model lung"),
        ("infer scans --engine fast", "auto"),
        ("infer scans --engine torhc", "Did you mean 'torch'?"),
        ("inspect scans --identifiers kep", "Did you mean 'keep'?"),
        ("inspect a.pgn", "Did you mean 'a.png'?"),
        ("demo --region lng", "Did you mean 'lung'?"),
        ("evaluate-scores a.png --rule yuden", "Did you mean 'youden'?"),
        ("infer a.png b.png c.png", "name the folder"),
        ("doctor now", "does not take 'now'"),
        ("train -config lung.yaml", "'medcls train' has no option '-config'. Options have two dashes: --config"),
        ("train -config=lung.yaml", "Options have two dashes: --config=lung.yaml"),
        ("infer scans -out=there", "Options have two dashes: --out=there"),
        ("-version", "'medcls' has no option '-version'. Options have two dashes: --version"),
        ("train -help", "two dashes: --help"),
        ("evaluate cases.csv lung", "medcls evaluate lung --cases cases.csv"),
        ("evaluate lung cases.csv", "medcls evaluate lung --cases cases.csv"),
        ("evaluate a.csv", "medcls evaluate RUN --cases a.csv"),
        ("evaluate a.csv", "For a table of scores write medcls evaluate-scores a.csv"),
        ("evaluate-scores run", "Write medcls evaluate run"),
        ("evaluate", "'medcls evaluate' needs RUN"),
        ("evaluate-scores a.csv b.csv", "medcls evaluate-scores a.csv --compare b.csv"),
        ("evaluate lung --positive ill", "has no option '--positive'. It belongs to medcls evaluate-scores. A run has"),
        ("evaluate lung --positive ill --json", "write medcls evaluate lung --json"),
        ("evaluate a.csv --positive ill", "Write medcls evaluate-scores a.csv --positive ill"),
        ("evaluate lung --compare a.csv", "Write medcls compare lung a.csv"),
        (
            "evaluate-scores a.csv --cases b.csv",
            "It belongs to medcls evaluate. Write medcls evaluate RUN --cases b.csv",
        ),
        ("evaluate-scores lung --cases b.csv", "Write medcls evaluate lung --cases b.csv"),
        (
            "evaluate-scores a.csv --metrics kappa",
            "Write medcls evaluate-scores a.csv --set 'evaluation.metrics=[kappa]'",
        ),
        ("train -c lung.yaml --epochs 3", "Write medcls train -c lung.yaml --set train.epochs=3"),
        ("evaluate-scores a.csv --facts sex", "has no option '--facts'. Write --covariates"),
        ("score a.csv", "Did you mean 'medcls evaluate-scores'?"),
        (
            "evaluate --predictions a.csv --facts sex --positive ill",
            "Write medcls evaluate-scores a.csv --covariates sex --positive ill",
        ),
        ("evaluate --positive ill --predictions=a.csv", "Write medcls evaluate-scores a.csv --positive ill"),
        (
            "evaluate lung --predictions a.csv --json",
            "Write medcls evaluate-scores a.csv --json, or medcls compare lung a.csv to compare them with the run, or medcls "
            "evaluate lung --cases a.csv if it lists other cases",
        ),
        (
            "infer data more",
            "It takes one path: name the folder above, or a CSV table with a column 'scan'; the classifier is named by",
        ),
        ("infer data run", "Where 'run' is the classifier, write medcls infer data --model run"),
        ("demo --out a.png", "a.png: this is a file, not a folder. Choose another folder"),
        ("demo --out a.png/b", "a.png is a file, not a folder"),
        (
            "explain --model run",
            "the run is not finished: it has no classifier yet. Go on with 'medcls train --config FILE --run run --resume'",
        ),
        ("infer a.png --model run", "or end its training with 'medcls finish runs/run'"),
        ("evaluate run", "the run is not finished"),
        ("figures run", "the run is not finished: it has no metrics.json yet"),
        ("--verbose", "'medcls' has no option '--verbose'"),
    ],
)
def test_what_is_typed_wrongly_is_one_line(
    line: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.png").write_bytes(b"")
    Path("a.csv").write_text("case,reference,score\n", encoding="utf-8")
    Path("data").mkdir()
    Path("runs", "run").mkdir(parents=True)
    Path("runs", "run", "config.yaml").write_text("region: lung\n", encoding="utf-8")
    code, out, said = typed(line, monkeypatch, capsys)
    assert (code, out, said.count("\n")) == (2, "", 1), said
    assert said.startswith("medcls: ")
    assert words in said


@pytest.mark.parametrize("width", ["40", "80", "200"])
def test_help_is_whole_at_any_width(
    width: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    for line in ("-h", "--help", "", "train -h", "evaluate --help", "evaluate-scores -h", "explain -h", "demo -h"):
        code, shown, _ = typed(line, monkeypatch, capsys)
        assert code == (0 if line else 2)
        assert "..." not in shown.replace("[ARGS]...", "")
        assert "…" not in shown.replace(",…", "")
        assert not {"<str>", "<int>"} & set(shown.split())
    assert "--install-completion" in typed("-h", monkeypatch, capsys)[1]
    words = " ".join(typed("-h", monkeypatch, capsys)[1].split())
    assert "Evaluate a table of any model's scores; neither the model nor scans are needed." in words


def test_a_model_by_name_is_the_run_and_not_the_folder_of_its_data(tmp_path: Path) -> None:
    data, run = tmp_path / "lung", tmp_path / "runs" / "lung"
    for folder in (data, run):
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("region: lung\n", encoding="utf-8")
        (folder / "classifier").mkdir()
        (folder / "classifier" / "classifier.json").write_text("{}", encoding="utf-8")
    assert model_folder("lung").resolve() == open_run("lung").path.resolve() == run
    assert model_folder(data) == data  # a path is what it says
    (run / "config.yaml").unlink()
    assert model_folder("lung").resolve() == data
    (data / "config.yaml").unlink()
    with pytest.raises(RunError, match="no run is here"):
        model_folder("lung")
    (tmp_path / "scan.png").write_bytes(b"")
    with pytest.raises(RunError, match="a file, not a run"):
        model_folder("scan.png")


@pytest.mark.parametrize("given", ["lung", os.path.join("runs", "lung"), os.path.join("runs", "lung", "classifier")])
def test_a_run_in_the_place_of_scans_is_not_searched_for_pictures(given: str, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "lung" / "classifier"
    folder.mkdir(parents=True)
    (folder / "classifier.json").write_text("{}", encoding="utf-8")
    (folder.parent / "config.yaml").write_text("region: lung\n", encoding="utf-8")
    with pytest.raises(UsageError, match=f"--model {given}"):
        find_targets(given, STRICT)


def test_what_nobody_foresaw_is_one_line_and_the_rest_is_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from medcls.workflows.commands import doctor

    def broken() -> None:
        raise KeyError("Doe^Jane")

    monkeypatch.setenv("MEDCLS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(doctor, "examine", broken)
    code, out, said = typed("doctor", monkeypatch, capsys)
    assert (code, out, said.count("\n")) == (1, "", 1)
    (file,) = (tmp_path / "cache" / "faults").iterdir()
    assert said.startswith("medcls: this is a fault of medcls itself")
    assert str(file) in said
    assert "KeyError" not in said
    assert "Doe" not in said
    assert "KeyError: 'Doe^Jane'" in file.read_text(encoding="utf-8")


def test_want_of_memory_is_told_whoever_tells_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from torch import OutOfMemoryError

    from medcls.workflows.commands import doctor

    def broken() -> None:
        raise OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(doctor, "examine", broken)
    code, _, said = typed("doctor", monkeypatch, capsys)
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("medcls: there is not enough memory")


def test_an_option_given_twice_and_blanks_around_an_equals_sign_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for line, words in (
        ("train --config a.yaml -c b.yaml", "'--config' is given twice, and 'medcls train' takes one"),
        ("infer scans --model=a --model b", "'--model' is given twice"),
        ("train --config a.yaml --set train.epochs = 5", "Write --set train.epochs=5, without blanks"),
        ("train --config a.yaml --set train.epochs =5", "Write --set train.epochs=5, without blanks"),
        ("train --config a.yaml --set train.epochs= 5", "Write --set train.epochs=5, without blanks"),
        ("train --config a.yaml --set train.epochs=5 seed=3", "Write --set seed=3"),
        ("train --config a.yaml --set train.epochs=5 --set seed=3", "no such config file"),
    ):
        code, _, said = typed(line, monkeypatch, capsys)
        assert (code, said.count("\n"), words in said) == (2, 1, True), said


def test_what_is_no_path_is_one_line_in_python_too(tmp_path: Path) -> None:
    stopped = tmp_path / "runs" / "stopped"
    stopped.mkdir(parents=True)
    (stopped / "config.yaml").write_text("region: lung\n", encoding="utf-8")
    Path("a.csv").write_text("case,reference,score\n", encoding="utf-8")
    asked: list[tuple[Callable[[], object], str]] = [
        (lambda: medcls.load(3), "the model must be a path, and is none"),  # type: ignore[arg-type]
        (lambda: medcls.load(b"x"), "the model must be a path"),  # type: ignore[arg-type]
        (lambda: medcls.load("https://example.org/x"), "no run is here"),
        (lambda: medcls.load("stopped"), "the run is not finished"),
        (lambda: medcls.load(open_run("stopped")), "the run is not finished"),
        (lambda: medcls.train({"region": "lung"}), "config must be a path, and is none"),  # type: ignore[arg-type]
        (lambda: medcls.infer(["a.png"], "x"), "scans must be a path, and is none"),  # type: ignore[arg-type]
        (lambda: medcls.evaluate(None), "the run must be a path"),  # type: ignore[arg-type]
        (lambda: medcls.evaluate("stopped", 5), "the table of cases must be a path"),  # type: ignore[arg-type]
        (lambda: medcls.explain(0), "scans must be a path"),  # type: ignore[arg-type]
        (lambda: medcls.compare(1, 2), "a model must be a path"),  # type: ignore[arg-type]
        (lambda: medcls.evaluate("a.csv"), "not a run. For a table of scores write medcls evaluate-scores a.csv"),
        (lambda: medcls.evaluate_scores("stopped"), "a run, not a table of scores. Write medcls evaluate stopped"),
        (lambda: medcls.evaluate_scores(None), "the table of scores must be a path"),  # type: ignore[arg-type]
        (lambda: medcls.train(progress=True), "progress must be a Progress"),  # type: ignore[arg-type]
        (lambda: medcls.load("x", progress=True), "progress must be a Progress"),  # type: ignore[arg-type]
        (lambda: medcls.train(run=5), "the run's name must be a path"),  # type: ignore[arg-type]
        (lambda: medcls.read_scan(5), "a scan must be a path"),  # type: ignore[arg-type]
        (lambda: medcls.find_scans(None), "what is searched for scans must be a path"),  # type: ignore[arg-type]
        (lambda: medcls.inspect_scans(3), "what is inspected must be a path"),  # type: ignore[arg-type]
        (lambda: medcls.inspect_scans(tmp_path, progress=None), "progress must be a Progress"),  # type: ignore[arg-type]
        (lambda: medcls.evaluate("stopped", out=5), "out must be a path"),  # type: ignore[arg-type]
        (lambda: medcls.compare("a.csv", "b.csv", columns=["x"]), "columns is no mapping"),  # type: ignore[arg-type]
        (lambda: medcls.evaluate_scores("a.csv", threshold="high"), "the threshold 'high' is no number"),  # type: ignore[arg-type]
    ]
    for ask, words in asked:
        with pytest.raises(UsageError, match=words):
            ask()


@pytest.mark.parametrize("wrong", [np.zeros((3, 3)), pd.DataFrame({"scan": ["a.png", "b.png"]})])
def test_an_array_or_a_table_in_the_place_of_a_path_is_one_line(wrong: Any) -> None:
    asked: list[Callable[[], object]] = [
        *(lambda verb=verb: verb(wrong) for verb in (medcls.load, medcls.infer, medcls.evaluate, medcls.explain)),
        *(lambda verb=verb: verb(wrong) for verb in (medcls.read_scan, medcls.find_scans, medcls.inspect_scans)),
        *(lambda verb=verb: verb(wrong) for verb in (medcls.train, medcls.compare, medcls.evaluate_scores, medcls.Run)),
        lambda: medcls.Classifier.predict(Mock(), wrong),
        lambda: medcls.Classifier.save(Mock(), wrong),
        lambda: medcls.Explanation.save(Mock(), wrong),
        lambda: medcls.evaluate_scores("a.csv", out=wrong),
        lambda: medcls.train(run=wrong),
    ]
    for ask in asked:
        with pytest.raises(UsageError, match="must be a path, and is none"):
            ask()


def test_a_run_is_made_of_a_text_too(tmp_path: Path) -> None:
    assert medcls.Run(str(tmp_path / "none")) == medcls.Run(tmp_path / "none")  # type: ignore[arg-type]
    with pytest.raises(RunError, match="no such folder"):
        _ = medcls.Run("runs/none").metrics  # type: ignore[arg-type]


def test_the_earlier_name_of_a_function_says_the_one_of_today_however_it_is_imported() -> None:
    with pytest.raises(UsageError, match=r"medcls.evaluate_predictions is called medcls.evaluate_scores now"):
        exec("from medcls import evaluate_predictions")
    assert "evaluate_predictions" not in {*medcls.__all__, *dir(medcls)}
