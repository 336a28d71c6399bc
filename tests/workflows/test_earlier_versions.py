"""A run that version 0.1 trained is loaded, answers and is judged as it was then."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import medcls
from tests.factories.earlier import Earlier, unpack
from tests.factories.runs import rows

FIGURES = ("auc", "sensitivity", "specificity", "brier")


@pytest.fixture
def earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Earlier:
    made = unpack("v0_1", tmp_path)
    monkeypatch.setenv("MEDCLS_PSEUDONYM_KEY", str(made.key))
    return made


def test_it_answers_as_it_did(earlier: Earlier) -> None:
    with open(earlier.cohort / "cases.csv", newline="", encoding="utf-8") as handle:
        judged = [row["scan"] for row in csv.DictReader(handle) if row["split"] in ("tune", "test")]
    then = rows(earlier.run / "predictions.csv")
    classifier = medcls.load(earlier.run, engine="torch")
    assert classifier.labels == ("ill", "well")
    now = [classifier.predict(earlier.cohort / scan).iloc[0] for scan in judged]
    assert [row["p_ill"] for row in now] == pytest.approx([float(row["p_ill"]) for row in then], abs=1e-5)
    assert [row["predicted"] for row in now] == [row["predicted"] for row in then]


def test_it_is_judged_as_it_was(earlier: Earlier) -> None:
    then = medcls.Run(earlier.run).metrics["test"]
    now = medcls.evaluate(earlier.run).metrics
    for name in FIGURES:
        for key in ("value", "low", "high"):
            assert now[name][key] == pytest.approx(then[name][key], abs=1e-4), (name, key)


def test_its_answers_are_explained_and_its_classifier_stands_alone(earlier: Earlier, tmp_path: Path) -> None:
    looked = medcls.explain(earlier.cohort / "image23.png", earlier.run, out=tmp_path / "maps")
    assert len(looked.explained) == 1
    answers = medcls.infer(earlier.cohort, earlier.run / "classifier", tmp_path / "answers")
    assert answers.answered == 24
