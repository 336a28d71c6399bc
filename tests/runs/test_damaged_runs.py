"""A run whose files are damaged or shortened says so in one line, and nothing is evaluated by what is left of them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import medcls
from medcls.errors import CohortError, MedclsError, RunError
from medcls.files import write_json
from medcls.runs.folder import Run
from medcls.runs.run_tables import read_partitions
from medcls.runs.training_cases import read_training_cases
from medcls.workflows.data.leakage_audit import allowed_at_training
from medcls.workflows.data.training_summary import read_training_summary
from medcls.workflows.reporting.baseline import load_baseline
from tests.factories.leakage import other_hospital, write_cohort

torch.set_num_threads(1)

Damage = Callable[[list[str]], list[str]]
DAMAGES: dict[str, Damage] = {
    "another text": lambda _: ["x"],
    "empty": lambda _: [],
    "the header alone": lambda lines: lines[:1],
    "cut in a row": lambda lines: [*lines[:-1], lines[-1][:20]],
    "no header": lambda lines: lines[1:],
    "a binary": lambda _: ["\0\1\2"],
}


def damage(path: Path, change: Damage) -> None:
    path.write_text("\n".join(change(path.read_text(encoding="utf-8").splitlines())), encoding="utf-8")


def refused(ask: Callable[[], object], file: str) -> str:
    """The one line in which something is refused: it names the file and has a remedy."""
    with pytest.raises(RunError) as caught:
        ask()
    line = str(caught.value)
    assert f"{file} is damaged" in line
    assert str(Path("copy") / file) in line
    assert "Restore the file" in line
    assert caught.value.exit_code == 2
    return line


def leaking(tmp: Path) -> Path:
    """A table of others, one of whom took part in training."""

    def change(rows: list[dict[str, str]]) -> None:
        rows[3]["patient"] = "s0-0"

    return other_hospital(tmp, change)


def test_the_whole_list_stops_whoever_took_part(run: Run, tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"trained or tuned on .* \(line 5\) meets C\w{12}; all"):
        medcls.evaluate(run.path, leaking(tmp_path), tmp_path / "out")


def test_a_case_that_was_itself_trained_on_is_named_once(run: Run, tmp_path: Path) -> None:
    with pytest.raises(CohortError) as stopped:
        medcls.evaluate(run.path, write_cohort(tmp_path / "same"), tmp_path / "out")
    assert re.search(r"evaluated: (C\w{12} \(line \d+\); ){3}and \d+ more; all of them", str(stopped.value))


@pytest.mark.parametrize("change", [*DAMAGES.values(), lambda lines: lines[:-1]], ids=[*DAMAGES, "a row less"])
def test_the_leakage_gate_is_not_switched_off_by_a_damaged_list(run: Run, tmp_path: Path, change: Damage) -> None:
    table = leaking(tmp_path)
    damage(run.path / "training-cases.csv", change)
    for out, cases in (("others", table), ("own", None)):
        refused(lambda out=out, cases=cases: medcls.evaluate(run.path, cases, tmp_path / out), "training-cases.csv")
        assert not (tmp_path / out / "report.html").exists()


def test_a_list_that_lacks_cases_says_how_many(run: Run, tmp_path: Path) -> None:
    damage(run.path / "training-cases.csv", lambda lines: lines[:4])
    trained_on = medcls.load(run.path).provenance["cases"]
    line = refused(lambda: medcls.evaluate(run.path, out=tmp_path / "out"), "training-cases.csv")
    assert f"3 of the {trained_on['train'] + trained_on['tune']} cases" in line


@pytest.mark.parametrize("change", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_table_of_the_cohort_is_called_damaged(run: Run, tmp_path: Path, change: Damage) -> None:
    damage(run.path / "cohort.csv", change)
    refused(lambda: medcls.evaluate(run.path, out=tmp_path / "out"), "cohort.csv")
    refused(lambda: read_partitions(run.path / "cohort.csv"), "cohort.csv")  # which resuming reads, too


def test_a_table_of_the_cohort_without_all_of_the_test_cases_is_called_damaged(run: Run, tmp_path: Path) -> None:
    def one_test_case_less(lines: list[str]) -> list[str]:
        last = max(index for index, line in enumerate(lines) if ",test," in line)
        return lines[:last] + lines[last + 1 :]

    damage(run.path / "cohort.csv", one_test_case_less)
    refused(lambda: medcls.evaluate(run.path, out=tmp_path / "out"), "cohort.csv")
    refused(lambda: medcls.explain(model=run.path, out=tmp_path / "maps"), "cohort.csv")


@pytest.mark.parametrize("text", ["{", "", "[]", "3", '{"test": {}}', '{"test": {"operating_point": {"labels": 3}}}'])
def test_damaged_figures_are_not_compared(run: Run, whole: Run, tmp_path: Path, text: str) -> None:
    run.metrics_file.write_text(text, encoding="utf-8")
    refused(lambda: medcls.compare(run.path, whole.path, out=tmp_path / "out"), "metrics.json")


@pytest.mark.parametrize("file", ["training-summary.json", "baseline.json"])
@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_what_an_evaluation_needs_is_read_before_anything_is_judged(
    run: Run, tmp_path: Path, file: str, text: str
) -> None:
    (run.path / file).write_text(text, encoding="utf-8")
    others = other_hospital(tmp_path)
    refused(lambda: medcls.evaluate(run.path, others, tmp_path / "out"), file)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_audit_does_not_hide_that_leakage_was_allowed(run: Run, text: str) -> None:
    write_json(run.path / "audit.json", {"allowed": "a phantom"})
    assert allowed_at_training(run.path) == "a phantom"
    (run.path / "audit.json").write_text(text, encoding="utf-8")
    refused(lambda: allowed_at_training(run.path), "audit.json")


def in_its_place(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def harm(path: Path) -> None:
        path.unlink()
        make(path)

    return harm


def beginning(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(path.read_text(encoding="utf-8").replace("{", "{" + text, 1), encoding="utf-8")


HARM: dict[str, Callable[[Path], object]] = {
    "a pipe": in_its_place(os.mkfifo),
    "a device": in_its_place(lambda path: path.symlink_to("/dev/zero")),
    "a folder": in_its_place(Path.mkdir),
    "a terabyte": lambda path: os.truncate(path, 1 << 40),
    "nested": lambda path: path.write_text("[" * 100_000, encoding="utf-8"),
    "a long number": beginning('"x": ' + "1" * 5000 + ", "),
    "no number": beginning('"x": NaN, '),
    "a key twice": beginning('"x": 1, "x": 1, '),
}
READERS: dict[str, Callable[[Path], object]] = {
    "config.yaml": lambda run: Run(run).load_config(),
    "metrics.json": lambda run: Run(run).metrics,
    "audit.json": allowed_at_training,
    "baseline.json": load_baseline,
    "training-summary.json": read_training_summary,
    "training-cases.csv": lambda run: read_training_cases(run, None),
    "cohort.csv": lambda run: read_partitions(run / "cohort.csv"),
    "classifier/classifier.json": medcls.load,
    "classifier/weights.safetensors": medcls.load,
}


@pytest.mark.parametrize("file", READERS)
def test_a_file_of_a_run_from_elsewhere_is_read_within_bounds_or_refused_in_one_line(run: Run, file: str) -> None:
    whole = (run.path / file).read_bytes()
    READERS[file](run.path)
    for harm in HARM if file.endswith(".json") else list(HARM)[:4]:
        HARM[harm](run.path / file)
        with pytest.raises(MedclsError) as caught:
            READERS[file](run.path)
        assert Path(file).name in str(caught.value), harm
        assert len(str(caught.value)) < 1000, harm
        shutil.rmtree(run.path / file) if harm == "a folder" else (run.path / file).unlink()
        (run.path / file).write_bytes(whole)
