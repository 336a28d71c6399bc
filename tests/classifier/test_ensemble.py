"""An ensemble answers with the mean of its members' calibrated probabilities, for any kind of labels."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medcls.classifier import Classifier, load_classifier
from medcls.classifier.ensemble import Ensemble
from medcls.config.settings import PreprocessingSettings
from medcls.errors import ClassifierError, UsageError
from medcls.evaluation import Temperature
from medcls.preprocessing import Prepared, build_recipe
from medcls.values.label_space import LabelSpace
from tests.factories.ensembles import ensemble, member, point

torch.set_num_threads(1)

KINDS = ["two", "three", "multilabel"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ensemble")
    ensemble("two").save(folder)
    return folder


def copied(folder: Path, target: Path) -> Path:
    """The same files under other names; those that a test changes it must replace."""
    shutil.copytree(folder, target, copy_function=os.link)
    return target


def scans(n: int = 5) -> list[Prepared]:
    rng = np.random.default_rng(0)
    views = [1, 3, 1, 2, 1]  # some have several views
    return [
        Prepared(rng.normal(size=(views[i], 1, 24, 24)).astype(np.float32), np.stack([np.eye(4)] * views[i]))
        for i in range(n)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_the_members_mean(kind: str) -> None:
    joined, batch_size = ensemble(kind), 3  # views of one scan are in different batches
    predictions = [joined.prediction(row) for row in joined.logits(scans(), batch_size=batch_size)]
    apart = [
        [one.prediction(row).probabilities for row in one.logits(scans(), batch_size=batch_size)]
        for one in joined.members.values()
    ]
    together = np.array([prediction.probabilities for prediction in predictions])
    assert np.allclose(together, np.mean(apart, axis=0), atol=1e-6)
    assert np.ptp(apart, axis=0).max() > 0.05  # members differ, so the mean is no single member
    decided = joined.operating_point.decide(together)
    assert [prediction.predicted for prediction in predictions] == [
        tuple(label for label, one in zip(joined.labels, row, strict=True) if one) for row in decided
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_ensemble_gives_the_same_logits(kind: str, tmp_path: Path) -> None:
    joined = ensemble(kind)
    joined.save(tmp_path / "classifier")
    loaded = load_classifier(tmp_path)
    assert isinstance(loaded, Ensemble)
    assert list(loaded.members) == list(joined.members)
    assert loaded.operating_point == joined.operating_point
    assert loaded.provenance == {"folds": 3}
    first, second = (np.stack(list(one.logits(scans()))) for one in (joined, loaded))
    assert np.array_equal(first, second)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".json", ".safetensors"}


def test_certain_and_impossible_labels_keep_finite_logits() -> None:
    joined = ensemble("multilabel")
    sure = {
        name: replace(one, calibration=Temperature("sigmoid", (1e-6,), "tune")) for name, one in joined.members.items()
    }
    logits = np.stack(list(replace(joined, members=sure).logits(scans())))
    assert np.isfinite(logits).all()


def test_members_must_answer_the_same_question() -> None:
    first = member(1, "two", 1.0)
    with pytest.raises(UsageError, match="needs members"):
        Ensemble.of({}, point("two", 0.5), {})
    for other in (
        replace(first, space=LabelSpace(("ill", "sound"), "ill")),
        replace(first, recipe=build_recipe("generic", PreprocessingSettings(size=[32, 32], channels=1))),
    ):
        with pytest.raises(UsageError, match="'1-2' has other labels or another recipe"):
            Ensemble.of({"1-1": first, "1-2": other}, point("two", 0.5), {})


@pytest.mark.parametrize(
    ("key", "value"),
    [("members", []), ("members", [{"name": "1-1"}]), ("members", 3), ("labels", ["x"]), ("operating_point", {})],
)
def test_a_garbled_description_is_refused_in_one_line(saved: Path, tmp_path: Path, key: str, value: object) -> None:
    copy = copied(saved, tmp_path / "copy")
    description = json.loads((copy / "classifier.json").read_text(encoding="utf-8"))
    (copy / "classifier.json").unlink()
    (copy / "classifier.json").write_text(json.dumps(description | {key: value}), encoding="utf-8")
    with pytest.raises(ClassifierError):
        load_classifier(copy)


def test_a_missing_or_exchanged_member_is_refused(saved: Path, tmp_path: Path) -> None:
    copy = copied(saved, tmp_path / "copy")
    members = copy / "members"
    shutil.rmtree(members / "1-2")
    with pytest.raises(ClassifierError, match="'1-2' is missing"):
        load_classifier(copy)
    copied(members / "1-1", members / "1-2")
    with pytest.raises(ClassifierError, match="not the one"):
        load_classifier(copy)


@pytest.mark.parametrize("classifier", [member(1, "two", 1.0), ensemble("two")])
def test_what_is_no_scan_or_no_folder_is_one_line(classifier: Classifier, tmp_path: Path) -> None:
    for scan in (None, 5, ["a.png"]):
        with pytest.raises(UsageError, match="a scan must be a path"):
            classifier.explain(scan)  # type: ignore[arg-type]
    (tmp_path / "a").write_text("a file", encoding="utf-8")
    with pytest.raises(UsageError, match="a file, not a folder"):
        classifier.save(tmp_path / "a")
    with pytest.raises(UsageError, match="the folder must be a path"):
        classifier.save(None)  # type: ignore[arg-type]
