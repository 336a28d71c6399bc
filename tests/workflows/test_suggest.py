"""Which scans to label next: of patients of whom the run has none, each once, and what was refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import medcls
from medcls.classifier import load_classifier
from medcls.classifier.ensemble import Ensemble
from medcls.cli.app import app
from medcls.errors import NothingToDo, UsageError
from medcls.runs.folder import Run
from tests.factories.runs import Pictures, rows

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def more(pictures: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of pictures: twelve of four others, two of nobody named, one of a patient of the run, a copy, a broken one."""
    folder = tmp_path_factory.mktemp("more")
    rng = np.random.default_rng(3)
    named = {f"new{number}.png": f"other-{number // 3}" for number in range(12)} | {"lone0.png": "", "lone1.png": ""}
    for number, name in enumerate((*named, "theirs.png")):
        pixels = rng.normal(90, 12, (40, 48))
        pixels[8:20, 8:20] += 11 * number
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name)
    shutil.copy(pictures.folder / "image0.png", folder / "copy.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    named |= {"theirs.png": "patient-3", "copy.png": "other-9", "broken.png": "other-8"}
    lines = "".join(f"{name},{patient}\n" for name, patient in named.items())
    (folder / "more.csv").write_text(f"scan,patient\n{lines}", encoding="utf-8")
    return folder


@pytest.mark.parametrize("method", ["entropy", "margin", "core_set", "badge"])
def test_each_patient_is_suggested_once_by_the_least_certain_scan(
    method: str, run: Run, more: Path, tmp_path: Path
) -> None:
    found = medcls.suggest(run.path, more / "more.csv", out=tmp_path, method=method)  # type: ignore[arg-type]
    table = rows(tmp_path / "suggestions.csv")
    assert [row["rank"] for row in table] == [str(rank) for rank in range(1, 7)]
    assert (found.scans, found.patients) == (14, 6)
    assert sorted(row["scans"] for row in table) == ["1", "1", "3", "3", "3", "3"]
    assert len({row["patient"] for row in table if row["patient"]}) == 4
    assert all(row["reason"] and 0 <= float(row["uncertainty"]) <= 1 and not row["disagreement"] for row in table)
    told = load_classifier(run.path).predict(more).set_index("scan")
    for row in table:
        assert float(row["p_ill"]) == pytest.approx(told.p_ill[row["scan"]], abs=1e-4)
        assert row["predicted"] == told.predicted[row["scan"]]
    if method in ("entropy", "margin"):
        assert [float(row["uncertainty"]) for row in table] == sorted(float(row["uncertainty"]) for row in table)[::-1]
    again = medcls.suggest(run.path, more / "more.csv", out=tmp_path / "again", method=method)  # type: ignore[arg-type]
    assert again.to_json() == found.to_json()


def test_the_runs_own_patients_and_images_and_refused_scans_are_listed_apart(
    run: Run, more: Path, tmp_path: Path
) -> None:
    result = CliRunner().invoke(
        app, ["suggest", str(run.path), str(more / "more.csv"), "--count", "2", "--out", str(tmp_path / "next")]
    )
    assert result.exit_code == 3, result.output
    left = {row["scan"]: row["code"] for row in rows(tmp_path / "next" / "left-out.csv")}
    assert left == {"theirs.png": "labelled", "copy.png": "labelled", "broken.png": "damaged"}
    assert len(rows(tmp_path / "next" / "suggestions.csv")) == 2
    assert "1 refused, 2 of the run's own cases" in result.output
    assert "2 of 6 patients, by core_set" in result.output
    assert "the run keeps no perceptual hash of" in result.output
    assert "patient-3" not in (tmp_path / "next" / "left-out.csv").read_text(encoding="utf-8")


def test_an_ensemble_is_asked_where_its_members_disagree(run: Run, more: Path, tmp_path: Path) -> None:
    copy, member = Run(shutil.copytree(run.path, tmp_path / "copy")), load_classifier(run.path, engine="torch")
    other = load_classifier(run.path, engine="torch")
    with torch.no_grad():
        for parameter in other.network.head.parameters():
            parameter.add_(torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape))
    shutil.rmtree(copy.classifier_folder)
    Ensemble.of({"one": member, "other": other}, member.operating_point, member.provenance).save(copy.classifier_folder)
    found = medcls.suggest(copy.path, more / "more.csv", out=tmp_path / "out", method="bald")
    disagreement = [one.disagreement or 0.0 for one in found.rows]
    assert disagreement == sorted(disagreement, reverse=True)
    assert disagreement[0] > 0.01
    said = load_classifier(copy.path).predict(more).set_index("scan").p_ill
    for one in found.rows:
        assert one.row.prediction is not None
        assert one.row.prediction.probabilities[0] == pytest.approx(said[one.row.scan], abs=1e-4)


