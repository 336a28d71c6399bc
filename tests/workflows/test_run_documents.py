"""What a run and an evaluation leave besides metrics: baseline, training summary, shift, checklists, model card."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from PIL import Image

from medcls.evaluation import metrics_schema
from medcls.reporting.checklists import FILES
from medcls.runs.folder import Run
from medcls.workflows.commands.evaluate import evaluate_run
from medcls.workflows.commands.train import train_run
from tests.factories.runs import Pictures, make_pictures, settings

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    return make_pictures(tmp_path_factory.mktemp("pictures"), patients=40, names="Meier-{}")


@pytest.fixture(scope="module")
def run(pictures: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("documents")
    few = {"epochs": 1}
    return train_run(
        settings(pictures, folder, train=few, explanation={"cases": 0}, store={"folder": folder / "store"})
    )


def documents(folder: Path) -> list[Path]:
    return [folder / "model-card.md", *(folder / "checklists" / name for name in FILES)]


def test_a_run_has_baseline_and_documents_and_they_name_nobody(run: Run) -> None:
    jsonschema.validate(run.metrics, metrics_schema())
    found = run.metrics["test"]["baseline"]
    assert "baseline" not in run.metrics["tune"]
    first = found["comparison"]["differences"][0]
    assert first["first"] == pytest.approx(run.metrics["test"]["auc"]["value"])
    assert first["second"] == pytest.approx(found["auc"]["value"])
    for path in (*documents(run.path), run.path / "baseline.json", run.path / "training-summary.json"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"Meier|\bcase\d|image\d", text)
        assert str(run.path.parent) not in text
        assert not re.search(r"\b[CP][0-9a-f]{12,}", text)  # nor pseudonyms
    summary = json.loads((run.path / "training-summary.json").read_text(encoding="utf-8"))
    cards = (run.path / "model-card.md").read_text(encoding="utf-8")
    assert f"train {summary['n_cases']} cases" in cards
    report = run.report_file.read_text(encoding="utf-8")
    assert 'id="checklists"' in report
    assert 'id="baseline"' in report


def test_a_darker_cohort_is_called_shifted_and_the_baseline_is_judged_there_too(
    run: Run, tmp_path: Path, pictures: Pictures
) -> None:
    other = make_pictures(tmp_path / "other", patients=20, names="other-{}", seed=9)
    for path in other.folder.glob("*.png"):
        pixels = np.asarray(Image.open(path)).astype(float)
        Image.fromarray((pixels * 0.4).astype(np.uint8)).save(path)
    found = evaluate_run(run, cases=other.table, out=tmp_path / "out")
    jsonschema.validate({"external": found.metrics}, metrics_schema())
    verdicts = {row["name"]: row["verdict"] for row in found.metrics["shift"]["rows"]}
    assert found.metrics["shift"]["n_external"] == 20
    assert "strong" in verdicts.values()
    assert verdicts["ill"] == verdicts["well"] == "none"
    assert found.metrics["baseline"]["comparison"]["n_cases"] == 40
    assert all(path.is_file() for path in documents(tmp_path / "out"))
    claim = (tmp_path / "out" / "checklists" / "claim-2024.md").read_text(encoding="utf-8")
    assert re.search(r"\| 33 \|.*On external \(40 cases of 20 patients\)", claim)
    assert re.search(r"\| 7 \|.*come from the external table: 40 cases given, 40 used: external 40 cases", claim)
    kept = json.loads((run.path / "training-summary.json").read_text(encoding="utf-8"))
    assert f"trained and tuned on: train {kept['n_cases']} cases of {kept['n_patients']} patients, tune" in claim
    assert re.search(r"\| 19 \|.*Nothing was split here.*the table gave no partitions", claim)
    assert re.search(r"no case evaluated here is tied to the \d+ of training and tuning", claim)

    alone = tmp_path / "alone"
    shutil.copytree(run.path, alone, ignore=shutil.ignore_patterns("training-cases.csv", "checkpoints", "logs"))
    evaluate_run(Run(alone), cases=other.table, out=tmp_path / "unknown")
    unknown = (tmp_path / "unknown" / "checklists" / "claim-2024.md").read_text(encoding="utf-8")
    assert "Not known whether training cases are evaluated here" in unknown
    page = (tmp_path / "unknown" / "report.html").read_text(encoding="utf-8")
    assert "took part in training or in choosing is not known" in page
    assert "No patient is in two partitions" not in page
