"""``evaluate-scores`` and ``compare`` from the command line: exit codes, one line for what does not go together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medcls.cli.app import app
from tests.factories.scores import binary_rows, write_table

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
        *("evaluate-scores", table, "--positive", "sick", "--out", tmp_path / "o", "--json", *FEW),
        *("--rule", "sensitivity=0.9", "--set", "evaluation.prevalences=[0.03]"),
    )
    assert code == 0, error
    test = json.loads(out)["metrics"]["test"]
    assert test["operating_point"]["rule"] == "sensitivity >= 0.9"
    assert [one["prevalence"] for one in test["clinical"]["sick"]["predictive_values"]] == [0.03]
    other = write_table(tmp_path / "other.csv", binary_rows(120, seed=1))
    code, out, error = said("compare", table, other, "--positive", "sick", "--out", tmp_path / "c", *FEW)
    assert code == 0, error
    assert "scores against other, first minus second: " in out
    assert (tmp_path / "c" / "compare.html").is_file()
    code, _, error = said("compare", table, other, "--positive", "sick", "--out", tmp_path / "c", *FEW)
    assert code == 2
    assert "has results already" in error


def test_missing_scores_give_the_exit_code_of_refused_cases(tmp_path: Path) -> None:
    rows = binary_rows(120)
    rows[2]["score"] = "NA"
    table = write_table(tmp_path / "scores.csv", rows)
    code, out, _ = said("evaluate-scores", table, "--positive", "sick", "--out", tmp_path / "o", *FEW)
    assert code == 3
    assert "1 case left out, without a score" in out


def test_a_comparison_is_told_on_the_screen_and_linked_from_the_report(table: Path, tmp_path: Path) -> None:
    other = write_table(tmp_path / "other.csv", binary_rows(120, seed=1))
    asked = ("evaluate-scores", table, "--compare", other, "--positive", "sick", "--out", tmp_path / "o", *FEW)
    code, out, error = said(*asked)
    assert code == 0, error
    pair = json.loads((tmp_path / "o" / "comparison.json").read_text(encoding="utf-8"))["comparisons"][0]
    auc = next(one for one in pair["differences"] if one["figure"] == "auc")
    value, low, high = (auc["difference"][name] for name in ("value", "low", "high"))
    line = next(line for line in out.splitlines() if line.startswith("  auc sick"))
    assert line.split(maxsplit=2)[2] == f"{value:+.3f}  ({low:+.3f} to {high:+.3f})  p {auc['p_value']:.4f}"
    assert f"Comparison: {tmp_path / 'o' / 'compare.html'}" in out
    assert '<a href="compare.html">' in (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    code, out, _ = said(*asked, "--overwrite", "--json")
    assert json.loads(out)["comparison"]["comparisons"][0] == pair
    code, _, error = said("evaluate-scores", table, "--positive", "sick", "--out", tmp_path / "alone", *FEW)
    assert "compare.html" not in (tmp_path / "alone" / "report.html").read_text(encoding="utf-8")


def test_a_folder_with_an_earlier_comparison_is_not_written_over(table: Path, tmp_path: Path) -> None:
    other = write_table(tmp_path / "other.csv", binary_rows(120, seed=1))
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "compare.html").write_text("earlier", encoding="utf-8")
    code, _, error = said(
        *("evaluate-scores", table, "--compare", other, "--positive", "sick", "--out", tmp_path / "o")
    )
    assert code == 2
    assert "has results already (compare.html)" in error
    assert not (tmp_path / "o" / "report.html").exists()


def test_the_screen_says_what_flatters_and_from_which_score_on_a_case_is_called(table: Path, tmp_path: Path) -> None:
    common = ("evaluate-scores", table, "--positive", "sick", *FEW)
    _, plain, _ = said(*common, "--threshold", "0.3", "--out", tmp_path / "plain")
    assert "‘sick’ is predicted when its score is at least 0.3." in plain
    assert "EXPLORATORY" not in plain
    assert "LEAKAGE" not in plain
    _, explored, _ = said(*common, "--exploratory", "--out", tmp_path / "explored")
    assert explored.startswith("EXPLORATORY: the threshold was chosen on the very cases that it is evaluated on")
    rows = binary_rows(120)
    rows[2]["patient"] = "p0"  # a test case of a tune patient
    leaky = write_table(tmp_path / "leaky.csv", rows)
    _, allowed, _ = said(
        *("evaluate-scores", leaky, "--positive", "sick", "--allow-leakage", "a second lesion"),
        *("--out", tmp_path / "leaky", *FEW),
    )
    assert allowed.startswith(
        "LEAKAGE: 1 patient is both among the test rows and the others, which was allowed: a second"
    )


WRONG = [
    (("evaluate-scores", "T", "--positive", "sick", "--compare", "lung"), "medcls compare compares runs with tables"),
    (("evaluate", "lung", "--rule", "youden"), "write medcls evaluate lung --exploratory --rule youden"),
    (("evaluate-scores", "T", "--threshold", "0.5", "--exploratory"), "do not go together"),
    (("evaluate-scores", "T", "--positive", "sick", "--threshold", "half"), "'half' is no threshold"),
    (("evaluate-scores", "T", "--columns", "score"), "'score' is not ROLE=COLUMN"),
    (("evaluate-scores", "T", "--compare-columns", "score=x"), "need --compare"),
    (("evaluate-scores", "T", "--rule", "foo"), "'--rule foo' is no rule. Rules: youden, sensitivity=X"),
    (("evaluate-scores", "T", "--rule", "sensitivity=2"), "with X between 0 and 1"),
    (("compare", "T", "--positive", "sick"), "needs two models at least"),
    (("compare", "one", "two", "--threshold", "0.5"), "thresholds can be given for tables of scores alone"),
    (("compare", "gone", "T", "--positive", "sick"), "no run is here"),
]


@pytest.mark.parametrize(("words", "line"), WRONG)
def test_what_does_not_go_together_is_one_line(
    words: tuple[str, ...], line: str, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(table.parent)
    Path("runs", "lung").mkdir(parents=True)
    Path("runs", "lung", "config.yaml").write_text("region: lung\n", encoding="utf-8")
    code, _, error = said(*(table if word == "T" else word for word in words))
    assert code == 2
    assert line in error
    assert error.count("\n") == 1
