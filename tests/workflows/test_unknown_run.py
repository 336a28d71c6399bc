"""A training on labels that are partly unknown: from the table to the metrics, and what its files say when they are read."""

from __future__ import annotations

import csv
import json
from itertools import compress
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from medcls.classifier import load_classifier
from medcls.cohort import read_cohort
from medcls.config import load_config
from medcls.errors import MedclsError
from medcls.evaluation import fit_calibration, metrics_schema
from medcls.files import read_csv, write_csv
from medcls.progress import Progress
from medcls.runs.folder import Run
from medcls.scores.comparison.compare import compare
from medcls.scores.evaluate import ScoreOptions, evaluate_scores
from medcls.scores.read_csv import read_scores
from medcls.scores.recalibrate import recalibrated
from medcls.workflows.commands.evaluate import evaluate_run
from medcls.workflows.commands.train import train_run
from medcls.workflows.fitting.fit_classifier import _loss_weights

torch.set_num_threads(1)

LABELS = ("effusion", "mass", "nodule")
PARTS = ("train",) * 5 + ("tune",) * 3 + ("test",) * 4


class Heard(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def cells_of(number: int) -> list[str]:
    """Ones and zeros; some of 'effusion' uncertain, some of 'mass' empty; every twelfth row says nothing at all."""
    if number % 24 == 23:
        return ["-1", "", "NA"]
    has = [number % 2, int(number % 3 == 0), int(number % 5 < 2)]
    cells = [str(one) for one in has]
    cells[0] = "-1" if number % 4 == 2 or number % 12 == 5 else cells[0]
    cells[1] = "" if number // 2 % 5 == 1 else cells[1]
    return cells


def cohort(folder: Path, count: int = 96) -> Path:
    """Pictures that are brighter where they have 'effusion', and their table; two pictures for each patient."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(count):
        light = 60 * (number % 2)
        Image.fromarray(random.integers(0, 190, (32, 32), np.uint8) + np.uint8(light)).save(
            folder / f"{number:02d}.png"
        )
        part = PARTS[number // 2 % 12]
        rows.append([f"c{number}", f"p{number // 2}", f"{number:02d}.png", *cells_of(number), part])
    with open(folder / "cases.csv", "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([["case", "patient", "scan", *LABELS, "split"], *rows])
    return folder / "cases.csv"


def config_of(folder: Path, table: Path, **changes: Any) -> Any:
    data = {"cases": table, "columns": {"label": list(LABELS)}, "uncertain": "unknown", "blank": "unknown"}
    return load_config(
        None,
        (),
        {
            "region": "lung",
            "data": data,
            "preprocessing": {"kind": "xray", "size": [32, 32]},
            "model": {"name": "resnet10"},
            "augmentation": {"mixup": 0.2},
            "train": {"epochs": 1, "batch_size": 8, "loggers": [], "precision": "32", "balance": "both"},
            "evaluation": {"replicates": 100},
            "explanation": {"cases": 2},
            "split": {"near_duplicates": "off"},
            "privacy": {"identifiers": "keep"},
            "runs": folder / "runs",
            "name": "run",
            **changes,
        },
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[str]]:
    folder = tmp_path_factory.mktemp("unknown")
    heard = Heard()
    return train_run(config_of(folder, cohort(folder)), progress=heard), heard.notes


def expected(rows: list[dict[str, str]]) -> dict[str, tuple[int, int]]:
    """By label: how many of a run's rows have it, and of how many it is known."""
    numbers = [int(row["case"][1:]) for row in rows]
    columns = {label: [cells_of(number)[place] for number in numbers] for place, label in enumerate(LABELS)}
    return {
        label: (cells.count("1"), sum(cell in "01" and cell != "" for cell in cells))
        for label, cells in columns.items()
    }


def test_it_is_said_before_the_training_and_in_the_report(trained: tuple[Run, list[str]]) -> None:
    run, notes = trained
    rows = [row for row in read_csv(run.path / "cohort.csv") if row["partition"] == "train"]
    (line,) = (note for note in notes if note.startswith("  train"))
    for label, (having, known) in expected(rows).items():
        assert f"{label} {having} of {known} known" in line or (known == len(rows) and f"{label} {having}" in line)
    assert notes.index(line) < next(place for place, note in enumerate(notes) if note.startswith("Best epoch"))
    assert any("uncertain cells of labels are taken for unknown (data.uncertain): effusion" in note for note in notes)
    assert any("blank cells of labels are taken for unknown (data.blank): mass" in note for note in notes)
    page = run.report_file.read_text(encoding="utf-8")
    assert " known</td>" in page
    assert "labels are known of fewer" in page


def test_a_case_with_no_label_that_is_known_is_left_out_with_its_reason(trained: tuple[Run, list[str]]) -> None:
    excluded = read_csv(trained[0].path / "excluded.csv")
    assert [(row["case"], row["code"]) for row in excluded] == [(f"c{n}", "no-label") for n in (23, 47, 71, 95)]
    assert {row["reason"] for row in excluded} == {"none of the case's labels is known"}


def test_files_keep_what_is_unknown_and_figures_leave_it_out(trained: tuple[Run, list[str]]) -> None:
    run, _ = trained
    for name in ("cohort.csv", "predictions.csv"):
        for row in read_csv(run.path / name):
            cells = cells_of(int(row["case"][1:]))
            unknown = [label for label, cell in zip(LABELS, cells, strict=True) if cell not in ("0", "1")]
            assert row["unknown"] == "; ".join(unknown)
            assert not set(row["reference"].split("; ")) & set(unknown)
    jsonschema.validate(run.metrics, metrics_schema())
    rows = [row for row in read_csv(run.predictions_file) if row["partition"] == "test"]
    test = run.metrics["test"]
    for label, (having, known) in expected(rows).items():
        assert (test["cases_per_label"][label], test["known_per_label"][label]) == (having, known)
        counts = test["per_class"][label]["counts"]
        assert (counts["tp"] + counts["fn"], sum(counts.values())) == (having, known)


def on_tune(run: Run) -> tuple[Any, Any, Any]:
    """Reference, probabilities and what is known of the run's tune rows, each ``(n, labels)``."""
    rows = [row for row in read_csv(run.predictions_file) if row["partition"] == "tune"]
    cells = np.array([cells_of(int(row["case"][1:])) for row in rows])
    return (
        cells == "1",
        np.array([[float(row[f"p_{label}"]) for label in LABELS] for row in rows]),
        np.isin(cells, ("0", "1")),
    )


def test_the_epoch_calibration_and_thresholds_are_chosen_where_labels_are_known(trained: tuple[Run, list[str]]) -> None:
    run, _ = trained
    truth, said, known = on_tune(run)
    columns = [(truth[rows, place], said[rows, place]) for place, rows in enumerate(known.T)]
    (epoch,) = read_csv(run.path / "history.csv")
    # One temperature for all labels leaves the order of cases as it was.
    assert float(epoch["tune_auc"]) == pytest.approx(np.mean([roc_auc_score(*one) for one in columns]), abs=1e-4)
    classifier = load_classifier(run.path)
    losses = -np.log(np.where(truth, said, 1 - said))
    assert classifier.calibration.nll_after == pytest.approx(losses[known].mean(), abs=1e-4)
    for cut, (has, score) in zip(classifier.operating_point.cuts, columns, strict=True):
        called = score >= cut.value
        assert (cut.sensitivity, cut.specificity) == pytest.approx((called[has].mean(), (~called)[~has].mean()))


def test_labels_weigh_in_the_loss_by_the_patients_of_whom_they_are_known(tmp_path: Path) -> None:
    config = config_of(tmp_path, cohort(tmp_path))
    cases = [case for case in read_cohort(config).cases if case.partition == "train"]
    weights = _loss_weights(config, read_cohort(config))
    assert weights is not None
    for place, weight in enumerate(weights.tolist()):
        having = {case.patient for case in cases if place in case.reference}
        known = {case.patient for case in cases if place not in case.unknown}
        assert weight == pytest.approx((len(known) - len(having)) / len(having))


def test_a_tables_thresholds_are_chosen_where_labels_are_known(trained: tuple[Run, list[str]], tmp_path: Path) -> None:
    run, _ = trained
    table = tmp_path / "predictions.csv"
    table.write_bytes(run.predictions_file.read_bytes())
    truth, said, known = on_tune(run)
    evaluated = evaluate_scores(table, ScoreOptions(multilabel=True), tmp_path / "judged")
    for place, cut in enumerate(evaluated.metrics["operating_point"]["thresholds"]):
        has, called = truth[known[:, place], place], said[known[:, place], place] >= cut["threshold"]
        assert (cut["sensitivity"], cut["specificity"]) == pytest.approx((called[has].mean(), (~called)[~has].mean()))


def test_a_tables_calibration_is_fitted_where_labels_are_known(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    truth, known = random.random((150, 3)) < 0.5, random.random((150, 3)) < 0.6
    said = 1 / (1 + np.exp(-2 * random.normal(size=truth.shape) - 3 * truth))
    rows = [
        {
            "case": f"c{row}",
            "partition": "tune" if row % 3 else "test",
            "reference": "; ".join(compress(LABELS, truth[row] & known[row])) or "none",
            "unknown": "; ".join(compress(LABELS, ~known[row])),
            **{f"p_{label}": f"{p:.8f}" for label, p in zip(LABELS, said[row], strict=True)},
        }
        for row in range(150)
        if known[row].any()
    ]
    write_csv(tmp_path / "scores.csv", list(rows[0]), rows)
    scores = read_scores(tmp_path / "scores.csv", multilabel=True)
    better, calibration = recalibrated(scores, "platt")
    assert calibration.reason is None
    logits = np.log(scores.scores) - np.log1p(-scores.scores)
    for place in range(3):
        rows_known = scores.where("tune") & scores.known[:, place]
        alone = fit_calibration(logits[rows_known], scores.reference[rows_known], "platt", multilabel=True)
        np.testing.assert_allclose(better.scores[:, place], alone.probabilities(logits)[:, place], atol=1e-6)


def test_the_same_figures_come_from_the_run_again_and_from_its_table(
    trained: tuple[Run, list[str]], tmp_path: Path
) -> None:
    run, _ = trained
    again = evaluate_run(run, out=tmp_path / "again")
    table = tmp_path / "predictions.csv"
    table.write_bytes(run.predictions_file.read_bytes())
    evaluated = evaluate_scores(table, ScoreOptions(multilabel=True), tmp_path / "judged")
    test = run.metrics["test"]
    for other in (again.metrics, evaluated.metrics):
        assert other["known_per_label"] == test["known_per_label"]
        for label in LABELS:
            for metric in ("auc", "sensitivity", "specificity", "brier"):
                assert other["per_class"][label][metric]["value"] == pytest.approx(
                    test["per_class"][label][metric]["value"], abs=1e-6
                )
    document = compare([run.path, tmp_path / "again"], out=tmp_path / "compared").document
    assert {one["difference"]["value"] for one in document["comparisons"][0]["differences"]} <= {0.0, None}
    assert any("labels are known of fewer" in note for note in document["notes"])


def test_tables_that_know_other_labels_are_not_compared(trained: tuple[Run, list[str]], tmp_path: Path) -> None:
    run, _ = trained
    table = tmp_path / "other.csv"
    text = run.predictions_file.read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    with open(table, "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "unknown": ""} for row in rows)
    with pytest.raises(MedclsError, match="another reference label"):
        compare([run.path, table], ScoreOptions(multilabel=True), tmp_path / "compared")


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"unknown": "edema"}, "unknown label 'edema' in column 'unknown'"),
        ({"reference": "mass", "unknown": "mass"}, "both the reference and not known"),
        ({"reference": "none", "unknown": "; ".join(LABELS)}, "no label of the case is known"),
    ],
)
def test_what_a_table_of_scores_cannot_mean_is_refused(tmp_path: Path, cells: dict[str, str], words: str) -> None:
    row = {"case": "a", "reference": "mass", "unknown": "", **{f"p_{label}": "0.5" for label in LABELS}}
    with open(tmp_path / "scores.csv", "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(row))
        writer.writeheader()
        writer.writerows([row, {**row, "case": "b", **cells}])
    with pytest.raises(MedclsError, match=words) as error:
        evaluate_scores(
            tmp_path / "scores.csv", ScoreOptions(multilabel=True, thresholds=("0.5",)), tmp_path / "judged"
        )
    assert "scores.csv:3" in str(error.value)


def test_of_exclusive_labels_none_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("case,reference,score,unknown\na,1,0.7,\nb,0,0.2,1\n", encoding="utf-8")
    with pytest.raises(
        MedclsError, match=r"scores.csv:3: '1' in column 'unknown', which names labels that are not known"
    ):
        evaluate_scores(tmp_path / "scores.csv", ScoreOptions(thresholds=("0.5",)), tmp_path / "judged")


@pytest.mark.slow
def test_folds_keep_what_is_unknown(tmp_path: Path) -> None:
    settings = config_of(tmp_path, cohort(tmp_path), split={"folds": 2, "near_duplicates": "off", "values": {}})
    columns = settings.data.columns.model_copy(update={"split": None})
    data = settings.data.model_copy(update={"columns": columns})
    run = train_run(settings.model_copy(update={"data": data}))
    rows = read_csv(run.predictions_file)
    pooled = run.metrics["pooled"]
    for label, (having, known) in expected(rows).items():
        assert (pooled["cases_per_label"][label], pooled["known_per_label"][label]) == (having, known)
    summary = json.loads((run.path / "training-summary.json").read_text(encoding="utf-8"))
    assert summary["known_per_label"]["mass"] < summary["n_patients"]


def test_a_label_of_which_no_no_is_known_cannot_be_learnt(tmp_path: Path) -> None:
    table = cohort(tmp_path)
    text = table.read_text(encoding="utf-8").splitlines()
    rows = [line.split(",") for line in text[1:]]
    lines = [",".join([*row[:5], "" if row[5] == "0" else row[5], row[6]]) for row in rows]
    table.write_text("\n".join([text[0], *lines]), encoding="utf-8")
    with pytest.raises(MedclsError, match=r"no training case is known to be without the label 'nodule'.*data\.blank"):
        train_run(config_of(tmp_path, table))
