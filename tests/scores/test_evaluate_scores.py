"""Evaluating any model's scores: pROC's values on its own data, one line for a wrong row, nothing overwritten unasked."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import validate

import medcls
from medcls.errors import CohortError, UsageError
from medcls.evaluation import metrics_schema
from tests.factories.scores import ASAH, FAST, binary_rows, several_rows, write_table


def evaluated(path: Path, out: Path, **options: Any) -> dict[str, Any]:
    """The ``metrics.json`` that evaluating a file writes."""
    medcls.evaluate_scores(path, out, **FAST, **options)
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    validate(metrics, metrics_schema())
    return metrics


def test_procs_own_data_gives_procs_values(shared_data: Path, tmp_path: Path) -> None:
    asah = shared_data / "reference" / "asah.csv"
    test = evaluated(asah, tmp_path, columns={**ASAH, "score": "s100b"}, positive="Poor", threshold=0.205)["test"]
    assert test["auc"]["value"] == pytest.approx(0.7313685636856, rel=1e-10)
    delong = test["auc_analytic"]["Poor"]
    assert (delong["low"], delong["high"]) == pytest.approx((0.6301182118, 0.8326189156), rel=1e-8)
    assert delong["method"] == "delong"
    assert test["sensitivity"]["value"] == pytest.approx(26 / 41)
    assert test["specificity"]["value"] == pytest.approx(58 / 72)
    assert (test["sensitivity"]["low"], test["sensitivity"]["high"]) == pytest.approx((0.48121, 0.76410), abs=1e-5)
    assert (test["n_cases"], test["cases_per_label"]) == (113, {"Good": 72, "Poor": 41})


def test_exploratory_finds_procs_youden_threshold_and_marks_every_page(shared_data: Path, tmp_path: Path) -> None:
    asah = shared_data / "reference" / "asah.csv"
    metrics = evaluated(asah, tmp_path, columns={**ASAH, "score": "s100b"}, positive="Poor", exploratory=True)
    point = metrics["test"]["operating_point"]
    assert point["exploratory"] is True
    assert point["thresholds"][0]["threshold"] == pytest.approx(0.205)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<div class="exploratory" role="note">Exploratory:' in page
    assert "position: fixed" in page.partition("@media print")[2]  # repeated on every printed page
    stated = evaluated(asah, tmp_path / "2", columns={**ASAH, "score": "s100b"}, positive="Poor", threshold=0.205)
    assert stated["test"]["operating_point"]["exploratory"] is False
    assert 'class="exploratory"' not in (tmp_path / "2" / "report.html").read_text(encoding="utf-8")


def test_scores_that_are_no_probabilities_leave_out_what_asks_for_some(shared_data: Path, tmp_path: Path) -> None:
    asah = shared_data / "reference" / "asah.csv"
    test = evaluated(asah, tmp_path, columns={**ASAH, "score": "ndka"}, positive="Poor", threshold=15)["test"]
    assert test["auc"]["value"] == pytest.approx(0.6119579945799, rel=1e-10)
    for section in ("calibration", "refer", "conformal"):
        assert test[section] is None
        assert test["not_computed"][section] == "the scores are not probabilities"
    assert test["brier"]["value"] is None
    assert test["operating_point"]["thresholds"][0]["threshold"] == 15
    cuts = [cut for cut in test["roc"]["Poor"]["thresholds"] if cut is not None]
    assert max(cuts) > 400  # in the marker's own unit
    worst = test["failures"]["labels"]["Poor"]["false_positives"][0]
    assert worst["probability"] >= 15
    assert "not probabilities" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_score_outside_0_to_1_is_counted_and_its_line_said(tmp_path: Path) -> None:
    rows = binary_rows()
    rows[7]["score"] = "1.2"
    path = write_table(tmp_path / "scores.csv", rows)
    found = medcls.evaluate_scores(path, tmp_path / "out", positive="sick", threshold=0.5, **FAST)
    assert any("(1 of 120 is outside 0 to 1, the first in line 9: 1.2)" in one.text for one in found.warnings)


@pytest.mark.parametrize(
    ("scale", "back"),
    [(lambda p: 100 * p, lambda t: t / 100), (lambda p: np.log(p / (1 - p)), lambda t: 1 / (1 + np.exp(-t)))],
)
def test_a_rising_change_of_scale_changes_no_figure_of_order(
    scale: Callable[[float], float], back: Callable[[float], float], tmp_path: Path
) -> None:
    rows = binary_rows()
    plain = evaluated(write_table(tmp_path / "plain.csv", rows), tmp_path / "a", positive="sick")["test"]
    moved = [{**row, "score": repr(float(scale(float(row["score"]))))} for row in rows]
    other = evaluated(write_table(tmp_path / "moved.csv", moved), tmp_path / "b", positive="sick")["test"]
    for metric in ("auc", "sensitivity", "specificity", "ppv", "npv", "f1", "average_precision"):
        assert other[metric] == plain[metric]
    assert other["confusion_matrix"] == plain["confusion_matrix"]
    mine, theirs = (one["operating_point"]["thresholds"][0] for one in (plain, other))
    assert (mine["sensitivity"], mine["specificity"]) == (theirs["sensitivity"], theirs["specificity"])


def test_tune_rows_choose_and_test_rows_are_judged(tmp_path: Path) -> None:
    rows = binary_rows(200)
    metrics = evaluated(write_table(tmp_path / "s.csv", rows), tmp_path / "a", positive="sick")
    point = metrics["test"]["operating_point"]
    assert point["chosen_on"] == "tune"
    assert metrics["test"]["n_cases"] + metrics["tune"]["n_cases"] == 200
    # Other scores of test cases move no threshold.
    swapped = [{**row, "score": "0.5"} if row["partition"] == "test" else row for row in rows]
    again = evaluated(write_table(tmp_path / "t.csv", swapped), tmp_path / "b", positive="sick")
    assert again["test"]["operating_point"] == point
    assert again["test"]["auc"]["value"] == 0.5


def test_calibration_is_fitted_on_tune_and_shown_before_and_after(tmp_path: Path) -> None:
    rows = several_rows(("a", "b", "c"), multilabel=False, cases=400)
    for row in rows:  # too sure of itself: each probability to the fourth power
        shares = np.array([float(row[f"p_{label}"]) for label in "abc"]) ** 4
        row.update({f"p_{label}": f"{share:.9f}" for label, share in zip("abc", shares / shares.sum(), strict=True)})
    table = write_table(tmp_path / "s.csv", rows)
    plain, better = (
        evaluated(table, tmp_path / "a")["test"],
        evaluated(table, tmp_path / "b", calibrate="temperature")["test"],
    )
    assert better["calibration"]["before"] == plain["calibration"]["after"]
    assert better["calibration"]["after"]["nll"]["value"] < 0.95 * plain["calibration"]["after"]["nll"]["value"]
    assert better["accuracy"] == plain["accuracy"]  # a temperature moves no decision
    assert plain["calibration"]["before"] is None
    assert "not changed" in plain["not_computed"]["calibration.before"]


@pytest.mark.parametrize("multilabel", [False, True])
def test_several_labels_get_everything(multilabel: bool, tmp_path: Path) -> None:
    labels = ("ulcer", "polyp", "blood")
    table = write_table(tmp_path / "s.csv", several_rows(labels, multilabel=multilabel))
    test = evaluated(table, tmp_path / "out", multilabel=multilabel)["test"]
    assert set(test["clinical"]) == set(labels)
    assert [one["prevalence"] for one in test["clinical"]["polyp"]["predictive_values"]] == [0.01, 0.05, 0.1, 0.2]
    assert test["conformal"]["sets"]["chosen_on"] == "tune"
    assert test["operating_point"]["decision"] == ("p >= threshold" if multilabel else "argmax")
    assert test["refer"]["points"][0]["n_referred"] == 0


def test_missing_scores_count_as_failures_in_the_worst_case(tmp_path: Path) -> None:
    rows = binary_rows(200)
    sick = [row for row in rows if row["reference"] == "sick" and row["partition"] == "test"]
    for row in sick[:5]:
        row["score"] = ""
    result = medcls.evaluate_scores(write_table(tmp_path / "s.csv", rows), tmp_path / "o", positive="sick", **FAST)
    assert result.refused == 5
    failures = result.metrics["failures"]
    assert (failures["n_failed"], failures["failed_by_reason"]) == (5, {"no-score": 5})
    one = failures["labels"]["sick"]
    found = one["complete_case"]["sensitivity"]["value"] * (len(sick) - 5)
    assert one["worst_case"]["sensitivity"]["value"] == pytest.approx(found / len(sick))
    assert one["complete_case"]["sensitivity"]["value"] == pytest.approx(result.metrics["sensitivity"]["value"])
    assert "5 of 132 cases got no prediction" in (tmp_path / "o" / "report.html").read_text(encoding="utf-8")


def test_figures_and_subgroups_stand_in_long_tables(tmp_path: Path) -> None:
    metrics = evaluated(write_table(tmp_path / "s.csv", binary_rows(300)), tmp_path, positive="sick")
    with (tmp_path / "figures.csv").open(encoding="utf-8") as handle:
        rows = {(row["partition"], row["label"], row["figure"]): row for row in csv.DictReader(handle)}
    assert float(rows["test", "", "auc"]["value"]) == metrics["test"]["auc"]["value"]
    ppv = metrics["test"]["clinical"]["sick"]["predictive_values"][0]["ppv"]["value"]
    assert float(rows["test", "sick", "clinical.predictive_values[prevalence=0.01].ppv"]["value"]) == ppv
    assert ("test", "", "calibration.after.slope") in rows
    with (tmp_path / "subgroups.csv").open(encoding="utf-8") as handle:
        groups = list(csv.DictReader(handle))
    assert {row["group"] for row in groups if row["figure"] == "auc"} == {"female", "male"}
    assert {row["fact"] for row in groups} == {"sex"}


WRONG: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("a score that is no number", {"score": "high"}, {}, "s.csv:4: 'high' in column 'score' is no number"),
    ("an infinite score", {"score": "inf"}, {}, "s.csv:4: 'inf' in column 'score' is not finite"),
    ("a case twice", {"case": "c0"}, {}, "s.csv:4: the same case as in line 2"),
    ("no patient", {"patient": ""}, {}, "s.csv:4: no patient in column 'patient'"),
    ("no reference", {"reference": ""}, {}, "s.csv:4: no reference label in column 'reference'"),
    ("a strange partition", {"partition": "later"}, {}, "s.csv:4: 'later' in column 'partition' names no partition"),
    ("no positive label", {}, {"positive": None}, "of two labels one must be named positive"),
    ("an unknown positive label", {}, {"positive": "ill"}, "'ill' is none of the labels"),
    (
        "an unknown column",
        {},
        {"columns": {"score": "scoer"}},
        "there is no column 'scoer' for the score. Did you mean 'score'?",
    ),
    ("an unknown role", {}, {"columns": {"scor": "score"}}, "'scor' is no role of a column. Did you mean 'score'?"),
    ("the reference as a fact", {}, {"covariates": ["reference"]}, "'reference' is the reference itself, and no fact"),
    ("a strange fact", {}, {"covariates": ["weight"]}, "there is no column 'weight' to form subgroups by"),
]


@pytest.mark.parametrize(("column", "other"), [("patient", "Patient ID"), ("partition", "Split"), ("partition", "use")])
def test_patients_and_partitions_under_another_name_are_not_left_unread(
    column: str, other: str, tmp_path: Path
) -> None:
    rows = [{other if name == column else name: cell for name, cell in row.items()} for row in binary_rows(60)]
    table = write_table(tmp_path / "s.csv", rows)
    with pytest.raises(CohortError) as caught:
        medcls.evaluate_scores(table, tmp_path / "out", positive="sick", **FAST)
    assert f"s.csv:1: there is no column '{column}', but '{other}' looks like it" in str(caught.value)
    assert not (tmp_path / "out").exists()
    medcls.evaluate_scores(table, tmp_path / "out", positive="sick", columns={column: other}, **FAST)


@pytest.mark.parametrize(("change", "options", "line"), [one[1:] for one in WRONG], ids=[one[0] for one in WRONG])
def test_what_is_wrong_is_one_line_with_its_place(
    change: dict[str, Any], options: dict[str, Any], line: str, tmp_path: Path
) -> None:
    rows = binary_rows(30)
    rows[2].update(change)
    table = write_table(tmp_path / "s.csv", rows)
    with pytest.raises((CohortError, UsageError)) as caught:
        medcls.evaluate_scores(table, tmp_path / "out", **{"positive": "sick", **options}, **FAST)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("NA", "no reference label in column 'reference' ('NA')"),
        ("", "no reference label in column 'reference'"),
        ("Sick", "'Sick' and 'sick' in column 'reference' differ only"),
        ("sick|well", "'sick|well' in column 'reference' holds several labels"),
        ("sick; well", "'sick; well' in column 'reference' holds several labels"),
        ("sick/well", "'sick/well' in column 'reference' holds several labels"),
    ],
)
def test_a_reference_that_is_not_one_label_is_refused_with_its_line(tmp_path: Path, cell: str, words: str) -> None:
    rows = binary_rows(12)
    rows[4]["reference"] = cell
    with pytest.raises(CohortError) as error:
        evaluated(write_table(tmp_path / "s.csv", rows), tmp_path / "out", positive="sick", threshold=0.5)
    assert str(error.value).startswith(f"{tmp_path / 's.csv'}:6: {words}")


@pytest.mark.parametrize("pair", [("1", "1.0"), ("1", "yes"), ("covid-19", "covid_19")])
def test_one_reference_label_in_two_spellings_is_refused_with_its_line(tmp_path: Path, pair: tuple[str, str]) -> None:
    rows = binary_rows(12)
    for row in rows:
        row["reference"] = "0" if row["reference"] == "well" else pair[0]
    rows[4]["reference"] = pair[1]
    with pytest.raises(CohortError, match=r"s.csv:6: .*differ only in how they are written. Write them alike"):
        evaluated(write_table(tmp_path / "s.csv", rows), tmp_path / "out", positive=pair[0], threshold=0.5)


def test_a_case_without_any_of_several_labels_is_said_to_have_none(tmp_path: Path) -> None:
    rows = several_rows(["a", "b"], multilabel=True, cases=60)
    without = [number for number, row in enumerate(rows) if row["reference"] == "none"]
    metrics = evaluated(write_table(tmp_path / "s.csv", rows), tmp_path / "out")
    assert metrics["test"]["n_cases"] == 30
    assert metrics["test"]["cases_per_label"]["a"] == sum("a" in row["reference"] for row in rows[::2])
    for cell in ("", "NA", "a; NA", "a; none"):
        rows[without[0]]["reference"] = cell
        with pytest.raises(CohortError, match=rf"s.csv:{without[0] + 2}: no reference label.*write 'none' where"):
            evaluated(write_table(tmp_path / "s.csv", rows), tmp_path / "out2")


def test_an_unknown_label_among_several_and_a_row_that_does_not_add_up(tmp_path: Path) -> None:
    rows = several_rows(("a", "b", "c"), multilabel=False, cases=20)
    rows[1]["reference"] = "d"
    with pytest.raises(CohortError, match=r"s\.csv:3: unknown label 'd' in column 'reference'"):
        medcls.evaluate_scores(write_table(tmp_path / "s.csv", rows), tmp_path / "o", **FAST)
    rows = several_rows(("a", "b", "c"), multilabel=False, cases=20)
    rows[4]["p_a"] = "0.9999"
    with pytest.raises(CohortError, match=r"s\.csv:6: the 'p_LABEL' columns add up to"):
        medcls.evaluate_scores(write_table(tmp_path / "s.csv", rows), tmp_path / "o", **FAST)


def test_a_column_of_probabilities_with_something_else_in_it_is_refused_by_line_and_column(tmp_path: Path) -> None:
    rows = [{"p_sick" if key == "score" else key: row[key] for key in row} for row in binary_rows(120)]
    rows[1]["p_sick"] = "1.0000001"  # rounding is no fault
    sound = medcls.evaluate_scores(write_table(tmp_path / "r.csv", rows), tmp_path / "r", **FAST)
    assert sound.metrics["not_computed"].get("calibration") is None
    rows[4]["p_sick"] = "-2.5"
    table = write_table(tmp_path / "s.csv", rows)
    with pytest.raises(CohortError, match=r"s\.csv:6: -2\.5 in column 'p_sick' is no probability") as caught:
        medcls.evaluate_scores(table, tmp_path / "o", **FAST)
    assert "--columns score=p_sick" in str(caught.value)
    named = medcls.evaluate_scores(
        table, tmp_path / "n", columns={"score": "p_sick"}, positive="sick", **FAST
    )  # the remedy works
    assert named.metrics["not_computed"]["calibration"] == "the scores are not probabilities"
    several = several_rows(("a", "b"), multilabel=True)
    several[0]["p_b"] = "3"
    with pytest.raises(CohortError, match=r"m\.csv:2: 3 in column 'p_b' .*sigmoid"):
        medcls.evaluate_scores(write_table(tmp_path / "m.csv", several), tmp_path / "m", multilabel=True, **FAST)


def test_a_folder_of_scores_is_called_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="the file of scores is a folder, not a file"):
        medcls.evaluate_scores(tmp_path, tmp_path / "o", **FAST)


def test_a_patient_on_two_sides_stops_unless_a_reason_is_given(tmp_path: Path) -> None:
    rows = binary_rows(60)
    rows[2]["patient"] = "p0"  # a test case of a tune patient
    table = write_table(tmp_path / "s.csv", rows)
    with pytest.raises(CohortError, match=r"s\.csv:4: 1 patient is both among the test rows and the others"):
        medcls.evaluate_scores(table, tmp_path / "o", positive="sick", **FAST)
    medcls.evaluate_scores(table, tmp_path / "o", positive="sick", allow_leakage="a second lesion", **FAST)
    page = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert "which was allowed: a second lesion" in page
    assert "No patient is in two partitions" not in page
    assert "none of whom took part" not in page


def test_a_stated_threshold_stands_in_the_report_as_it_was_stated(tmp_path: Path) -> None:
    table = write_table(tmp_path / "s.csv", binary_rows(60))
    medcls.evaluate_scores(table, tmp_path / "o", positive="sick", threshold=0.2053, **FAST)
    assert "is at least 0.2053." in (tmp_path / "o" / "report.html").read_text(encoding="utf-8")


def test_without_tune_rows_the_threshold_must_be_known(tmp_path: Path) -> None:
    rows = [{key: value for key, value in row.items() if key != "partition"} for row in binary_rows(40)]
    table = write_table(tmp_path / "s.csv", rows)
    with pytest.raises(UsageError, match=r"no tune rows to choose the operating point on.*--exploratory"):
        medcls.evaluate_scores(table, tmp_path / "o", positive="sick", **FAST)
    assert evaluated(table, tmp_path / "o", positive="sick", threshold=0.5)["test"]["n_cases"] == 40


def test_names_stay_home_unless_they_are_wanted(tmp_path: Path) -> None:
    rows = [{**row, "case": f"Meier-{row['case']}", "patient": f"Anna-{row['patient']}"} for row in binary_rows(80)]
    table = write_table(tmp_path / "s.csv", rows)
    for out, keep in (("hidden", False), ("kept", True)):
        medcls.evaluate_scores(table, tmp_path / out, positive="sick", keep_names=keep, **FAST)
        text = "".join(file.read_text(encoding="utf-8") for file in (tmp_path / out).iterdir())
        assert ("Meier" in text) is keep
        assert "Anna" not in text
        assert str(tmp_path) not in text
    assert "line " in (tmp_path / "hidden" / "metrics.json").read_text(encoding="utf-8")


def test_earlier_results_are_never_replaced_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = write_table(tmp_path / "s.csv", binary_rows(40))
    folders = [medcls.evaluate_scores(table, positive="sick", **FAST).folder for _ in range(2)]
    assert [folder.as_posix() for folder in folders] == ["evaluation-s", "evaluation-s-2"]
    before = (folders[0] / "metrics.json").read_bytes()
    with pytest.raises(UsageError, match=r"has results already.*--overwrite"):
        medcls.evaluate_scores(table, folders[0], positive="sick", seed=5, **FAST)
    assert (folders[0] / "metrics.json").read_bytes() == before
    medcls.evaluate_scores(table, folders[0], positive="sick", seed=5, overwrite=True, **FAST)
    assert (folders[0] / "metrics.json").read_bytes() != before


def test_the_order_of_rows_and_separators_of_other_countries_change_nothing(tmp_path: Path) -> None:
    rows = binary_rows(60)
    plain = evaluated(write_table(tmp_path / "s.csv", rows), tmp_path / "a", positive="sick")["test"]
    german = [";".join(rows[0]), *(";".join(str(one).replace(".", ",") for one in row.values()) for row in rows[::-1])]
    (tmp_path / "g.csv").write_text("\ufeff" + "\r\n".join(german), encoding="utf-8")
    other = evaluated(tmp_path / "g.csv", tmp_path / "b", positive="sick")["test"]
    for metric in ("auc", "sensitivity", "brier"):
        assert other[metric]["value"] == pytest.approx(plain[metric]["value"], rel=1e-12)


def test_evaluating_scores_imports_neither_torch_nor_monai() -> None:
    code = (
        "import sys, medcls; medcls.evaluate_scores; print(sorted({'torch', 'monai', 'lightning'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_columns_that_are_no_facts_form_no_subgroups_and_one_note_says_which(tmp_path: Path) -> None:
    rows = binary_rows(120)
    for number, row in enumerate(rows):
        row |= {
            "accession": f"A{number}",
            "grade": "5" if row["reference"] == "sick" else "1",
            "volume": str(number % 40 + 0.5),
            "age": str(20 + number % 60),
            "stage": str(number % 3),
        }
    table = write_table(tmp_path / "s.csv", rows)
    result = medcls.evaluate_scores(table, tmp_path / "o", positive="sick", **FAST)
    covariates = {one["fact"] for one in result.metrics["subgroups"]["facts"]}
    assert covariates == {"sex", "age", "stage"}
    notes = [one.text for one in result.warnings if one.code == "subgroups"]
    assert len(notes) == 1
    for words in ("‘accession’ (another value for each case)", "‘grade’ (its values tell the reference label exactly)"):
        assert words in notes[0]
    assert "‘volume’ (40 different numbers)" in notes[0]
    assert "‘grade’" in (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    named = medcls.evaluate_scores(table, tmp_path / "p", positive="sick", covariates=["volume", "grade"], **FAST)
    assert {one["fact"] for one in named.metrics["subgroups"]["facts"]} == {"volume", "grade"}
    assert not any(one.code == "subgroups" for one in named.warnings)
    write_table(tmp_path / "s.csv", [{**row, "age": f"{row['age']} years"} for row in rows])
    for number, covariates in enumerate((None, ["age"])):
        unread = medcls.evaluate_scores(table, tmp_path / f"{number}", positive="sick", covariates=covariates, **FAST)
        assert "‘age’ (none of its values can be read as what its name says)" in " ".join(map(str, unread.warnings))


def test_the_column_gender_keeps_its_name_and_what_it_says_beyond_the_sexes(tmp_path: Path) -> None:
    rows = [{**row, "gender": "Female" if row["sex"] == "F" else "Male"} for row in binary_rows(300)]
    for row in rows:
        row.pop("sex")
    metrics = evaluated(write_table(tmp_path / "s.csv", rows), tmp_path / "a", positive="sick")["test"]
    (covariate,) = metrics["subgroups"]["facts"]
    assert covariate["fact"] == "gender"
    assert [group["name"] for group in covariate["labels"]["sick"]["groups"]] == ["male", "female"]
    page = (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    assert "gender, ‘sick’" in page
    assert "sex, ‘sick’" not in page.lower()
    for row in rows[::5]:
        row["gender"] = "Non-binary"
    metrics = evaluated(write_table(tmp_path / "t.csv", rows), tmp_path / "b", positive="sick")["test"]
    names = {group["name"] for group in metrics["subgroups"]["facts"][0]["labels"]["sick"]["groups"]}
    assert names == {"Female", "Male", "Non-binary"}


def test_a_bare_score_is_not_called_a_probability(shared_data: Path, tmp_path: Path) -> None:
    bare = {"columns": {**ASAH, "score": "ndka"}, "positive": "Poor", "threshold": 15}
    evaluated(shared_data / "reference" / "asah.csv", tmp_path / "a", **bare)
    between = write_table(tmp_path / "s.csv", binary_rows(120))
    medcls.evaluate_scores(between, tmp_path / "b", positive="sick", threshold=0.5, **FAST)
    for folder in ("a", "b"):
        page = (tmp_path / folder / "report.html").read_text(encoding="utf-8")
        assert "its score is at least" in page
        assert "the higher score" in page
        assert "higher probability" not in page
    assert "evaluated as probabilities, which their column does not say" in page
    stated = [{**row, "p_sick": row["score"]} for row in binary_rows(120)]
    for row in stated:
        row.pop("score")
    medcls.evaluate_scores(write_table(tmp_path / "p.csv", stated), tmp_path / "c", threshold=0.5, **FAST)
    page = (tmp_path / "c" / "report.html").read_text(encoding="utf-8")
    assert "its probability is at least" in page
    assert "which their column does not say" not in page


def test_pages_say_nothing_odd_of_a_model_that_is_always_or_never_right(tmp_path: Path) -> None:
    """A page is read as a reader reads it: no 'about 0', no 'fixed, on given', no hyphen for a minus."""
    rows = [{**row, "score": "-0.5" if row["reference"] == "well" else "2.5"} for row in binary_rows(160)]
    worse = [{**row, "score": "2.5" if row["reference"] == "well" else "-0.5"} for row in binary_rows(160)]
    first, second = write_table(tmp_path / "right.csv", rows), write_table(tmp_path / "wrong.csv", worse)
    options = {"positive": "sick", "threshold": -0.25, "compare_threshold": -0.25, **FAST}
    medcls.evaluate_scores(first, tmp_path / "r", compare=second, **options)
    medcls.evaluate_scores(second, tmp_path / "w", positive="sick", threshold=-0.25, **FAST)
    pages = [tmp_path / "r" / "report.html", tmp_path / "r" / "compare.html", tmp_path / "w" / "report.html"]
    for page in pages:
        text = re.sub(r"<style>.*?</style>|<[^>]*>", " ", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        text = re.sub(r"\d{4}-\d\d-\d\dT\S+", "", text)
        for odd in ("about 0", "about 100 ", "under 0.", "over 99", "fixed, on", "on given", "has no interval"):
            assert odd not in text, (page, odd)
        assert re.findall(r"(?<![\w.])-\.?\d", text) == []
    right, compared, wrong = (page.read_text(encoding="utf-8") for page in pages)
    assert "it finds all" in right
    assert "may equal a limit of its interval" in right
    assert "may equal a limit of its interval" in compared
    assert "Stated beforehand." in compared
    assert "it finds none" in wrong


def refused(tmp_path: Path, rows: list[dict[str, Any]], **options: Any) -> str:
    with pytest.raises((CohortError, UsageError)) as error:
        evaluated(write_table(tmp_path / "s.csv", rows), tmp_path / "out", **options)
    return str(error.value)


def test_a_score_in_the_place_of_the_reference_is_asked_about(tmp_path: Path) -> None:
    swapped = [{**row, "reference": row["score"], "score": row["reference"]} for row in binary_rows(30)]
    line = refused(tmp_path, swapped, positive="sick", threshold=0.5)
    assert "column 'reference' has 30 different numbers: it looks like a measure" in line
    assert "Are the columns swapped? Then give --columns reference=score,score=reference" in line
    both = [{**row, "reference": row["score"]} for row in binary_rows(30)]
    assert "swapped" not in refused(tmp_path, both, positive="sick", threshold=0.5)


def test_a_reference_of_one_label_alone_is_said(tmp_path: Path) -> None:
    rows = [{**row, "reference": "sick"} for row in binary_rows(12)]
    line = refused(tmp_path, rows, positive="sick", threshold=0.5)
    assert "all 12 rows have the reference label 'sick'" in line
    assert "p_LABEL" not in line


def test_a_column_without_any_score_is_named(tmp_path: Path) -> None:
    rows = [{**row, "mark": "", "partition": "test"} for row in binary_rows(12)]
    line = refused(tmp_path, rows, positive="sick", threshold=0.5, columns={"score": "mark"})
    assert "none of the 12 test rows has a score in the column 'mark'" in line
    several = [{**row, "p_a": ""} for row in several_rows(["a", "b", "c"], multilabel=False, cases=12)]
    assert "in all of the columns 'p_a', 'p_b', 'p_c'" in refused(tmp_path, several)


def test_a_formula_is_called_one_in_any_column_that_is_read(tmp_path: Path) -> None:
    for column, cell in (("reference", "=IF(A1;1;0)"), ("score", "=B2"), ("patient", "=Sheet1!$A$1")):
        rows = binary_rows(12)
        rows[4][column] = cell
        line = refused(tmp_path, rows, positive="sick", threshold=0.5)
        assert f"s.csv:6: '{cell}' in column '{column}' is a formula of a spreadsheet" in line


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (lambda row, _: str(int(row["reference"] == "sick")), "they may be the reference itself"),
        (lambda row, number: str(int((row["reference"] == "sick") ^ (number % 5 == 0))), "so they are decisions"),
        (lambda _, __: "0.7", "all cases have the same score of sick"),
    ],
)
def test_scores_that_tell_more_or_less_than_scores_are_said_to(
    score: Callable[[dict[str, Any], int], str], words: str, tmp_path: Path
) -> None:
    rows = [{**row, "score": score(row, number)} for number, row in enumerate(binary_rows(60))]
    result = medcls.evaluate_scores(
        write_table(tmp_path / "s.csv", rows), tmp_path / "out", positive="sick", threshold=0.5, **FAST
    )
    said = [*map(str, result.warnings), *result.metrics["notes"]]
    assert sum(words in one for one in said) == 1
    assert not any("in the scores' own unit" in one for one in said)
