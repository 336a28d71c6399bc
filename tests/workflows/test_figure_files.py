"""The report's figures as files: the same drawings, with the numbers in them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from medcls.config.settings import EvaluationSettings
from medcls.errors import RunError, UsageError
from medcls.evaluation import Predictions
from medcls.evaluation.partition.report import EvaluationInput, evaluate_in_full
from medcls.files import write_json
from medcls.reporting.charts.paper import precision_recall_points
from medcls.reporting.charts.plots import reliability
from medcls.workflows.reporting.figure_files import write_figure_files
from tests.factories.predictions import half, some_binary, some_labels, some_multilabel

BEGINS = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}
HISTORY = "epoch,train_loss,tune_loss,tune_auc,learning_rate,seconds\n1,0.7,0.8,,0.001,3\n2,0.5,0.6,0.75,0.0005,3\n"


def study(predictions: Predictions) -> dict[str, Any]:
    return evaluate_in_full(
        EvaluationInput(predictions, half(predictions), EvaluationSettings(replicates=100))
    ).to_json()


def evaluated(folder: Path, name: str = "test", predictions: Predictions | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    found = study(some_binary()) if predictions is None else study(predictions)
    write_json(folder / "metrics.json", {"tune": found, name: found})
    (folder / "history.csv").write_text(HISTORY, encoding="utf-8")
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.parametrize("kind", list(BEGINS))
def test_each_figure_is_a_file_beside_its_numbers_and_the_same_again(kind: Any, tmp_path: Path) -> None:
    run = evaluated(tmp_path / "run")
    written = write_figure_files(run, kind=kind)
    assert (written.folder, written.of) == (run / "figures", "test")
    stems = ["roc", "precision-recall", "calibration", "decision-curve-sick", "confusion-matrix", "history"]
    assert [one.name for one in written.figures] == [f"{stem}.{kind}" for stem in stems]
    for one in written.figures:
        assert one.read_bytes().startswith(BEGINS[kind])
        assert rows_of(one.with_suffix(".csv"))
    again = write_figure_files(run, kind=kind, out=tmp_path / "again")
    assert [one.read_bytes() for one in again.figures] == [one.read_bytes() for one in written.figures]


def test_the_file_is_the_drawing_of_the_report_and_its_table_has_the_numbers(tmp_path: Path) -> None:
    predictions = some_binary()
    run = evaluated(tmp_path / "run", predictions=predictions)
    folder = write_figure_files(run, kind="svg").folder
    drawn = reliability(study(predictions))
    assert drawn is not None
    assert (folder / "calibration.svg").read_bytes() == drawn.render("svg")
    sick, scores = predictions.reference[:, 1], predictions.probabilities[:, 1]
    matrix = {
        (one["reference"], one["predicted"]): int(one["cases"]) for one in rows_of(folder / "confusion-matrix.csv")
    }
    assert matrix["sick", "sick"] == int((sick & (scores >= 0.5)).sum())
    assert sum(matrix.values()) == len(sick)
    points = [
        (float(one["false_positive_rate"]), float(one["sensitivity"]))
        for one in rows_of(folder / "roc.csv")
        if one["sensitivity"]
    ]
    fpr, tpr, _ = roc_curve(sick, scores, drop_intermediate=False)
    assert len(points) > 10
    assert all(np.hypot(fpr - across, tpr - up).min() < 1e-9 for across, up in points)
    assert sum(int(one["cases"]) for one in rows_of(folder / "calibration.csv")) == len(sick)
    assert [one["tune_auc"] for one in rows_of(folder / "history.csv")] == ["", "0.75"]


@pytest.mark.parametrize("seed", range(4))
def test_precision_and_recall_are_those_of_scikit_learn(seed: int) -> None:
    predictions = some_binary(seed)
    ((recall, precision),) = precision_recall_points(study(predictions)).values()
    expected, found, _ = precision_recall_curve(predictions.reference[:, 1], predictions.probabilities[:, 1])
    for wanted, at in zip(expected[:-1], found[:-1], strict=True):  # the last is by convention, of no threshold
        assert np.hypot(recall - at, precision - wanted).min() < 0.03
    assert (recall[-1], precision[-1]) == (1.0, pytest.approx(predictions.reference[:, 1].mean()))


def test_labels_that_exclude_each_other_or_do_not_have_what_they_can_have(tmp_path: Path) -> None:
    three = write_figure_files(evaluated(tmp_path / "three", predictions=some_labels()))
    assert {one.stem for one in three.figures} > {"confusion-matrix", "decision-curve-a", "decision-curve-c"}
    several = write_figure_files(evaluated(tmp_path / "several", "external", some_multilabel()))
    assert several.of == "external"
    names = {one.stem for one in several.figures}
    assert "confusion-matrix" not in names
    assert "decision-curve-a" in names
    assert {one["label"] for one in rows_of(several.folder / "precision-recall.csv")} == {"a", "b"}


def test_none_is_replaced_unasked_and_what_has_no_figures_is_told(tmp_path: Path) -> None:
    run = evaluated(tmp_path / "run")
    write_figure_files(run, out=tmp_path / "out")
    with pytest.raises(UsageError, match="--overwrite"):
        write_figure_files(run, out=tmp_path / "out")
    write_figure_files(run, out=tmp_path / "out", overwrite=True)
    write_json(run / "metrics.json", {"tune": study(some_binary())})
    with pytest.raises(RunError, match="no cases were evaluated"):
        write_figure_files(run)
    with pytest.raises(RunError, match="no run is here"):
        write_figure_files(tmp_path / "nothing")