def test_what_cannot_be_suggested_is_one_line(run: Run, pictures: Pictures, more: Path, tmp_path: Path) -> None:
    for call, error, words in (
        (
            lambda: medcls.suggest(run.path, pictures.folder, out=tmp_path / "a"),
            NothingToDo,
            "no scan is left to suggest: 0 refused, 48 of the run's own cases",
        ),
        (lambda: medcls.suggest(run.path, more, method="bald"), UsageError, "members of an ensemble"),
        (lambda: medcls.suggest(run.path, more, method="chance"), UsageError, "'chance' is no method"),  # type: ignore[arg-type]
        (lambda: medcls.suggest(run.path, more, count=0), UsageError, "0 scans cannot be suggested"),
        (lambda: medcls.suggest(run.path, more / "nowhere"), UsageError, "nothing at this path"),
    ):
        with pytest.raises(error, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert len(rows(tmp_path / "a" / "left-out.csv")) == 48


def test_what_looks_nearly_the_same_as_a_case_of_train_is_left_out(run: Run, more: Path, tmp_path: Path) -> None:
    hashed = {row["case"] for row in rows(run.path / "training-cases.csv") if row["hash"]}
    names = run.load_config().privacy.pseudonyms()
    table = rows(run.load_config().data.cases)  # type: ignore[arg-type]
    scan = next(row["scan"] for row in table if names.case(row["case"]) in hashed)
    picture = np.asarray(Image.open(run.load_config().data.cases.parent / scan)).astype(float)  # type: ignore[union-attr]
    (tmp_path / "scans").mkdir()
    Image.fromarray((picture * 0.9 + 20).clip(0, 255).astype(np.uint8)).save(tmp_path / "scans" / "brighter.png")
    shutil.copy(more / "new0.png", tmp_path / "scans")
    found = medcls.suggest(run.path, tmp_path / "scans", out=tmp_path / "out")
    assert [one.row.scan for one in found.rows] == ["new0.png"]
    (left,) = rows(tmp_path / "out" / "left-out.csv")
    assert (left["scan"], left["code"]) == ("brighter.png", "labelled")
    assert "nearly the same" in left["reason"]


def test_scans_unlike_the_training_and_a_classifier_that_tells_nothing_are_said(
    run: Run, more: Path, tmp_path: Path
) -> None:
    copy = Run(shutil.copytree(run.path, tmp_path / "copy"))
    metrics = json.loads(copy.metrics_file.read_text(encoding="utf-8"))
    metrics["tune"]["auc"] |= {"value": 0.55, "low": 0.4, "high": 0.7}
    copy.metrics_file.write_text(json.dumps(metrics), encoding="utf-8")
    (tmp_path / "scans").mkdir()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (400, 900, 3)).astype(np.uint8)).save(
        tmp_path / "scans" / "far.png"
    )
    shutil.copy(more / "new0.png", tmp_path / "scans")
    told = load_classifier(copy.path).predict(tmp_path / "scans").fillna("").set_index("scan").unlike_training
    found = medcls.suggest(copy.path, tmp_path / "scans", out=tmp_path / "out")
    assert {row["scan"]: row["unlike_training"] for row in rows(tmp_path / "out" / "suggestions.csv")} == {
        scan: said or "" for scan, said in told.items()
    }
    assert told["far.png"]
    assert any("far from the scans of the training" in one and "far.png" in one for one in found.cautions)
    assert any("AUC on tune is 0.55 (0.40 to 0.70), which includes 0.5" in one for one in found.cautions)
