"""``evaluate --predictions`` and ``compare`` from the command line: exit codes, one line for what does not go together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medcls.cli.app import app
from tests.scores_factory import binary_rows, write_table

FEW = ("--set", "evaluation.replicates=100")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "scores.csv", binary_rows(120))


def said(*words: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output, and standard error."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def test_a_table_is_judged_and_compared(table: Path, tmp_path: Path) -> None:
    code, out, error = said(
        *("evaluate", "--predictions", table, "--positive", "sick", "--out", tmp_path / "o", "--json", *FEW),
        *("--rule", "sensitivity=0.9", "--set", "evaluation.prevalences=[0.03]"),
    )
    assert code == 0, error
    test = json.loads(out)["metrics"]["test"]
    assert test["operating_point"]["rule"] == "sensitivity >= 0.9"
    assert [one["prevalence"] for one in test["clinical"]["sick"]["predictive_values"]] == [0.03]
    other = write_table(tmp_path / "other.csv", binary_rows(120, seed=1))
    code, out, error = said("compare", table, other, "--positive", "sick", "--out", tmp_path / "c", *FEW)
    assert code == 0, error
    assert "scores against other: " in out
    assert (tmp_path / "c" / "compare.html").is_file()
    code, _, error = said("compare", table, other, "--positive", "sick", "--out", tmp_path / "c", *FEW)
    assert code == 2
    assert "has results already" in error


def test_missing_scores_give_the_exit_code_of_refused_cases(tmp_path: Path) -> None:
    rows = binary_rows(120)
    rows[2]["score"] = "NA"
    table = write_table(tmp_path / "scores.csv", rows)
    code, out, _ = said("evaluate", "--predictions", table, "--positive", "sick", "--out", tmp_path / "o", *FEW)
    assert code == 3
    assert "1 case left out, without a score" in out


WRONG = [
    (("evaluate",), "name either a run, or a table of scores"),
    (("evaluate", "lung", "--predictions", "T"), "name either a run, or a table of scores"),
    (("evaluate", "--predictions", "T", "--cases", "T"), "--cases belongs to a run"),
    (("evaluate", "lung", "--compare", "T"), "--compare belongs to --predictions"),
    (("evaluate", "lung", "--positive", "sick"), "--positive belongs to --predictions"),
    (("evaluate", "lung", "--rule", "youden"), "--rule belongs to --exploratory"),
    (("evaluate", "--predictions", "T", "--threshold", "0.5", "--exploratory"), "do not go together"),
    (("evaluate", "--predictions", "T", "--positive", "sick", "--threshold", "half"), "'half' is no threshold"),
    (("evaluate", "--predictions", "T", "--columns", "score"), "'score' is not ROLE=COLUMN"),
    (("evaluate", "--predictions", "T", "--compare-columns", "score=x"), "need --compare"),
    (("compare", "T", "--positive", "sick"), "needs two models at least"),
    (("compare", "gone", "T", "--positive", "sick"), "no run is here"),
]


@pytest.mark.parametrize(("words", "line"), WRONG)
def test_what_does_not_go_together_is_one_line(words: tuple[str, ...], line: str, table: Path) -> None:
    code, _, error = said(*(table if word == "T" else word for word in words))
    assert code == 2
    assert line in error
    assert error.count("\n") == 1
