"""The report: one safe file that says what was measured, and why not where it was not."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcls.config.settings import Config, EvaluationSettings
from medcls.display import printable
from medcls.evaluation.partition.metrics import evaluate_partition
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.thresholds.operating_point import choose_operating_point
from medcls.files import write_bytes
from medcls.reporting import (
    CohortFlow,
    ExplainedCase,
    PartitionCounts,
    ReasonCount,
    ReportContent,
    render_report,
    write_report,
)
from medcls.reporting.text.config_text import public_config
from medcls.reporting.text.numbers import decimal, percent
from medcls.values.caution import leakage, note, serious
from medcls.values.label_space import LabelSpace
from medcls.values.map_methods import MAP_METHODS, MapChoice
from tests.factories.pages import EVIL, PNG, Page, content, predictions


@pytest.fixture(scope="module")
def binary() -> ReportContent:
    return content()


KINDS = [
    (("normal", "nodule"), "nodule", False),
    (("glioma", "meningioma", "none", "pituitary"), None, False),
    (("ulcer", "polyp", "blood"), None, True),
]


@pytest.mark.parametrize(("labels", "positive", "multilabel"), KINDS, ids=["binary", "multi-class", "multi-label"])
def test_every_section_stands_in_a_well_formed_page(
    labels: tuple[str, ...], positive: str | None, multilabel: bool
) -> None:
    page = Page(render_report(content(labels, positive, multilabel)))
    sections = {one.get("id") for one in page.all("section")}
    assert sections == {
        "headline", "figures", "cohort", "training", "explanations", "limits", "classifier", "config"
    }  # fmt: skip
    for heading in ("In plain words", "How a prediction is made", "Confusion matrix", "ROC curve", "Left out"):
        assert heading in page.text
    for shown in (
        "Sensitivity",
        "Brier score",
        "truncated",
        "densenet121",
        "region: lung",
        "2.13.0",
        "Maps have 4 cells",
    ):
        assert shown in page.text
    assert page.text.startswith("lung nodules – medcls report Research use only")
    assert ("Label by label" in page.text) == (positive is None)
    assert all(label in page.text for label in labels)
    assert "None" not in page.text
    assert "nan" not in page.text.split()


def test_the_page_asks_nobody_for_anything(binary: ReportContent) -> None:
    html = render_report(binary)
    page = Page(html)
    assert not {"script", "link", "iframe", "object", "embed", "form", "base", "svg"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert (attributes.get(name) or "data:").startswith(("data:image/", "data:", "#"))
        assert not any(name.startswith("on") for name in attributes)
    without_pictures = re.sub(r'"data:[^"]*"', '""', html)
    assert "http:" not in without_pictures
    assert "https:" not in without_pictures
    assert "@import" not in html
    assert "url(" not in html
    policy = next(one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy


def test_pictures_are_whole_described_and_fetch_nothing(binary: ReportContent) -> None:
    pictures = Page(render_report(binary)).all("img")
    assert len(pictures) == 6  # ROC, reliability, balance, curves, and two cases
    for picture in pictures:
        kind, data = str(picture["src"]).removeprefix("data:image/").split(";base64,")
        raw = base64.b64decode(data, validate=True)
        assert len(str(picture["alt"])) > 20
        if kind == "png":
            assert raw == PNG
            continue
        for element in ElementTree.fromstring(raw).iter():
            links = [value for name, value in element.attrib.items() if name.endswith("href")]
            assert all(link.startswith(("#", "data:")) for link in links)


def test_tables_say_what_their_heads_are_about(binary: ReportContent) -> None:
    page = Page(render_report(binary))
    assert len(page.all("table")) == len(page.all("caption"))
    assert all(one.get("scope") in ("row", "col") for one in page.all("th"))


def test_markup_in_every_text_is_shown_and_never_run() -> None:
    evil = content(
        ("normal", EVIL),
        EVIL,
        title=EVIL,
        region=EVIL,
        created=EVIL,
        cohort=CohortFlow(40, (ReasonCount(EVIL, EVIL, 1),), (PartitionCounts(EVIL, 40, 40, {EVIL: 3}),)),
        explanations=(ExplainedCase(PNG, f'" onerror="alert(1)" {EVIL}', "true positive"),),
        classifier={EVIL: EVIL},
        config_text=EVIL,
        environment={EVIL: EVIL},
        warnings=note("evil", EVIL),
    )
    html = render_report(evil)
    page = Page(html)
    assert "<script" not in html.lower()
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert EVIL in page.text


@settings(max_examples=30, deadline=None)
@given(label=st.text(min_size=1, max_size=20))
def test_any_label_is_shown_as_it_is(label: str) -> None:
    bare = content_without_figures(label)
    page = Page(render_report(bare))
    shown = "".join(page.words)
    assert not page.all("script")
    assert f"Network {printable(label)}" in shown


@pytest.mark.parametrize("label", ["$\\frac$", "_hidden", "病变", "x" * 80])
def test_charts_take_any_label(label: str) -> None:
    page = Page(render_report(content(("normal", label), label)))
    charts = [base64.b64decode(str(one["src"]).split(",")[1]) for one in page.all("img") if "svg" in str(one["src"])]
    written = ["".join(ElementTree.fromstring(chart).itertext()) for chart in charts]
    assert sum(label[:20] in text for text in written) == 3  # ROC, reliability, balance


def content_without_figures(text: str) -> ReportContent:
    return ReportContent(
        title=text,
        region="lung",
        created="",
        space=LabelSpace(("a", "b", f"{text}.")),
        cohort=CohortFlow(0),
        metrics={"test": {"n_cases": 0, "n_patients": 0}},
        classifier={"Net": f"Network {text}"},
    )


def test_a_report_with_nothing_in_it_says_so_everywhere() -> None:
    page = Page(render_report(content_without_figures("b")))
    assert page.text.count("not estimable") >= 10
    for said in ("No training is recorded", "No case was explained", "No case was left out", "was not recorded"):
        assert said in page.text


def test_an_undefined_figure_gives_its_reason_and_no_number() -> None:
    labels, positive = ("normal", "nodule"), "nodule"
    tune = predictions(labels, positive, False, 1, 40)
    only = tune.reference[:, 0]
    healthy = Predictions(labels, positive, False, tune.probabilities[only], tune.reference[only], tune.patients[only])
    metrics = evaluate_partition(healthy, choose_operating_point(tune), EvaluationSettings(replicates=100)).to_json()
    page = Page(render_report(content(metrics={"test": metrics})))
    assert "Sensitivity: not estimable, because no case has the label." in page.text
    assert "AUC not estimable no case has the label" in page.text
    assert "ROC curve not estimable : nodule: no case has the label" in page.text
    assert "No case has the reference label nodule." in page.text
    assert "nan" not in page.text.lower().split()


def test_plain_words_agree_with_the_figures(binary: ReportContent) -> None:
    test = binary.metrics["test"]
    (_, _), (missed, found) = test["confusion_matrix"]["counts"]
    low, high = (percent(test["sensitivity"][limit]) for limit in ("low", "high"))
    sentence = (
        f"Of every 100 patients with ‘nodule’, it finds about {percent(found / (found + missed))} "
        f"(95 % interval {low} to {high}); here it was {found} of {found + missed}."
    )
    text = Page(render_report(binary)).text.replace("\u00a0", " ")
    assert sentence in text
    threshold = test["operating_point"]["thresholds"][0]["threshold"]
    assert f"‘nodule’ is predicted when its calibrated probability is at least {threshold:.4g}." in text
    assert "chosen on the ‘tune’ partition for the greatest sum of sensitivity and specificity" in text


def test_cases_are_not_called_patients_where_a_patient_has_several(binary: ReportContent) -> None:
    test = {**binary.metrics["test"], "n_patients": 20}
    text = Page(render_report(replace(binary, metrics={"test": test}))).text
    assert "100 cases with ‘nodule’" in text
    assert "100 patients" not in text
    assert "40 cases of 20 patients" in text


def test_tune_figures_are_never_passed_off_as_independent(binary: ReportContent) -> None:
    text = Page(render_report(replace(binary, reported="tune"))).text
    assert "none of whom took part" not in text
    assert "too favourable" in text


def test_a_flow_that_does_not_add_up_is_not_hidden(binary: ReportContent) -> None:
    assert "does not add up" not in render_report(binary)
    lost = replace(binary.cohort, given=binary.cohort.given + 1)
    assert "does not add up" in render_report(replace(binary, cohort=lost))


def test_wrong_answers_come_before_right_ones(binary: ReportContent) -> None:
    text = Page(render_report(binary)).text
    assert text.index("False negatives Prediction wrong case C1") < text.index(
        "True positives Prediction right case C2"
    )


def test_the_same_content_gives_the_same_file(binary: ReportContent) -> None:
    assert render_report(binary) == render_report(binary)


def test_the_file_is_whole_and_replaces_an_older_one(binary: ReportContent, tmp_path: Path) -> None:
    path = tmp_path / "run" / "report.html"
    write_bytes(path, b"older")
    write_report(path, binary)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert text.rstrip().endswith("</html>")
    assert [one.name for one in path.parent.iterdir()] == ["report.html"]


def test_an_older_report_survives_a_failure(
    binary: ReportContent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    write_bytes(path, b"older")
    monkeypatch.setattr("medcls.files.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(Exception, match="no space left"):
        write_report(path, binary)
    assert path.read_bytes() == b"older"
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_the_gravest_warning_comes_first_and_a_leak_stands_out(binary: ReportContent) -> None:
    given = (*note("few-cases", "few cases"), *serious("copies", "copies count twice"), leakage("p is on two sides"))
    page = render_report(replace(binary, warnings=given))
    places = [page.index(text) for text in ("LEAKAGE: p is on two sides.", "Copies count twice.", "Few cases.")]
    assert places == sorted(places)
    assert "<strong>LEAKAGE: p is on two sides.</strong>" in page
    assert replace(binary, warnings=given).leaks_allowed
    assert not binary.leaks_allowed


def test_what_cannot_be_reported_is_refused_at_once(binary: ReportContent) -> None:
    with pytest.raises(ValueError, match="no 'external'"):
        replace(binary, reported="external")


@given(share=st.floats(0, 1))
def test_nothing_short_of_all_is_called_100_percent(share: float) -> None:
    for text, full in ((percent(share), "100"), (decimal(share), "1.00")):
        assert (text == full) == (share == 1)
        assert (float(text.lstrip("<>")) == 0) == (share == 0)


@pytest.mark.parametrize(
    ("share", "shown"), [(0.925, "92"), (0.997, "99.7"), (0.00004, "<0.01"), (0.99999, ">99.99"), (0.5, "50")]
)
def test_percentages(share: float, shown: str) -> None:
    assert percent(share) == shown


@pytest.mark.parametrize("flavour", [PurePosixPath, PureWindowsPath])
def test_the_public_config_keeps_settings_and_withholds_paths(flavour: type[PurePath], tmp_path: Path) -> None:
    folder = tmp_path / "canary-ward" / "Canary^Patient"
    config = Config.model_validate(
        {
            "region": "lung",
            "data": {"cases": str(folder / "cases.csv"), "root": str(folder)},
            "model": {"name": "resnet18", "weights": str(flavour(*folder.parts[1:], "resnet.safetensors"))},
            "privacy": {"key_file": str(folder.parent / "key")},
        }
    )
    text = public_config(config)
    assert "anary" not in text
    assert tmp_path.name not in text
    assert "resnet18" in text
    assert "weights: resnet.safetensors" in text
    assert "learning_rate: 0.0003" in text


def evaluated(**changes: Any) -> str:
    return Page(render_report(content(cases=40, **changes))).text


def test_no_more_is_claimed_of_patients_than_is_known() -> None:
    claim = "none of whom took part in training or in choosing anything"
    assert f"40 cases of 40 patients, {claim}." in evaluated()
    unknown = evaluated(unnamed=40)
    assert claim not in unknown
    assert "40 cases of 40 patients" not in unknown
    assert "every 100 patients" in evaluated()
    assert "every 100 patients" not in unknown
    assert "whose patients are not known (each case counts as one)" in unknown
    partly = evaluated(unnamed=15)
    assert claim not in partly
    assert "25 of 25 known patients, and 15 whose patient is not known" in partly
    pooled = content(unnamed=40)
    pooled = replace(pooled, metrics={"pooled": pooled.metrics["test"]}, reported="pooled")
    text = Page(render_report(pooled)).text
    assert "never saw the patient" not in text
    assert "whether it saw another image of the patient cannot be told" in text


def test_near_copies_stand_beside_the_claim_that_they_weaken() -> None:
    text = evaluated(near=13)
    assert (
        text.index("none of whom") < text.index("13 of the cases look nearly the same") < text.index("In plain words")
    )
    assert "look nearly the same" not in evaluated()


@pytest.mark.parametrize(("called", "standing_out"), [(4, False), (200, True)])
def test_a_predictive_value_of_a_handful_does_not_stand_out(called: int, standing_out: bool) -> None:
    positive = np.arange(2 * called) < called
    scores = np.where(positive, 0.9, 0.1)
    labels = ("normal", "nodule")
    reference = np.stack([~positive, positive], axis=1)
    probabilities = np.stack([1 - scores, scores], axis=1)
    patients = np.arange(2 * called).astype(str)
    cases = Predictions(labels, "nodule", False, probabilities, reference, patients)
    metrics = {
        "test": evaluate_partition(cases, choose_operating_point(cases), EvaluationSettings(replicates=100)).to_json()
    }
    html = render_report(replace(content(), metrics=metrics))
    row = html[html.index("Positive predictive value</th>") :].split("</tr>")[0]
    assert ("<strong" in row) == standing_out
    text = Page(html).text
    assert ("4 of 4 (95 % interval 51 to 100" in text) != standing_out
    assert ("Of every 100 predictions ‘nodule’, all are right" in text) == standing_out


def test_maps_are_called_by_their_method_and_said_to_show_what_it_shows(binary: ReportContent) -> None:
    cases = (ExplainedCase(PNG, "a case", "true positive"),)
    for method, shown in (("grad-cam", "They are coarse"), ("smoothgrad", "up or down")):
        text = Page(render_report(replace(binary, explanations=cases, explained_by=MapChoice(method)))).text
        assert f"{MAP_METHODS[method].title} maps show {MAP_METHODS[method].shows}." in text
        assert shown in text
