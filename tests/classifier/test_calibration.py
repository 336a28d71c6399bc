"""What a classifier keeps besides its network: calibration, operating point, prediction sets; and what it answers by them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import expit, softmax

from medcls.classifier import load_classifier
from medcls.cohort import Case, Cohort
from medcls.config import load_config
from medcls.errors import ClassifierError, ConfigError
from medcls.evaluation import (
    Conformal,
    Predictions,
    Temperature,
    fit_calibration,
    fit_conformal,
)
from medcls.privacy import Pseudonyms
from medcls.values.label_space import LabelSpace
from medcls.workflows.commands.infer import infer
from medcls.workflows.commands.train import train_run
from medcls.workflows.data.label_checks import check_evaluation
from medcls.workflows.fitting.fit_classifier import as_predictions
from medcls.workflows.reporting.report import classifier_properties
from tests.factories.classifiers import LABELS, classifier, sets

torch.set_num_threads(1)


def described(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "classifier.json").read_text(encoding="utf-8"))
    return document


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic"])
def test_a_saved_classifier_answers_as_before(method: Any, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(60, 2))
    reference = (generator.random(60) < expit(logits[:, 0] - logits[:, 1]))[:, None] == [True, False]
    calibration = fit_calibration(logits, reference, method)
    before = classifier(calibration=calibration, conformal=sets(0.4, 0.3), refer=True)
    before.save(tmp_path)
    after = load_classifier(tmp_path, device="cpu")
    assert (after.calibration, after.conformal, after.refer) == (calibration, before.conformal, True)
    for row in logits[:5].astype(np.float32):
        assert after.prediction(row) == before.prediction(row)
        assert after.prediction(row).uncalibrated == pytest.approx(softmax(row.astype(float)))


def test_a_classifier_of_before_prediction_sets_still_loads(tmp_path: Path) -> None:
    classifier().save(tmp_path)
    document = described(tmp_path)
    del document["conformal"], document["refer"], document["operating_point"]["exploratory"]
    assert document["calibration"] == {
        "method": "temperature",
        "link": "softmax",
        "values": [2.0],
        "chosen_on": "tune",
        "nll_before": None,
        "nll_after": None,
        "reason": None,
    }
    (tmp_path / "classifier.json").write_text(json.dumps(document), encoding="utf-8")
    loaded = load_classifier(tmp_path, device="cpu")
    assert loaded.calibration == Temperature("softmax", (2.0,), "tune")
    assert (loaded.conformal, loaded.refer) == (None, False)
    prediction = loaded.prediction(np.array([1.0, 0.0], np.float32))
    assert (prediction.prediction_set, prediction.refer) == (None, False)


@pytest.mark.parametrize(
    "damage",
    [
        {"calibration": {"method": "voodoo"}},
        {"calibration": None},
        {"conformal": {"method": "split-conformal"}},
        {"conformal": {**sets(0.4, 0.3).to_json(), "labels": ["a", "b"]}},
    ],
)
def test_a_damaged_calibration_or_set_is_refused(damage: dict[str, Any], tmp_path: Path) -> None:
    classifier(conformal=sets(0.4, 0.3)).save(tmp_path)
    (tmp_path / "classifier.json").write_text(json.dumps({**described(tmp_path), **damage}), encoding="utf-8")
    with pytest.raises(ClassifierError):
        load_classifier(tmp_path, device="cpu")


@pytest.mark.parametrize(
    ("conformal", "held", "refer"),
    [
        (sets(0.5, 0.5), ("ill",), False),
        (sets(0.5, 0.2), ("ill", "well"), True),
        (sets(0.9, 0.9), (), True),
        (sets(0.9, 0.2), ("well",), True),  # a single label, but not the prediction
    ],
)
def test_a_scan_is_referred_when_its_set_is_not_exactly_the_answer(
    conformal: Conformal, held: tuple[str, ...], refer: bool
) -> None:
    logits = np.array([2.0, 0.0], np.float32)  # ill 0.73, well 0.27 at temperature 2
    prediction = classifier(conformal=conformal, refer=True).prediction(logits)
    assert (prediction.predicted, prediction.prediction_set, prediction.refer) == (("ill",), held, refer)
    quiet = classifier(conformal=conformal).prediction(logits)
    assert (quiet.prediction_set, quiet.refer) == (held, False)


def test_infer_writes_each_set_and_what_it_guarantees(tmp_path: Path) -> None:
    for number in range(2):
        pixels = np.full((20, 20), 80 * number, np.uint8)
        pixels[5:9, 5:9] = 200
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    out = tmp_path / "out"
    unsure = classifier(conformal=sets(0.0, 0.0), refer=True)
    result = infer(unsure, tmp_path, out, Pseudonyms(b"key" * 11))
    document = json.loads((out / "predictions.json").read_text(encoding="utf-8"))
    assert document["conformal"]["statement"] == sets(0.0, 0.0).statement
    assert document["n_to_refer"] == result.to_refer == 2
    assert [(scan["prediction_set"], scan["refer"]) for scan in document["scans"]] == [(["ill", "well"], True)] * 2
    with (out / "predictions.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["prediction_set"], row["refer"]) for row in rows] == [("ill; well", "refer")] * 2
    infer(classifier(), tmp_path, out, Pseudonyms(b"key" * 11), overwrite=True)
    assert json.loads((out / "predictions.json").read_text(encoding="utf-8"))["conformal"] is None
    assert '"refer": true' not in (out / "predictions.json").read_text(encoding="utf-8")


def test_the_sets_of_tune_hold_what_they_guarantee() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=400)
    ill = generator.random(400) < expit(x)
    both = np.stack([expit(x), expit(-x)], axis=1)
    patients = np.arange(400).astype(str)
    tune = Predictions(LABELS, "ill", False, both, np.stack([ill, ~ill], axis=1), patients)
    fitted = fit_conformal(tune, alpha=0.2)
    model = classifier(conformal=fitted, calibration=Temperature("softmax", (1.0,), "tune"))
    told = [model.prediction(np.array([one, 0.0], np.float32)) for one in x]
    held = [
        (label in (prediction.prediction_set or ()))
        for prediction, label in zip(told, np.where(ill, "ill", "well"), strict=True)
    ]
    assert np.mean(held) >= 0.8


def test_predictions_before_calibration_are_the_networks_own() -> None:
    model = classifier()
    cases = [Case(str(number), str(number), Path(f"{number}.png"), (number % 2,)) for number in range(4)]
    logits = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    predictions = {case.name: model.prediction(row) for case, row in zip(cases, logits, strict=True)}
    keep = Pseudonyms(b"", keep=True)
    after = as_predictions(model, cases, predictions, keep)
    before = as_predictions(model, cases, predictions, keep, calibrated=False)
    np.testing.assert_allclose(before.probabilities, softmax(logits.astype(float), axis=1))
    np.testing.assert_allclose(after.probabilities, softmax(logits.astype(float) / 2, axis=1))


@pytest.mark.parametrize(
    ("labels", "multilabel", "evaluation", "place"),
    [
        (("a", "b", "c"), False, {"calibrate": "platt"}, "evaluation.calibrate"),
        (("a", "b"), False, {"calibrate": "dirichlet"}, "evaluation.calibrate"),
        (("a", "b", "c"), True, {"calibrate": "vector"}, "evaluation.calibrate"),
        (("a", "b", "c"), False, {"operating_point": {"sensitivity": 0.9}}, "evaluation.operating_point"),
    ],
)
def test_what_is_not_for_these_labels_is_refused_in_one_line(
    labels: tuple[str, ...], multilabel: bool, evaluation: dict[str, Any], place: str
) -> None:
    cohort = Cohort(LabelSpace(labels, "a" if len(labels) == 2 else None, multilabel))
    with pytest.raises(ConfigError) as error:
        check_evaluation(load_config(None, (), {"evaluation": evaluation}), cohort)
    assert place in str(error.value)
    assert "\n" not in str(error.value)
    check_evaluation(load_config(None, (), {"evaluation": {"calibrate": "isotonic"}}), cohort)


def test_the_report_says_how_probabilities_came_about() -> None:
    assert classifier_properties(classifier())["Calibration"] == "temperature 2, fitted on tune"
    unfit = Temperature("softmax", (1.0,), "tune", reason="there are no cases: not calibrated")
    assert "no cases" in classifier_properties(classifier(calibration=unfit))["Calibration"]
    assert "own" in classifier_properties(classifier(calibration=Temperature("softmax", (1.0,), "none")))["Calibration"]


def test_a_misfit_stops_a_training_before_anything_is_prepared(tmp_path: Path) -> None:
    rows = []
    for number in range(8):
        Image.fromarray(np.full((20, 20), 20 * number, np.uint8)).save(tmp_path / f"{number}.png")
        rows.append(f"{number},{number}.png,{LABELS[number % 2]}")
    (tmp_path / "cases.csv").write_text("patient,scan,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    settings = {
        "data": {"cases": tmp_path / "cases.csv"},
        "positive": "ill",
        "evaluation": {"calibrate": "vector"},
        "runs": tmp_path / "runs",
        "store": {"folder": tmp_path / "store"},
    }
    with pytest.raises(ConfigError, match="three or more"):
        train_run(load_config(None, (), settings))
    assert not (tmp_path / "store").exists()
    assert not list((tmp_path / "runs").glob("*/config.yaml"))
