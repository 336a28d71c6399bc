"""What flatters a metric is said wherever the metric is: cases without a patient, copies within a partition, strong shift."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from medcls.cli.app import app
from medcls.cohort import Case, Cohort
from medcls.cohort.leakage.audit import audit_cohort
from medcls.cohort.leakage.copies import Copies
from medcls.cohort.leakage.near_duplicates import NearDuplicates, NearPair
from medcls.cohort.leakage.relations import Relations
from medcls.cohort.sources.locate import locate_scans
from medcls.evaluation.shift.wording import strong_shift
from medcls.privacy import Pseudonyms
from medcls.values.label_space import LabelSpace
from medcls.workflows.data.prepare import size_warnings
from tests.factories.scores import binary_rows, write_table

TOO_NARROW = "so intervals are too narrow"


def case(name: str, patient: str = "", partition: Any = "test", label: int = 0) -> Case:
    return Case(name, patient or name, Path(name), (label,), partition, names_patient=bool(patient))


def cohort(cases: Sequence[Case]) -> Cohort:
    return Cohort(LabelSpace(("well", "ill"), "ill"), tuple(cases))


def test_a_table_that_names_some_patients_is_warned_of_by_partition() -> None:
    known = [case(f"k{n}", f"p{n}", "test", n % 2) for n in range(30)]
    unknown = [case(f"u{n}", "", "test", n % 2) for n in range(7)]
    trained = [case(f"t{n}", "", "train", n % 2) for n in range(20)]
    warning = (
        "7 of 37 test cases name no patient: each counts as its own, so intervals are too narrow if patients repeat"
    )
    assert [one.text for one in size_warnings(cohort([*known, *unknown, *trained]))] == [warning]
    (in_folds,) = map(str, size_warnings(cohort([*known, *trained]), in_folds=True))
    assert in_folds.startswith("20 of 20 cases in folds name no patient")
    assert size_warnings(cohort(known)) == ()
    (none,) = map(str, size_warnings(cohort(unknown))[-1:])
    assert none.startswith("no patients are known")


def test_a_patient_called_as_the_case_is_named_all_the_same(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    cases = [Case(name, patient, tmp_path / "a.png", (0,)) for name, patient in (("a", "a"), ("b", ""))]
    assert [one.names_patient for one in locate_scans(cohort(cases)).cases] == [True, False]


def test_copies_within_a_partition_are_counted_and_those_of_one_patient_are_none() -> None:
    cases = [case(f"c{n}", f"p{n}") for n in range(6)] + [case("t1", "q", "train"), case("t2", "r", "train")]
    cases += [case("again", "p5")]
    content = {one.name: one.name for one in cases} | {"c1": "c0", "t2": "t1", "again": "c5"}
    pairs = (NearPair("c0", "c2", 3, 0.99), NearPair("c3", "t1", 3, 0.99), NearPair("c4", "c5", 3, 0.99, mirrored=True))
    audit = audit_cohort(cohort(cases), content, Relations(NearDuplicates(pairs, len(cases))))
    assert audit.copies == (Copies("test", 5, 2), Copies("train", 2, 2))
    (warning,) = [one.text for one in audit.warnings if TOO_NARROW in one.text]
    assert warning.startswith(
        "5 test cases are copies, or nearly, of another test case: they count as different patients"
    )
    written = audit.to_json(Pseudonyms(b"k" * 32))["copies_within"]
    assert written[0] == {"side": "test", "n_cases": 5, "n_identical": 2}


def test_copies_are_counted_where_nothing_can_cross_and_by_folds() -> None:
    cases = [case("a", "p"), case("b", "q"), case("c", "r", "train"), case("d", "s", "train")]
    content = {"a": "1", "b": "1", "c": "2", "d": "2"}
    evaluated = audit_cohort(cohort(cases[:2]), content, Relations(), sides={})
    assert evaluated.copies == (Copies("test", 2, 2),)
    assert evaluated.leaks == ()
    sides = {"a": "fold 1", "b": "fold 1", "c": "fold 2", "d": "fold 2"}
    folds = audit_cohort(cohort([replace(one, partition="train") for one in cases]), content, Relations(), sides=sides)
    (warning,) = map(str, folds.warnings)
    assert warning.startswith("4 cases are copies, or nearly, of another case of their fold")


def test_a_strong_shift_names_what_is_shifted() -> None:
    said = strong_shift([("intensity", "mean"), ("intensity", "sd"), ("labels", "ill")])
    assert said is not None
    assert "the network's input (mean, sd); how common a label is (ill)." in said
    assert strong_shift([]) is None


@pytest.mark.parametrize("further", [(), ("--json",)])
def test_the_terminal_says_what_the_reports_box_says(tmp_path: Path, further: tuple[str, ...]) -> None:
    rows = [{key: value for key, value in row.items() if key != "patient"} for row in binary_rows(120)]
    table = write_table(tmp_path / "s.csv", rows)
    words = ["evaluate-scores", str(table), "--positive", "sick", "--out", str(tmp_path / "o"), *further]
    done = CliRunner().invoke(app, [*words, "--set", "evaluation.replicates=100"])
    assert done.exit_code == 0, done.output
    minded = [line.removeprefix("  warning: ") for line in done.stderr.splitlines() if line.startswith("  warning: ")]
    assert any(line.startswith("the file names no patients") for line in minded)
    assert any(line.startswith("the scores are between 0 and 1") for line in minded)
    box = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    box = box.partition("Before you believe these metrics")[2].partition("</ul>")[0]
    assert box.count("<li>") == len(minded)
    if further:
        assert json.loads(done.stdout)["folder"]
    quiet = CliRunner().invoke(app, [*words, "--overwrite", "--quiet", "--set", "evaluation.replicates=100"])
    assert "warning:" not in quiet.output
