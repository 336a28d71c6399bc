"""The whole way over every kind of cohort: three classes, several labels at once, DICOM series, NIfTI volumes, frames."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

import medcls
from medcls.classifier import Classifier
from medcls.config import load_config
from medcls.evaluation import metrics_schema
from medcls.runs.folder import Run
from medcls.synthesis import SyntheticCohort, SyntheticRegion, write_cohort
from medcls.workflows.commands.train import train_run
from tests.factories.runs import rows

torch.set_num_threads(1)

QUICK: dict[str, Any] = {
    "model": {"name": "resnet10"},
    "train": {"epochs": 1, "batch_size": 4, "loggers": [], "precision": "32"},
    "evaluation": {"replicates": 100},
    "explanation": {"cases": 2},
}


def go(tmp_path: Path, **changes: Any) -> Run:
    values = {**QUICK, "runs": tmp_path / "runs", "name": "run"}
    for key, value in changes.items():
        values[key] = {**values[key], **value} if key in QUICK else value
    run = train_run(load_config(None, (), values))
    jsonschema.validate(run.metrics, metrics_schema())
    return run


def pictures(folder: Path, count: int) -> list[Path]:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:02d}.png" for number in range(count)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (40, 40), np.uint8)).save(path)
    return paths


def test_three_classes_with_one_absent_from_test(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(30):
        path = tmp_path / f"{number:02d}.png"
        Image.fromarray(rng.integers(0, 255, (40, 40), np.uint8)).save(path)
        label = ("glioma", "meningioma", "pituitary")[number % 3]
        part = "train" if number < 18 else "tune" if number < 24 or label == "meningioma" else "test"
        rows.append([path.name, label, part])
    with open(tmp_path / "cases.csv", "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([["scan", "label", "split"], *rows])
    run = go(
        tmp_path,
        region="brain",
        data={"cases": tmp_path / "cases.csv"},
        preprocessing={"dimensions": 2, "size": [32, 32]},
    )
    test = run.metrics["test"]
    assert list(test["per_class"]) == ["glioma", "meningioma", "pituitary"]
    assert test["confusion_matrix"]["labels"] == ["glioma", "meningioma", "pituitary"]
    assert np.shape(test["confusion_matrix"]["counts"]) == (3, 3)
    assert sum(test["confusion_matrix"]["counts"][1]) == 0
    absent = test["per_class"]["meningioma"]
    assert absent["auc"]["value"] is absent["sensitivity"]["value"] is None
    assert absent["auc"]["reason"]
    table = medcls.load(run.path).predict(tmp_path / "00.png")
    assert table[["p_glioma", "p_meningioma", "p_pituitary"]].sum(axis=1)[0] == pytest.approx(1)


@pytest.mark.parametrize("balance", ["sampler", pytest.param("both", marks=pytest.mark.slow)])
def test_several_labels_at_once(tmp_path: Path, balance: str) -> None:
    paths = pictures(tmp_path / "scans", 24)
    rows = [[f"scans/{path.name}", number % 2, int(number % 3 == 0)] for number, path in enumerate(paths)]
    with open(tmp_path / "cases.csv", "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([["scan", "effusion", "mass"], *rows])
    data = {"cases": tmp_path / "cases.csv", "columns": {"label": ["effusion", "mass"]}}
    preprocessing = {"kind": "xray", "size": [32, 32]}
    run = go(tmp_path, region="lung", data=data, preprocessing=preprocessing, train={"balance": balance})
    assert set(run.metrics["test"]["per_class"]) == {"effusion", "mass"}
    assert len(run.metrics["test"]["operating_point"]["thresholds"]) == 2
    assert run.metrics["test"]["confusion_matrix"] is None
    table = medcls.load(run.path).predict(tmp_path / "scans")
    assert ((table.p_effusion >= 0) & (table.p_effusion <= 1)).all()


@pytest.mark.parametrize(
    ("region", "preprocessing", "patients"),
    [
        ("lung", {"kind": "ct", "dimensions": 3, "size": [32, 32, 16]}, 15),
        ("brain", {"kind": "mr", "dimensions": 3, "size": [32, 32, 32]}, 15),
        ("brain", {"kind": "mr", "dimensions": 2, "size": [32, 32], "slices": {"every": 12}}, 15),
        ("stomach", {"kind": "endoscopy", "size": [48, 48]}, 15),
    ],
)
def test_series_volumes_slices_and_frames(
    tmp_path: Path, region: SyntheticRegion, preprocessing: dict[str, Any], patients: int
) -> None:
    cohort = write_cohort(region, tmp_path / "cohort", patients=patients, seed=1, size=64)
    run = go(
        tmp_path,
        region=region,
        data={"cases": cohort.cases_csv},
        positive=cohort.positive,
        preprocessing=preprocessing,
        evaluation={"replicates": 100},
    )
    assert (run.path / "excluded.csv").read_text(encoding="utf-8").count("\n") == 1
    classifier = medcls.load(run.path)
    first = rows(cohort.cases_csv)[0]
    scan = medcls.read_scan(cohort.folder / first["scan"])
    explanation = classifier.explain(scan)
    assert explanation.map.shape == scan.shape
    (saved, *_) = run.explanations.glob("*.nii.gz")
    assert nibabel.load(saved).ndim == 3
    # A made-up PatientName stands in every DICOM header: it must be nowhere in the run.
    for path in run.path.rglob("*"):
        if path.is_file():
            assert b"SYNTHETIC^" not in path.read_bytes().upper(), path
    if region == "lung":
        a_whole_export_is_answered_series_by_series(classifier, cohort)


def a_whole_export_is_answered_series_by_series(classifier: Classifier, cohort: SyntheticCohort) -> None:
    cases = rows(cohort.cases_csv)
    table = classifier.predict(cohort.folder / "DICOM")
    assert (table.status == "answered").sum() == len(cases)
    assert {f"DICOM/{name}" for name in table.scan} == {case["scan"] for case in cases}


@pytest.mark.slow  # tests/loading/test_batches.py shows it of the batches
def test_loader_processes_started_by_spawn_change_nothing(tmp_path: Path) -> None:
    """As on Windows and macOS: nothing is inherited, everything that a worker needs is sent to it."""
    paths = pictures(tmp_path / "scans", 24)
    rows = [[f"scans/{path.name}", "ill" if number % 2 else "well"] for number, path in enumerate(paths)]
    with open(tmp_path / "cases.csv", "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([["scan", "label"], *rows])
    script = tmp_path / "script.py"
    script.write_text(
        "import json, multiprocessing, sys\n"
        "import medcls\n"
        "if __name__ == '__main__':\n"
        "    multiprocessing.set_start_method('spawn')\n"
        "    for workers in (0, 1):\n"
        "        medcls.train(None, data={'cases': 'cases.csv'}, positive='ill', preprocessing={'size': [32, 32]},\n"
        "            model='resnet10', train={'epochs': 2, 'batch_size': 4, 'workers': workers, 'loggers': []},\n"
        "            evaluation={'replicates': 100}, explanation={'cases': 0}, name=f'w{workers}')\n",
        encoding="utf-8",
    )
    subprocess.run([sys.executable, str(script)], cwd=tmp_path, check=True, capture_output=True)
    alone, workers = (tmp_path / "runs" / name / "classifier" / "weights.safetensors" for name in ("w0", "w1"))
    assert alone.read_bytes() == workers.read_bytes()


def test_weights_of_an_earlier_run_can_be_started_from(tmp_path: Path) -> None:
    paths = pictures(tmp_path / "scans", 24)
    rows = [[f"scans/{path.name}", "ill" if number % 2 else "well"] for number, path in enumerate(paths)]
    with open(tmp_path / "cases.csv", "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([["scan", "label"], *rows])
    common = {"data": {"cases": tmp_path / "cases.csv"}, "positive": "ill", "preprocessing": {"size": [32, 32]}}
    first = go(tmp_path, **common)
    second = go(tmp_path, **common, name="second", model={"weights": str(first.classifier_folder), "freeze": 5})
    description = json.loads((second.classifier_folder / "classifier.json").read_text(encoding="utf-8"))
    assert str(tmp_path) not in json.dumps(description)
    before, after = (medcls.load(run.path).network.state_dict() for run in (first, second))
    assert torch.equal(before["backbone.conv1.weight"], after["backbone.conv1.weight"])
    assert not torch.equal(before["head.weight"], after["head.weight"])
