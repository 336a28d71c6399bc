"""The whole way on a small cohort of pictures: what a run folder holds, and what can be done with it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
import torch

import medcls
from medcls.classifier.backends.parity_record import AGREED, EngineName
from medcls.config import load_config
from medcls.errors import CohortError, ConfigError, RunError, UsageError
from medcls.evaluation import metrics_schema
from medcls.progress import Progress
from medcls.runs.folder import Run, all_runs, discard_untrained
from medcls.workflows.commands.train import train_run
from tests.factories.runs import Pictures, make_pictures, names_stay_home, rows, settings

torch.set_num_threads(1)


def test_a_run_folder_holds_everything_it_promises(run: Run) -> None:
    for name in (
        "config.yaml",
        "cohort.csv",
        "excluded.csv",
        "history.csv",
        "checkpoints/last.ckpt",
        "classifier/weights.safetensors",
        "classifier/classifier.json",
        "predictions.csv",
        "metrics.json",
        "SHA256SUMS",
        "report.html",
        "environment.json",
    ):
        assert (run.path / name).is_file(), name
    assert len(list(run.explanations.glob("*.png"))) == len(list(run.explanations.glob("*.nii.gz"))) == 2
    assert [row["epoch"] for row in rows(run.path / "history.csv")] == ["1", "2"]
    # The rate that an epoch was learnt with: after the last one it is 0.
    assert all(float(row["learning_rate"]) > 0 for row in rows(run.path / "history.csv"))
    assert not list(run.path.rglob("*.part"))


def test_metrics_are_those_of_the_predictions_and_match_the_schema(run: Run) -> None:
    metrics = json.loads(run.metrics_file.read_text(encoding="utf-8"))
    jsonschema.validate(metrics, metrics_schema())
    table = pd.read_csv(run.predictions_file)
    for partition in ("tune", "test"):
        part = table[table.partition == partition]
        assert metrics[partition]["n_cases"] == len(part)
        right = (part.reference == part.predicted).mean()
        assert metrics[partition]["accuracy"]["value"] == pytest.approx(right)
        ill = part[part.reference == "ill"]
        assert metrics[partition]["sensitivity"]["value"] == pytest.approx((ill.predicted == "ill").mean())
    assert set(table.partition) == {"tune", "test"}
    assert np.allclose(table.p_ill + table.p_well, 1)


def test_patients_stay_on_one_side_and_keep_their_names_to_themselves(run: Run, pictures: Pictures) -> None:
    cohort = pd.read_csv(run.path / "cohort.csv")
    assert cohort.groupby("patient").partition.nunique().max() == 1
    names_stay_home(run, pictures)


def test_the_machines_name_stays_home(run: Run) -> None:
    (events,) = (run.path / "logs" / "tensorboard").glob("events*")
    assert re.fullmatch(r"events\.out\.tfevents\.\d+\.run", events.name)


def test_nothing_in_a_run_is_a_pickle(run: Run) -> None:
    for path in run.path.rglob("*"):
        if path.is_file():
            start = path.read_bytes()[:2]
            assert start not in (b"\x80\x02", b"\x80\x04", b"\x80\x05", b"PK"), path


def test_the_resolved_config_alone_repeats_the_run(run: Run, tmp_path: Path) -> None:
    again = train_run(load_config(run.config_file, [f"runs={tmp_path}"]))
    assert (again.path / "metrics.json").read_bytes() == (run.path / "metrics.json").read_bytes()
    assert (again.path / "predictions.csv").read_bytes() == (run.path / "predictions.csv").read_bytes()
    weights = "classifier/weights.safetensors"
    assert (again.path / weights).read_bytes() == (run.path / weights).read_bytes()


class _Killed(BaseException):
    """Stands for a kill -9: nothing in the package may catch it."""


def test_a_killed_run_resumes_to_the_weights_it_would_have_had(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medcls.training.module import ClassificationModule

    changes = {
        "train": {"epochs": 4, "patience": None, "schedule": "one_cycle", "average": "ema"},
        "model": {"dropout": 0.3},
        "store": {"folder": tmp_path / "store"},
    }
    whole = train_run(settings(pictures, tmp_path / "whole", **changes))
    step = ClassificationModule.training_step

    def killed(self: ClassificationModule, batch: Any, index: int) -> Any:
        if self.current_epoch == 2 and index == 1:
            raise _Killed
        return step(self, batch, index)

    config = settings(pictures, tmp_path / "killed", **changes)
    with monkeypatch.context() as patch:
        patch.setattr(ClassificationModule, "training_step", killed)
        with pytest.raises(_Killed):
            train_run(config)
    assert not Run(tmp_path / "killed" / "small").is_finished
    resumed = train_run(config, resume=True)
    for name in ("classifier/weights.safetensors", "metrics.json", "predictions.csv"):
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    learned = [{k: v for k, v in row.items() if k != "seconds"} for row in rows(resumed.path / "history.csv")]
    assert learned == [{k: v for k, v in row.items() if k != "seconds"} for row in rows(whole.path / "history.csv")]


def test_resume_refuses_another_config_and_another_cohort(pictures: Pictures, tmp_path: Path) -> None:
    config = settings(pictures, tmp_path / "runs")
    finished = train_run(config)
    finished.report_file.unlink()  # as if it had been killed before the report
    with pytest.raises(RunError, match="config has changed"):
        train_run(settings(pictures, tmp_path / "runs", seed=1), resume=True)
    table = finished.path / "cohort.csv"
    table.write_text(table.read_text(encoding="utf-8").replace(",test,", ",train,"), encoding="utf-8")
    with pytest.raises(RunError, match="cohort has changed"):
        train_run(config, resume=True)
    with pytest.raises(RunError, match="no run 'other' to go on with"):
        train_run(settings(pictures, tmp_path / "runs", name="other"), resume=True)


def test_names_of_runs(pictures: Pictures, run: Run) -> None:
    config = run.load_config()
    with pytest.raises(RunError, match="exists"):
        train_run(config, name="small")
    with pytest.raises(RunError, match="no name for a run"):
        train_run(config, name="../elsewhere")


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"data": {"cases": "gone.csv"}}, CohortError, "the table of cases is not there"),
        ({"data": {"columns": {"label": "diagnosis"}}}, CohortError, "diagnosis"),
        ({"data": {"root": "/nowhere"}}, CohortError, "none of the 48 scans is where the table says"),
    ],
)
def test_what_is_wrong_is_found_before_a_folder_is_made(
    pictures: Pictures, tmp_path: Path, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        train_run(settings(pictures, tmp_path / "runs", **changes))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("split", [{}, {"folds": 2}])
def test_a_config_that_is_found_wrong_late_leaves_no_folder(
    pictures: Pictures, tmp_path: Path, split: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=r"augmentation\.flip"):
        train_run(settings(pictures, tmp_path / "runs", augmentation={"flip": ["z"]}, split=split))
    assert list(tmp_path.glob("runs/*")) == []


def test_a_folder_in_which_something_was_trained_or_is_at_work_is_kept(tmp_path: Path) -> None:
    trained, busy, gone = (Run(tmp_path / name) for name in ("trained", "busy", "gone"))
    (trained.path / "folds" / "1-1" / "checkpoints").mkdir(parents=True)
    (trained.path / "folds" / "1-1" / "checkpoints" / "last.ckpt").touch()
    discard_untrained(trained)
    assert (trained.path / "folds" / "1-1" / "checkpoints" / "last.ckpt").exists()
    with busy.locked():
        (busy.path / "config.yaml").touch()
        discard_untrained(busy)
        assert (busy.path / "config.yaml").exists()
    discard_untrained(gone)
    assert not gone.path.exists()


def test_an_unreadable_scan_is_excluded_and_the_others_go_on(tmp_path: Path) -> None:
    pictures = make_pictures(tmp_path / "pictures")
    (pictures.folder / "image5.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    said: list[str] = []
    progress = Progress(quiet=True)
    progress.note = said.append  # type: ignore[method-assign]
    finished = train_run(settings(pictures, tmp_path / "runs"), progress=progress)
    assert sum("1 case left out, 1 as damaged: see" in line for line in said) == 1
    excluded = rows(finished.path / "excluded.csv")
    assert len(excluded) == 1
    assert excluded[0]["code"] == "damaged"
    assert len(rows(finished.path / "cohort.csv")) == 47


def test_loading_predicting_and_explaining_from_python(run: Run, pictures: Pictures) -> None:
    classifier = medcls.load(run.path)
    table = classifier.predict(pictures.folder)
    assert list(table.columns) == [
        "scan",
        "patient",
        "accession",
        "study",
        "series",
        "instance",
        "status",
        "predicted",
        "p_ill",
        "p_well",
        "prediction_set",
        "refer",
        "slices",
        "unlike_training",
        "code",
        "reason",
        "notes",
    ]
    answered = table[table.status == "answered"].set_index("scan")
    assert len(answered) == 48
    explanation = classifier.explain(pictures.folder / "image2.png")
    assert explanation.map.shape == (48, 40)
    assert explanation.label == "ill"


def test_a_runs_own_test_cases_are_not_called_unlike_its_training(run: Run, pictures: Pictures) -> None:
    classifier = medcls.load(run.path)
    assert classifier.familiar is not None
    assert (classifier.familiar.n_checked, classifier.familiar.n_far) == (len(_tune_cases(run)), 0)
    told = classifier.predict(pictures.folder)["unlike_training"]
    assert told.isna().mean() > 0.95


def _tune_cases(run: Run) -> list[dict[str, str]]:
    return [row for row in rows(run.path / "cohort.csv") if row["partition"] == "tune"]


@pytest.mark.parametrize(("engine", "apart"), [("torch", 1e-6), ("auto", AGREED)])
def test_infer_gives_the_probabilities_of_the_run(
    run: Run, pictures: Pictures, key_folder: Path, engine: EngineName, apart: float
) -> None:
    # An engine in bfloat16, which 'auto' takes on processors that have it, answers within what it was let in for.
    from medcls.privacy import load_pseudonyms

    names = load_pseudonyms(key_file=key_folder / "key")
    kept = {row["case"]: row for row in rows(run.predictions_file)}
    table = medcls.load(run.path, engine=engine).predict(pictures.folder).set_index("scan")
    compared = 0
    for number in range(48):
        name = names.case(f"case{number}")
        if name in kept:
            assert table.p_ill[f"image{number}.png"] == pytest.approx(float(kept[name]["p_ill"]), abs=apart)
            compared += 1
    assert compared == len(kept) > 10


def test_earlier_answers_are_never_replaced_unasked(
    run: Run, pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = medcls.infer(pictures.folder / "image0.png", run.path).folder
    assert first.as_posix() == "predictions"
    before = (first / "predictions.csv").read_bytes()
    assert medcls.infer(pictures.folder / "image1.png", run.path).folder.as_posix() == "predictions-2"
    with pytest.raises(UsageError, match=r"has results already \(predictions.csv\).*--overwrite"):
        medcls.infer(pictures.folder / "image2.png", run.path, first)
    assert (first / "predictions.csv").read_bytes() == before
    medcls.infer(pictures.folder / "image2.png", run.path, first, overwrite=True)
    assert (first / "predictions.csv").read_bytes() != before


def test_other_engines_were_held_against_torch_on_tune(run: Run) -> None:
    pytest.importorskip("openvino")
    classifier = medcls.load(run.path)
    last = classifier.engine_checks[-1]
    assert last.agrees
    assert last.cases == sum(row["partition"] == "tune" for row in rows(run.predictions_file))
    assert classifier.engine is not None


def test_the_answer_does_not_depend_on_the_company(run: Run, pictures: Pictures) -> None:
    classifier = medcls.load(run.path)
    together = classifier.predict(pictures.folder, batch_size=16).set_index("scan").p_ill
    alone = classifier.predict(pictures.folder / "image3.png", batch_size=1).p_ill[0]
    assert together["image3.png"] == pytest.approx(alone, abs=1e-5)


def test_evaluate_repeats_the_runs_own_test(run: Run, tmp_path: Path) -> None:
    result = medcls.evaluate(run.path, out=tmp_path)
    metrics = json.loads(run.metrics_file.read_text(encoding="utf-8"))["test"]
    assert result.metrics["auc"] == metrics["auc"]
    assert result.metrics["operating_point"] == metrics["operating_point"]
    assert (tmp_path / "report.html").is_file()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("", "", None),
        ("region:", "# a note\nregion:", None),
        ("positive: ill", "positive: well", "(positive differ): labels, positive, recipe"),
        ("size:\n  - 32\n  - 32", "size:\n  - 48\n  - 48", "(preprocessing differ)"),
        ("replicates: ", "replicates: 1", "was changed after the training: labels"),
    ],
)
def test_a_config_that_was_changed_after_the_training_is_said(
    before: str, after: str, said: str | None, run: Run, tmp_path: Path
) -> None:
    edited = Path(shutil.copytree(run.path, tmp_path / "edited")) / "config.yaml"
    text = edited.read_text(encoding="utf-8")
    assert before in text
    edited.write_text(text.replace(before, after, 1) if before else text, encoding="utf-8")
    found = [one for one in medcls.evaluate(edited.parent).warnings if "config.yaml was changed" in one.text]
    assert [said in one.text for one in found] == ([] if said is None else [True])


def test_evaluate_refuses_a_label_that_came_into_the_table_after_the_training(
    run: Run, pictures: Pictures, tmp_path: Path
) -> None:
    table = pictures.table.read_text(encoding="utf-8")
    pictures.table.write_text(f"{table}more,somebody,image0.png,absent\n", encoding="utf-8")  # the first in order
    try:
        with pytest.raises(CohortError, match="unknown label 'absent'"):
            medcls.evaluate(run.path, out=tmp_path)
    finally:
        pictures.table.write_text(table, encoding="utf-8")


def test_an_external_cohort_meets_the_frozen_threshold(run: Run, tmp_path: Path) -> None:
    other = make_pictures(tmp_path / "other", patients=8, names="elsewhere-{}", seed=1)
    text = other.table.read_text(encoding="utf-8")
    other.table.write_text("\n".join(text.splitlines()[:3]) + "\n", encoding="utf-8")  # 'well' alone
    result = medcls.evaluate(run.path, cases=other.table, out=tmp_path / "out")
    assert result.metrics["auc"]["value"] is None
    assert result.metrics["auc"]["reason"]
    assert result.metrics["sensitivity"]["value"] is None
    own = json.loads(run.metrics_file.read_text(encoding="utf-8"))["test"]
    assert result.metrics["operating_point"] == own["operating_point"]
    (tmp_path / "strange.csv").write_text("case,patient,scan,label\na,b,image0.png,ghastly\n", encoding="utf-8")
    with pytest.raises(CohortError, match="unknown label 'ghastly'"):
        medcls.evaluate(run.path, cases=tmp_path / "strange.csv")


def test_a_copied_classifier_works_alone(run: Run, pictures: Pictures, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(run.classifier_folder, tmp_path / "copy")
    one = medcls.load(tmp_path / "copy").predict(pictures.folder / "image3.png")
    assert one.p_ill[0] == medcls.load(run.path).predict(pictures.folder / "image3.png").p_ill[0]


def test_all_runs_are_listed_newest_first(run: Run) -> None:
    assert all_runs(run.path.parent)[0].path == run.path
