"""Sections of the report beyond the metrics, and the page of a comparison: numbers of the file, every text escaped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import medcls
from medcls.evaluation import exploratory_point
from medcls.evaluation.partition.report import EvaluationInput, evaluate_in_full
from medcls.evaluation.partition.sections import SECTIONS as EVALUATED
from medcls.reporting import CohortFlow, ReportContent, render_report
from medcls.reporting.comparison import ComparisonContent, render_comparison
from medcls.reporting.text.numbers import percent
from medcls.values import documents
from medcls.values.label_space import LabelSpace
from tests.factories.evaluations import SETTINGS, studied
from tests.factories.pages import EVIL, Page
from tests.factories.predictions import half, some_binary
from tests.factories.scores import FAST, binary_rows, write_table

SECTIONS = {"calibration", "use", "refer", "subgroups", "failures"}


def page_of(document: dict[str, Any], **changes: Any) -> Page:
    values: dict[str, Any] = {
        "space": LabelSpace(("well", "sick"), "sick"),
        "region": "lung",
        "metrics": {"test": document},
    }
    content = ReportContent(title="t", created="", cohort=CohortFlow(0), **(values | changes))
    return Page(render_report(content))


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return studied()


def test_a_section_is_called_as_the_module_that_makes_it() -> None:
    assert tuple(section.name for section in EVALUATED) == documents.SECTIONS


def test_every_section_stands_there_once_and_in_the_list(document: dict[str, Any]) -> None:
    page = page_of(document)
    sections = [one.get("id") for one in page.all("section")]
    assert len(sections) == len(set(sections))
    assert set(sections) >= SECTIONS
    assert {f"#{one}" for one in sections} - {"#headline"} == {one.get("href") for one in page.all("a")}
    assert "None" not in page.text
    assert len(page.all("table")) == len(page.all("caption"))
    assert all(one.get("alt") for one in page.all("img"))


def test_numbers_are_those_of_the_file(document: dict[str, Any]) -> None:
    text = page_of(document).text
    rare = document["clinical"]["sick"]["predictive_values"][0]
    assert f"1 % have it {percent(rare['ppv']['value'])}" in text
    assert "Before calibration" in text
    worst = document["failures"]["labels"]["sick"]
    assert worst["false_positives"][0]["name"] in text
    assert "1 of 151 cases got no prediction: truncated (1)." in text
    gap = document["subgroups"]["facts"][0]["labels"]["sick"]["gaps"]["sensitivity"]
    assert f"{gap['highest']} {gap['lowest']} {percent(gap['gap']['value'])}" in text
    assert document["conformal"]["sets"]["statement"] in text


def test_a_missing_section_gives_its_reason() -> None:
    predictions = some_binary()
    text = page_of(evaluate_in_full(EvaluationInput(predictions, half(predictions), SETTINGS)).to_json()).text
    assert "Prediction sets not computed : no prediction sets were fitted" in text
    assert "not computed : no covariates are known to form groups by" in text
    assert "The probabilities were not changed by a calibration." in text


def test_exploratory_thresholds_mark_the_page_and_others_do_not(document: dict[str, Any]) -> None:
    predictions = some_binary()
    chosen = evaluate_in_full(EvaluationInput(predictions, exploratory_point(predictions), SETTINGS)).to_json()
    marks = [
        [one for one in page_of(each).all("div") if one.get("class") == "exploratory"] for each in (chosen, document)
    ]
    assert [len(one) for one in marks] == [1, 0]
    assert "chosen on these very cases" in page_of(chosen).text


def test_markup_in_facts_groups_and_names_is_shown_and_never_run() -> None:
    predictions = some_binary(n=150)
    covariates = {EVIL: [EVIL, "other"] * 75}
    page = page_of(studied(predictions, covariates=covariates, names=[EVIL] * 150))
    assert not page.all("script")
    assert page.text.count(EVIL) > 3


def test_parts_that_do_not_apply_are_left_out(document: dict[str, Any]) -> None:
    page = page_of(document, without=frozenset({"training", "explanations", "classifier"}), region="")
    assert not {"training", "explanations", "classifier"} & {one.get("id") for one in page.all("section")}
    assert "Region:" not in page.text
    assert "took part in training" not in page.text


def test_the_page_of_a_comparison_is_safe_and_says_what_the_file_says(tmp_path: Path) -> None:
    names = ("ours.csv", "theirs.csv")
    tables = [write_table(tmp_path / name, binary_rows(200, seed)) for seed, name in enumerate(names)]
    medcls.compare(*tables, out=tmp_path / "o", positive="sick", exploratory=True, **FAST)
    document = json.loads((tmp_path / "o" / "comparison.json").read_text(encoding="utf-8"))
    page = Page((tmp_path / "o" / "compare.html").read_text(encoding="utf-8"))
    assert [one.get("class") for one in page.all("div") if one.get("class") == "exploratory"]
    auc = document["comparisons"][0]["differences"][0]
    assert f"{auc['first']:.3f} {auc['second']:.3f}" in page.text
    document["models"][0]["name"] = document["comparisons"][0]["first"] = EVIL
    evil = Page(render_comparison(ComparisonContent(LabelSpace(("well", EVIL), EVIL), "", document)))
    assert not evil.all("script")
    assert EVIL in evil.text


def test_groups_that_are_all_withheld_are_one_line_and_no_table() -> None:
    predictions = some_binary(n=12)
    covariates = {"year": ["2020"] * 6 + ["2021"] * 6}
    given = EvaluationInput(predictions, half(predictions), SETTINGS, covariates=covariates)
    text = page_of(evaluate_in_full(given).to_json()).text
    assert "All groups are withheld, as their counts are small: year, ‘sick’." in text
    assert "withheld withheld" not in text


def test_a_fact_that_cannot_be_read_is_said() -> None:
    predictions = some_binary()
    for cell, said in (("34 years", True), ("", False)):
        covariates = {"age": [cell] * predictions.n_cases}
        notes = evaluate_in_full(
            EvaluationInput(predictions, half(predictions), SETTINGS, covariates=covariates)
        ).to_json()["notes"]
        assert ("no subgroups are formed by 'age': none of its values can be read" in " ".join(notes)) is said
