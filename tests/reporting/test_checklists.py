"""Checklists and model card: every item once, filled from the run or said not to be known, with the metrics of the file."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from medcls.config import Config
from medcls.config.settings import EvaluationSettings
from medcls.evaluation.partition.baseline import BaselinePredictions, baseline_metrics
from medcls.evaluation.subgroups.subgroups import subgroup_metrics
from medcls.reporting import CohortFlow, ReportContent, render_report
from medcls.reporting.checklists import FILES, filled_checklists, markdown
from medcls.reporting.checklists.answers import ANSWERS
from medcls.reporting.checklists.filling import CHECKLISTS, NOT_AVAILABLE, checklists_section
from medcls.reporting.checklists.results import subgroups
from medcls.reporting.content import PartitionCounts, ReasonCount
from medcls.reporting.documents.model_card import model_card
from medcls.reporting.record import Origin, Record
from medcls.reporting.text.plain_markdown import plain
from medcls.reporting.text.wording import FURTHER_TITLES, TITLES, show
from medcls.values.caution import note
from medcls.values.label_space import LabelSpace
from tests.factories.evaluations import studied
from tests.factories.pages import EVIL, Page
from tests.factories.predictions import half, some_binary, some_labels, some_multilabel
from tests.factories.shifts import measures, shift

SECRET = "/scans/Canarius^Volatilis"
LETTERS = {
    "tripod-ai": {
        3: "abc",
        5: "ab",
        6: "abc",
        8: "abc",
        9: "abc",
        12: "abcdefg",
        18: "abcdef",
        20: "abc",
        23: "ab",
        27: "abc",
    },
    "stard-ai": {10: "ab", 12: "ab", 13: "ab", 21: "ab"},
    "claim-2024": {},
}
LAST = {"claim-2024": 44, "tripod-ai": 27, "stard-ai": 30}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    predictions = some_binary(n=150)
    simple = BaselinePredictions("a linear model", some_binary(n=150, shift=0.2), half(predictions), 43, 0.1)
    beside = baseline_metrics(predictions, half(predictions), simple, EvaluationSettings(replicates=100))
    found = studied(predictions) | {"baseline": beside.to_json()}
    return found


def record(document: dict[str, Any], reported: str = "test", **changes: Any) -> Record:
    values: dict[str, Any] = {
        "title": "lung",
        "region": "lung",
        "created": "2026-01-01",
        "space": LabelSpace(("well", "sick"), "sick"),
        "cohort": CohortFlow(
            201,
            (ReasonCount("truncated", "The file is cut off.", 1),),
            (PartitionCounts("test", 150, 150, {"well": 100, "sick": 50}),),
        ),
        "metrics": {reported: document},
        "reported": reported,
        "classifier": {
            "Network": "densenet121, 3-D",
            "Input": "96 x 96 x 96, 1 channel",
            "Starting weights": "random",
        },
        "environment": {"python": "3.12"},
        "warnings": note("few-cases", "few patients"),
    }
    config = Config.model_validate(
        {"data": {"cases": f"{SECRET}/cases.csv"}, "runs": SECRET, "model": {"weights": SECRET}}
    )
    return Record(ReportContent(**(values | changes)), config, {"weights.safetensors": "ab" * 32})


@pytest.mark.parametrize("checklist", CHECKLISTS, ids=lambda one: one.name)
def test_every_number_is_there_once_and_in_order(checklist: Any) -> None:
    letters = LETTERS[checklist.name]
    wanted = [
        f"{number}{letter}" for number in range(1, LAST[checklist.name] + 1) for letter in (letters.get(number) or [""])
    ]
    numbers = [one.number for one in checklist.items]
    assert [one for one in numbers if not one.startswith("AI-")] == wanted
    assert len(set(numbers)) == len(numbers)
    assert all(one.text and one.section and one.authors for one in checklist.items)
    assert {name for one in checklist.items for name in one.answers} <= set(ANSWERS)


def test_every_answer_is_asked_for() -> None:
    assert set(ANSWERS) == {name for checklist in CHECKLISTS for one in checklist.items for name in one.answers}


def test_every_item_is_filled_or_says_that_the_run_cannot_know(document: dict[str, Any]) -> None:
    for filled in filled_checklists(record(document)):
        for one in filled.items:
            said, where, authors = one.cells()[3:]
            assert authors
            assert (said == NOT_AVAILABLE) == (not one.filled)
            assert (where == "–") == (not one.filled)
        known = Counter(one.filled for one in filled.items)
        assert known[True] > 15
        assert known[False] > 5
        rows = [line for line in markdown(filled, "lung").splitlines() if re.match(r"\| (AI-)?\w+ \|", line)][1:]
        assert len(rows) == len(filled.items)
        assert all(len(re.findall(r"(?<!\\)\|", row)) == 7 for row in rows)


def test_what_only_authors_know_is_never_filled(document: dict[str, Any]) -> None:
    for filled in filled_checklists(record(document)):
        theirs = [
            one for one in filled.items if re.search(r"[Ff]unding|[Rr]egist|approval|Adverse|Harm", one.item.text)
        ]
        assert theirs
        assert not any(one.filled for one in theirs)


def test_the_line_on_subgroups_says_how_many_are_suppressed() -> None:
    predictions = some_binary(n=150)
    covariates = {"sex": ["F"] * 100 + ["M"] * 45 + ["O"] * 5, "year": ["2020"] * 80 + ["2021"] * 70}
    found = subgroup_metrics(predictions, half(predictions), covariates, EvaluationSettings(replicates=100)).to_json()
    said, where = subgroups(record({"subgroups": found})) or ("", "")
    assert said.startswith(
        "metrics of subgroups, at the same threshold for all, by sex, year; "
        "suppressed for fewer than 10 patients: 1 of 5 groups"
    )
    assert where
    whole = subgroup_metrics(
        predictions, half(predictions), {"year": covariates["year"]}, EvaluationSettings(replicates=100)
    )
    plain_line = (subgroups(record({"subgroups": whole.to_json()})) or ("",))[0]
    assert "suppressed" not in plain_line


def test_the_card_has_the_figures_of_the_file(document: dict[str, Any]) -> None:
    card = model_card(record(document))
    for name in (*TITLES, *FURTHER_TITLES):
        if name in document:
            shown = show(name, document[name])
            assert f"| {plain(shown.title)} | {plain(shown.value)} | {plain(shown.interval) or '–'} |" in card
    slope = document["calibration"]["after"]["slope"]["value"]
    assert f"| Calibration slope | {slope:.2f} |" in card
    assert "ab" * 32 in card
    headings = re.findall(r"^## (.*)$", card, re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert {"Intended use", "Out of scope", "Data", "Performance", "Calibration", "Subgroups", "Limitations"} < set(
        headings
    )
    assert {"Ethical notes", "Versions and hashes", "Licence"} < set(headings)


def test_checklists_have_the_figures_of_the_file(document: dict[str, Any]) -> None:
    text = "".join(markdown(one, "lung") for one in filled_checklists(record(document)))
    for name in ("auc", "sensitivity", "specificity"):
        shown = show(name, document[name])
        assert plain(f"{shown.title} {shown.value} ({shown.interval})") in text
    worst = document["failures"]["labels"]["sick"]
    assert (
        f"or sick {worst['n_false_positive']} false positives and {worst['n_false_negative']} false negatives" in text
    )
    assert "SHA-256 of weights.safetensors" in text


def test_nothing_names_a_path_or_a_person_and_no_label_is_markup(document: dict[str, Any]) -> None:
    evil = record(document, title=EVIL, space=LabelSpace(("well", f"{EVIL}|x"), multilabel=True))
    texts = [markdown(one, evil.content.title) for one in filled_checklists(evil)] + [model_card(evil)]
    for text in texts:
        assert "Canarius" not in text
        assert "Volatilis" not in text
        assert "<script" not in text
        assert EVIL not in text
        assert plain(f"{EVIL}|x") in text, "the label is there, as text"


def test_an_external_cohort_answers_other_items(document: dict[str, Any]) -> None:
    shifted = document | {"shift": shift(measures(100, 0), measures(100, 1, mean=2.0)).to_json()}
    claim = {one.item.number: one for one in filled_checklists(record(shifted, "external"))[0].items}
    assert claim["33"].filled
    assert not claim["32"].filled
    assert "mean strong" in " ".join(claim["30"].values)
    own = {one.item.number: one for one in filled_checklists(record(document))[0].items}
    assert own["32"].filled
    assert not own["33"].filled


@pytest.mark.parametrize("predictions", [some_labels(), some_multilabel()])
def test_other_kinds_of_labels_have_checklists_and_card_too(predictions: Any) -> None:
    found = studied(predictions, covariates={"sex": ["F", "M"] * (predictions.n_cases // 2)}, refused=None)
    given = record(found, space=predictions.space)
    assert len(filled_checklists(given)) == len(FILES)
    assert "| AUC |" in model_card(given)
    assert "None" not in model_card(given)


def test_the_report_has_them_folded_at_its_end_and_its_sections_stand_in_the_list(document: dict[str, Any]) -> None:
    shifted = document | {"shift": shift(measures(100, 0), measures(100, 1, mean=2.0)).to_json()}
    given = record(shifted)
    page = Page(render_report(given.content, (checklists_section(filled_checklists(given)),)))
    sections = [one.get("id") for one in page.all("section")]
    assert sections[-1] == "checklists"
    assert {"baseline", "shift"} < set(sections)
    assert {f"#{one}" for one in sections} - {"#headline"} == {one.get("href") for one in page.all("a")}
    assert len(page.all("table")) == len(page.all("caption"))
    assert "None" not in page.text
    simple = show("auc", document["baseline"]["auc"])
    assert simple.value in page.text
    assert "not to be trusted" in page.text


def values(given: Record, checklist: str, number: str) -> str:
    filled = next(one for one in filled_checklists(given) if one.checklist.name == checklist)
    return ". ".join(next(one for one in filled.items if one.item.number == number).values)


def judged_elsewhere(document: dict[str, Any], **origin: Any) -> Record:
    cohort = CohortFlow(
        52, (ReasonCount("truncated", "", 2),), (PartitionCounts("external", 50, 38, {"well": 30, "sick": 20}),)
    )
    return replace(record(document, "external", cohort=cohort), origin=Origin(evaluated=True, **origin))


def test_an_external_table_is_not_passed_off_as_the_training_data(document: dict[str, Any]) -> None:
    given = judged_elsewhere(document, given=(), training="train 80 cases of 40 patients", met="none is tied")
    for where in (("stard-ai", "19"), ("claim-2024", "7"), ("tripod-ai", "20a")):
        assert "the metrics come from the external table: 52 cases given, 50 used: external 50 cases" in values(
            given, *where
        )
    made_with = "the classifier was trained and tuned on: train 80 cases of 40 patients"
    assert values(given, "stard-ai", "AI-a") == made_with
    assert made_with in values(given, "claim-2024", "7")
    for where in (("claim-2024", "19"), ("tripod-ai", "12a"), ("stard-ai", "AI-c")):
        assert values(given, *where).startswith("nothing was split here")
    assert "For the training: at random by patient" in values(given, "claim-2024", "19")
    assert "none is in two partitions" not in model_card(given)
    assert "None is tied" in model_card(given)
    unknown = judged_elsewhere(document, met="not known")
    assert values(unknown, "stard-ai", "AI-a") == ""
    assert "not available" in values(unknown, "claim-2024", "7")
    assert "not known whether as the table" in values(unknown, "claim-2024", "19")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((), "at random by patient, stratified by label: 15 % tune and 20 % test; the table gave no partitions"),
        (("train", "tune", "test"), "train, tune and test as the table's partition column gave them"),
        (
            ("train", "test"),
            "train and test as the table's partition column gave them; of its train cases at random by patient, "
            "stratified by label: 19 % tune",
        ),
    ],
)
def test_documents_say_which_partitions_the_table_gave(
    document: dict[str, Any], given: tuple[str, ...], words: str
) -> None:
    said = values(replace(record(document), origin=Origin(given=given)), "claim-2024", "19")
    assert said.replace("\u00a0", " ") == words


def test_cases_without_an_answer_are_counted_once(document: dict[str, Any]) -> None:
    failed = document | {"failures": {**document["failures"], "n_failed": 2}}
    given = judged_elsewhere(failed)
    for where in (("claim-2024", "12"), ("tripod-ai", "11"), ("stard-ai", "16")):
        said = values(given, *where)
        assert said.startswith("2 cases without label or readable scan left out")
        assert "of these, 2 of external got no prediction" in said


def test_probabilities_that_no_calibration_changed_are_not_called_calibrated(document: dict[str, Any]) -> None:
    why = "probabilities were not calibrated afterwards: the logits do not follow"
    given = replace(record(document), origin=Origin(calibrated=False, calibration=why))
    everything = model_card(given) + "".join(markdown(one, "lung") for one in filled_checklists(given))
    assert why in everything
    for wrong in ("calibrated afterwards on tune", "a calibrated probability", "After calibration:"):
        assert wrong not in everything
        assert wrong in model_card(record(document)) + "".join(
            markdown(one, "lung") for one in filled_checklists(record(document))
        )
