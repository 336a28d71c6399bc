"""A file of a finished run that was changed by hand is named by whoever goes on from it; what medcls rewrites is not."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import medcls
from medcls.errors import MedclsError
from medcls.progress import Progress
from medcls.runs.changed_files import SUMS, changed_files, changed_parts
from medcls.runs.folder import Run
from medcls.scores.comparison.compare import compare
from medcls.scores.evaluate import ScoreOptions, evaluate_scores
from medcls.workflows.commands.whose import Origin
from medcls.workflows.reporting.figure_files import write_figure_files
from tests.factories.leakage import other_hospital

torch.set_num_threads(1)

Verb = Callable[[Path, Path, Progress], object]
JUDGING = ScoreOptions(columns={"score": "p_ill"}, positive="ill", allow_leakage="a test")
EDITS = {
    "metrics.json": (r'"value": [\d.]+', '"value": 0.123'),
    "predictions.csv": (r",([\d.e-]+),([\d.e-]+)", r",\2,\1"),
    "cohort.csv": (r",\d+,", ",7,"),
    "config.yaml": (r"seed: 0", "seed: 8"),
    "training-cases.csv": (r"train", "tune"),
    "training-summary.json": (r"0\.\d", "0.5"),
    "audit.json": (r"(?s)^{", '{"more": 1,'),
    "history.csv": (r",0\.\d", ",0.0"),
    "classifier/classifier.json": (r'"region": "\w+"', '"region": "brain"'),
}


def edit(folder: Path, name: str) -> None:
    """Change one value as a hand would, so that the file is as whole as before."""
    file = folder / name
    text = file.read_text(encoding="utf-8")
    changed = re.sub(*EDITS[name], text, count=1)
    assert changed != text
    file.write_text(changed, encoding="utf-8")


def warned(verb: Verb, run: Path, out: Path) -> list[str]:
    """The lines of warnings about changed files."""
    stream = io.StringIO()
    verb(run, out, Progress(stream=stream))
    lines = [line.removeprefix("  warning: ") for line in stream.getvalue().splitlines() if " warning: " in line]
    return [line for line in lines if "was changed after" in line or SUMS in line]


def figures(run: Path, out: Path, progress: Progress) -> object:
    return write_figure_files(run, kind="svg", out=out, progress=progress)


def evaluate(run: Path, out: Path, progress: Progress) -> object:
    return medcls.evaluate(run, None, out, progress=progress)


def whose(run: Path, out: Path, progress: Progress) -> object:
    return Origin.of(run, progress=progress)


def scores(run: Path, out: Path, progress: Progress) -> object:
    return evaluate_scores(run / "predictions.csv", JUDGING, out, progress=progress)


def predictions(run: Path, out: Path, progress: Progress) -> object:
    scan = next((Run(run).load_config().data.cases or Path()).parent.glob("*.png"))
    medcls.infer(scan, run, out / "answers", progress=progress)
    return medcls.explain(scan, run, out=out / "maps", progress=progress)


VERBS: tuple[Verb, ...] = (figures, evaluate, whose)


def minded(first: Path, second: Path, out: Path) -> list[str]:
    """What a comparison says of changed files, in its document and on its page."""
    found = compare([first, second], out=out)
    page = (out / "compare.html").read_text(encoding="utf-8")
    notes = [note for note in found.document["notes"] if "was changed after" in note or SUMS in note]
    assert all(note.partition(": ")[2].partition(":")[0] in page for note in notes)
    return notes


def test_the_sums_are_those_of_sha256sum(whole: Run) -> None:
    names = [line.split("  ", 1)[1] for line in (whole.path / SUMS).read_text(encoding="utf-8").splitlines()]
    assert set(EDITS) <= set(names)
    tool = shutil.which("sha256sum")
    if tool is not None:
        done = subprocess.run(
            [tool, "-c", "--strict", SUMS], cwd=whole.path, capture_output=True, text=True, check=True
        )
        assert done.stdout.count(": OK") == len(names)


def test_an_untouched_run_and_one_of_an_earlier_version_warn_of_nothing(run: Run, whole: Run, tmp_path: Path) -> None:
    with open(run.config_file, "a", encoding="utf-8") as file:
        file.write("# read by two\n")
    for out, verb in enumerate(VERBS):
        assert warned(verb, run.path, tmp_path / str(out)) == []
    assert minded(run.path, whole.path, tmp_path / "compared") == []
    (run.path / SUMS).unlink()
    edit(run.path, "cohort.csv")
    assert changed_files(run.path) == ()


@pytest.mark.parametrize("name", EDITS)
def test_each_edited_file_is_named_by_each_command(run: Run, whole: Run, tmp_path: Path, name: str) -> None:
    edit(run.path, name)
    for out, verb in enumerate(VERBS):
        (line,) = warned(verb, run.path, tmp_path / str(out))
        assert line.startswith(f"the file {name} was changed after"), line
    (line,) = minded(run.path, whole.path, tmp_path / "compared")
    assert line.startswith(f"'copy': the file {name} was changed after")


def test_the_report_of_an_evaluation_says_it_too(run: Run, tmp_path: Path) -> None:
    edit(run.path, "predictions.csv")
    found = medcls.evaluate(run.path, other_hospital(tmp_path), tmp_path / "out")
    assert any(one.text.startswith("the file predictions.csv was changed") for one in found.warnings)
    assert "The file predictions.csv was changed" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_an_evaluation_is_a_finished_folder_too_and_may_be_replaced(run: Run, whole: Run, tmp_path: Path) -> None:
    out = run.path / "evaluation-test"
    for _ in range(2):
        medcls.evaluate(run.path, None, out, overwrite=True)
        assert changed_files(out) == ()
        assert "report.html" not in (out / SUMS).read_text(encoding="utf-8")
    edit(out, "metrics.json")
    assert len(warned(figures, out, tmp_path / "figures")) == 1
    (line,) = minded(whole.path, out, tmp_path / "compared")
    assert line.startswith("'evaluation-test': the file metrics.json was changed after")
    assert changed_files(run.path) == ()


def test_a_runs_table_that_is_judged_as_scores_is_held_against_its_sum(run: Run, tmp_path: Path) -> None:
    edit(run.path, "metrics.json")  # of which nothing is taken here
    assert warned(scores, run.path, tmp_path / "before") == []
    assert changed_files(tmp_path / "before") == ()
    edit(run.path, "predictions.csv")
    (line,) = warned(scores, run.path, tmp_path / "after")
    assert line.startswith("the file predictions.csv was changed")
    edit(tmp_path / "after", "metrics.json")
    assert len(warned(figures, tmp_path / "after", tmp_path / "figures")) == 1


def test_an_edited_classifier_is_named_before_its_answers(run: Run, tmp_path: Path) -> None:
    edit(run.path, "predictions.csv")  # of which nothing is taken here
    assert warned(predictions, run.path, tmp_path / "before") == []
    edit(run.path, "classifier/classifier.json")
    assert [line.split()[2] for line in warned(predictions, run.path, tmp_path / "after")] == [
        "classifier/classifier.json"
    ] * 2


@pytest.mark.parametrize("text", ["", "x\n", "0" * 64 + "\n", "\0\1", f"{'0' * 64}  a\nb\n"])
def test_damaged_sums_are_one_line(run: Run, tmp_path: Path, text: str) -> None:
    (run.path / SUMS).write_text(text, encoding="utf-8")
    (line,) = warned(figures, run.path, tmp_path / "out")
    assert line.startswith(f"the file {SUMS} is damaged")


def test_sums_that_are_no_file_are_one_line(run: Run) -> None:
    (run.path / SUMS).unlink()
    (run.path / SUMS).mkdir()
    assert len(changed_files(run.path)) == 1


def test_a_config_that_can_no_longer_be_read_is_named(run: Run, tmp_path: Path) -> None:
    run.config_file.write_text("seed: [", encoding="utf-8")
    (line,) = warned(figures, run.path, tmp_path / "out")
    assert line.startswith("the file config.yaml was changed")
    with pytest.raises(MedclsError):
        run.load_config()


def test_finished_folds_that_are_kept_are_named_by_their_place(run: Run, tmp_path: Path) -> None:
    outer = Run(tmp_path / "outer")
    shutil.copytree(run.path, outer.folds / "1-1")
    assert changed_parts(outer) == ()
    edit(outer.folds / "1-1", "predictions.csv")
    (line,) = changed_parts(outer)
    assert line.startswith("the file folds/1-1/predictions.csv was changed after")
