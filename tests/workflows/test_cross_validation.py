"""Cross-validation, the whole way on small pictures: what the folds, the pooled metrics and the ensemble are."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
import torch

import medcls
from medcls.classifier.ensemble import Ensemble
from medcls.cli import show
from medcls.config import load_config
from medcls.errors import ClassifierError, CohortError, RunError
from medcls.evaluation import metrics_schema
from medcls.runs.changed_files import SUMS, changed_files, changed_parts
from medcls.runs.folder import Run
from medcls.workflows.commands.train import train_run
from tests.factories.runs import Pictures, make_pictures, names_stay_home, settings

torch.set_num_threads(1)

FOLDS = {"folds": 2, "tune": 0.2}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("places")


@pytest.fixture(scope="module")
def pictures(places: Path) -> Pictures:
    return make_pictures(places / "pictures", patients=18)


def config_of(pictures: Pictures, places: Path, runs: Path, **changes: Any) -> Any:
    common = {"privacy": {"key_file": places / "key"}, "store": {"folder": places / "store"}}
    values = {"split": FOLDS, "train": {"epochs": 1, "loggers": []}, "explanation": {"cases": 1}, **common, **changes}
    return settings(pictures, runs, **values)


@pytest.fixture(scope="module")
def run(pictures: Pictures, places: Path) -> Run:
    return train_run(config_of(pictures, places, places / "runs"))


def test_every_fold_is_a_complete_run_of_its_own(run: Run, pictures: Pictures) -> None:
    assert sorted(path.name for path in run.folds.iterdir()) == ["1-1", "1-2"]
    for fold in run.folds.iterdir():
        for name in ("config.yaml", "cohort.csv", "checkpoints/last.ckpt", "classifier/classifier.json", "report.html"):
            assert (fold / name).is_file(), name
        assert set(Run(fold).metrics) == {"tune", "test"}
    for name in ("folds.csv", "cohort.csv", "predictions.csv", "metrics.json", "classifier/classifier.json"):
        assert (run.path / name).is_file(), name
    assert run.is_finished
    assert not list(run.path.rglob("*.part"))
    names_stay_home(run, pictures)


def test_every_case_is_held_out_once_and_chosen_on_training_patients(run: Run) -> None:
    table = pd.read_csv(run.path / "folds.csv")
    held = table[table.partition == "test"]
    assert sorted(held.case) == sorted(pd.read_csv(run.path / "cohort.csv").case)
    assert table.groupby(["fold", "patient"]).partition.nunique().max() == 1
    for fold, part in table.groupby("fold"):
        own = pd.read_csv(run.folds / f"1-{fold}" / "cohort.csv")
        assert dict(zip(own.case, own.partition, strict=True)) == dict(zip(part.case, part.partition, strict=True))
        chosen = Run(run.folds / f"1-{fold}").metrics["tune"]["operating_point"]
        assert chosen["chosen_on"] == "tune"
        assert set(part.partition) == {"train", "tune", "test"}


def test_report_and_card_show_the_ensembles_threshold_and_do_not_pass_off_the_folds_mean(run: Run) -> None:
    kept = json.loads((run.classifier_folder / "classifier.json").read_text(encoding="utf-8"))["operating_point"]
    own, mean = (one["thresholds"][0]["threshold"] for one in (kept, run.metrics["pooled"]["operating_point"]))
    for text in (path.read_text(encoding="utf-8") for path in (run.report_file, run.path / "model-card.md")):
        assert f"from a calibrated probability of {own:.4g}" in text
        assert "chosen on out-of-fold predictions" in text
        assert "Each held-out case was decided by its own fold’s threshold" in text
        assert f"at least {mean:.4g}" not in text


def test_pooled_figures_are_those_of_the_folds_own_decisions(run: Run) -> None:
    metrics = run.metrics
    jsonschema.validate(metrics, metrics_schema())
    assert set(metrics) == {"pooled", "per_fold"}
    table = pd.read_csv(run.predictions_file)
    assert set(table.partition) == {"pooled"}
    tables = {fold: pd.read_csv(run.folds / fold / "predictions.csv") for fold in set(table.fold)}
    said = pd.concat(one[one.partition == "test"].assign(fold=fold) for fold, one in tables.items())
    both = table.merge(said, on=["case", "fold"], suffixes=("", "_own"))
    assert len(both) == len(table) == metrics["pooled"]["n_cases"] == 36
    assert (both.predicted == both.predicted_own).all()
    assert (both.p_ill == both.p_ill_own).all()
    ill = table[table.reference == "ill"]
    assert metrics["pooled"]["sensitivity"]["value"] == pytest.approx((ill.predicted == "ill").mean())
    thresholds = {one["fold"]: one["thresholds"][0] for one in metrics["per_fold"]["folds"]}
    decided = table.p_ill >= table.fold.map(thresholds)
    assert (decided == (table.predicted == "ill")).all()


def test_cross_validations_are_compared_by_their_folds_own_decisions(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("metrics.json", SUMS):
        shutil.copy(run.path / name, other)
    table = pd.read_csv(run.predictions_file)
    found = table.index[(table.reference == "ill") & (table.predicted == "ill")][:2]
    table.loc[found, "predicted"] = "well"  # the probabilities stay
    table.to_csv(other / "predictions.csv", index=False)
    document = medcls.compare(run.path, other, out=tmp_path / "compared").document
    differences = {one["figure"]: one for one in document["comparisons"][0]["differences"]}
    assert document["n_cases"] == 36
    assert differences["auc"]["difference"]["value"] == 0
    assert differences["sensitivity"]["difference"]["value"] == pytest.approx(2 / (table.reference == "ill").sum())
    assert differences["sensitivity"]["first"] == pytest.approx(run.metrics["pooled"]["sensitivity"]["value"])
    assert differences["specificity"]["difference"]["value"] == 0
    own = document["models"][0]["figures"]["sensitivity"]["value"]
    assert own == pytest.approx(run.metrics["pooled"]["sensitivity"]["value"])
    assert any("its own fold's classifier" in note for note in document["notes"])
    (changed,) = [note for note in document["notes"] if "was changed after" in note]
    assert changed.startswith("'other': the file predictions.csv was changed")


def test_folds_figures_and_their_mean_are_told_apart(run: Run) -> None:
    per_fold = run.metrics["per_fold"]
    aucs = []
    for one in per_fold["folds"]:
        own = Run(run.folds / one["fold"]).metrics["test"]
        assert one["figures"]["auc"] == own["auc"]
        assert one["n_cases"] == own["n_cases"] == 18
        aucs.append(own["auc"]["value"])
    spread = per_fold["over_folds"]["auc"]
    assert spread["mean"] == pytest.approx(np.mean(aucs))
    assert spread["sd"] == pytest.approx(np.std(aucs, ddof=1))
    assert "not independent" in per_fold["notes"][0]
    page = run.report_file.read_text(encoding="utf-8")
    for words in ("Mean over folds", "Pooled", "not independent", "1-2"):
        assert words in page


def test_what_the_pooled_figures_lack_is_explained_by_the_folds(run: Run) -> None:
    missing = run.metrics["pooled"]["not_computed"]
    fitted = [medcls.load(fold).calibration.reason is None for fold in run.folds.iterdir()]
    calibrated = f"of {sum(fitted)} of 2 folds were calibrated" if any(fitted) else "not changed by a calibration: "
    assert calibrated in missing["calibration.before"]
    assert "fitted on the out-of-fold predictions; their coverage is not evaluated" in missing["conformal"]
    page = run.report_file.read_text(encoding="utf-8")
    assert "their coverage is not evaluated here" in page
    assert "no prediction sets" not in page


def test_what_folds_warn_of_and_the_ranking_within_them_reach_report_and_terminal(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = [pd.read_csv(fold / "cohort.csv").query("partition == 'tune'").reference for fold in run.folds.iterdir()]
    fewest = min((part == "ill").sum() for part in tuned)
    page = html.unescape(run.report_file.read_text(encoding="utf-8"))
    assert f"The tune part of a fold has fewer than 10 cases of 'ill' ({fewest})" in page
    show.run(run, as_json=False, quiet=False)
    within = run.metrics["per_fold"]["auc_within_folds"]["ill"]
    assert f"AUC within folds: ill {within['value']:.3f} ({within['low']:.3f} to" in capsys.readouterr().out


def test_the_ensemble_is_the_mean_of_its_members(run: Run, pictures: Pictures) -> None:
    ensemble = medcls.load(run.path)
    assert isinstance(ensemble, Ensemble)
    together = ensemble.predict(pictures.folder).set_index("scan")
    alone = [medcls.load(run.folds / f"1-{n}").predict(pictures.folder).set_index("scan").p_ill for n in (1, 2)]
    assert np.allclose(together.p_ill, np.mean(alone, axis=0), atol=1e-6)
    threshold = ensemble.operating_point.thresholds[0]
    assert ((together.p_ill >= threshold) == (together.predicted == "ill")).all()
    assert ensemble.operating_point.chosen_on == "out-of-fold predictions"


def test_the_ensemble_explains_by_the_mean_of_its_members_maps(run: Run, pictures: Pictures) -> None:
    scan = pictures.folder / "image2.png"
    together = medcls.load(run.path).explain(scan, "ill").map
    alone = [medcls.load(run.folds / f"1-{n}").explain(scan, "ill").map for n in (1, 2)]
    assert np.allclose(together, np.mean(alone, axis=0), atol=1e-6)
    assert together.max() > 0


def test_a_copied_ensemble_works_alone_and_a_changed_one_is_refused(
    run: Run, pictures: Pictures, tmp_path: Path
) -> None:
    scan = pictures.folder / "image3.png"
    copy = tmp_path / "copy"
    shutil.copytree(run.classifier_folder, copy)
    assert medcls.load(copy).predict(scan).p_ill[0] == medcls.load(run.path).predict(scan).p_ill[0]
    swapped = tmp_path / "swapped"
    shutil.copytree(copy, swapped)
    shutil.rmtree(swapped / "members" / "1-2")
    shutil.copytree(swapped / "members" / "1-1", swapped / "members" / "1-2")
    with pytest.raises(ClassifierError, match="'1-2' is missing, or is not the one"):
        medcls.load(swapped)
    description = json.loads((copy / "classifier.json").read_text(encoding="utf-8"))
    description["members"][0]["name"] = "../elsewhere"
    (copy / "classifier.json").write_text(json.dumps(description), encoding="utf-8")
    with pytest.raises(ClassifierError, match="cannot be"):
        medcls.load(copy)


def test_an_external_cohort_is_judged_by_the_ensemble(run: Run, tmp_path: Path) -> None:
    other = make_pictures(tmp_path / "other", patients=8, names="elsewhere-{}", seed=1)
    result = medcls.evaluate(run.path, cases=other.table, out=tmp_path / "out")
    assert result.metrics["operating_point"]["chosen_on"] == "out-of-fold predictions"
    assert result.answered == 16


def test_without_a_fixed_test_partition_there_is_nothing_to_evaluate_again(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no test partition"):
        medcls.evaluate(run.path, out=tmp_path)
    again = medcls.evaluate(run.folds / "1-1", out=tmp_path)
    assert again.metrics["auc"] == Run(run.folds / "1-1").metrics["test"]["auc"]


class _Killed(BaseException):
    """Stands for a kill -9: nothing in the package may catch it."""


@pytest.mark.parametrize("moment", ["second fold", pytest.param("joining", marks=pytest.mark.slow)])
def test_a_killed_cross_validation_keeps_its_folds_and_ends_as_it_would_have(
    run: Run, pictures: Pictures, places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    from medcls.training.module import ClassificationModule
    from medcls.workflows.training import cross_validation, train_once

    config = config_of(pictures, places, tmp_path / "runs")
    step = ClassificationModule.training_step

    def killed(self: ClassificationModule, batch: Any, index: int) -> Any:
        if self.seed == 2:  # the second fold's
            raise _Killed
        return step(self, batch, index)

    def never(*_: Any, **__: Any) -> Any:
        raise _Killed

    with monkeypatch.context() as patch:
        if moment == "second fold":
            patch.setattr(ClassificationModule, "training_step", killed)
        else:
            patch.setattr(cross_validation, "write_joint_predictions", never)
        with pytest.raises(_Killed):
            train_run(config)
    broken = Run(tmp_path / "runs" / "small")
    finished = [fold.name for fold in broken.folds.iterdir() if Run(fold).is_finished]
    assert sorted(finished) == (["1-1"] if moment == "second fold" else ["1-1", "1-2"])
    trained: list[str] = []
    fit = train_once.train_classifier

    def counted(*given: Any) -> Any:
        trained.append(given[-1].config.name)
        return fit(*given)

    with monkeypatch.context() as patch:
        patch.setattr(train_once, "train_classifier", counted)
        resumed = train_run(config, resume=True)
    assert trained == (["1-2"] if moment == "second fold" else [])
    for name in ("metrics.json", "predictions.csv", "folds.csv"):
        assert (resumed.path / name).read_bytes() == (run.path / name).read_bytes(), name
    assert changed_files(resumed.path) == changed_parts(resumed) == ()


def test_one_fold_can_be_trained_alone_and_is_the_same(run: Run, places: Path, tmp_path: Path) -> None:
    alone = train_run(load_config(run.folds / "1-2" / "config.yaml", [f"runs={tmp_path}"]))
    for name in ("classifier/weights.safetensors", "metrics.json", "predictions.csv", "cohort.csv"):
        assert (alone.path / name).read_bytes() == (run.folds / "1-2" / name).read_bytes(), name


def test_other_folds_are_not_gone_on_with(run: Run, pictures: Pictures, places: Path, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "runs" / "small")
    copy = Run(tmp_path / "runs" / "small")
    copy.report_file.unlink()
    table = copy.folds_file
    table.write_text(table.read_text(encoding="utf-8").replace(",2,test", ",2,train"), encoding="utf-8")
    with pytest.raises(RunError, match="folds are not those"):
        train_run(load_config(copy.config_file, [f"runs={tmp_path / 'runs'}"]), resume=True)


@pytest.mark.slow
def test_a_fixed_test_partition_and_repeats(pictures: Pictures, places: Path, tmp_path: Path) -> None:
    lines = pictures.table.read_text(encoding="utf-8").splitlines()
    given = ["tune" if number < 4 else "test" if number >= 24 else "" for number in range(36)]
    text = [f"{lines[0]},split", *(f"{line},{part}" for line, part in zip(lines[1:], given, strict=True))]
    table = pictures.folder / "given.csv"
    table.write_text("\n".join(text) + "\n", encoding="utf-8")
    config = config_of(
        pictures, places, tmp_path, data={"cases": table}, split={"folds": 2, "repeats": 2, "tune": 0.2}, name="given"
    )
    finished = train_run(config)
    metrics = finished.metrics
    jsonschema.validate(metrics, metrics_schema())
    assert set(metrics) == {"pooled", "per_fold", "test"}
    assert [one["fold"] for one in metrics["per_fold"]["folds"]] == ["1-1", "1-2", "2-1", "2-2"]
    assert (metrics["pooled"]["n_cases"], metrics["pooled"]["n_patients"]) == (48, 12)
    assert any("each of 2 repeats" in note for note in metrics["pooled"]["notes"])
    assert metrics["test"]["n_cases"] == 12
    assert metrics["test"]["operating_point"]["chosen_on"] == "out-of-fold predictions"
    folds = pd.read_csv(finished.path / "folds.csv")
    outside = pd.read_csv(finished.path / "cohort.csv").query("partition == 'test'").case
    assert len(outside) == 12
    assert not set(outside) & set(folds.case)
    again = medcls.evaluate(finished.path, out=tmp_path / "again")
    assert again.metrics["auc"] == metrics["test"]["auc"]
    # The ensemble's predictions on test are compared, not those of the folds.
    compared = medcls.compare(finished.path, tmp_path / "again", out=tmp_path / "compared").document
    assert compared["n_cases"] == 12
    assert {one["difference"]["value"] for one in compared["comparisons"][0]["differences"]} == {0}

    # Without a test partition, held-out cases are, each repeat for itself.
    pooled_only = tmp_path / "pooled-only"
    pooled_only.mkdir()
    pd.read_csv(finished.predictions_file).query("partition == 'pooled'").to_csv(
        pooled_only / "predictions.csv", index=False
    )
    (pooled_only / "metrics.json").write_text(json.dumps({"pooled": metrics["pooled"]}), encoding="utf-8")
    shutil.copytree(pooled_only, tmp_path / "twin")
    twice = medcls.compare(pooled_only, tmp_path / "twin", out=tmp_path / "compared-twice").document
    assert (twice["n_cases"], twice["comparisons"][0]["n_patients"]) == (48, 12)


def test_too_few_patients_are_found_before_a_folder_is_made(pictures: Pictures, places: Path, tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="too few for 10 folds"):
        train_run(config_of(pictures, places, tmp_path / "runs", split={"folds": 10}))
    assert not (tmp_path / "runs").exists()


def test_a_learning_curve_has_nested_parts_judged_on_the_same_cases(
    pictures: Pictures, places: Path, tmp_path: Path
) -> None:
    split = {"learning_curve": [0.5], "tune": 0.2}
    finished = train_run(config_of(pictures, places, tmp_path, split=split))
    jsonschema.validate(finished.metrics, metrics_schema())
    curve = finished.metrics["learning_curve"]
    assert curve["judged_on"] == "test"
    assert [one["part"] for one in curve["points"]] == [0.5, 1.0]
    inside: set[str] = set()
    for one in curve["points"]:
        folder = finished.path if one["part"] == 1 else finished.learning_curve / f"{one['part']:g}"
        table = pd.read_csv(folder / "cohort.csv")
        train = table[table.partition == "train"]
        assert (one["n_patients"], one["n_cases"]) == (train.patient.nunique(), len(train))
        assert inside < set(train.case)
        inside = set(train.case)
        evaluated = set(table[table.partition == "test"].case)
        assert evaluated == set(pd.read_csv(finished.path / "cohort.csv").query("partition == 'test'").case)
        assert one["auc"] == Run(folder).metrics["test"]["auc"]
    assert "Learning curve" in finished.report_file.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_learning_curve_of_a_cross_validation_is_pooled(pictures: Pictures, places: Path, tmp_path: Path) -> None:
    split = {"folds": 2, "learning_curve": [0.5], "tune": 0.2}
    finished = train_run(config_of(pictures, places, tmp_path, split=split))
    curve = finished.metrics["learning_curve"]
    assert curve["judged_on"] == "pooled"
    assert [one["n_patients"] for one in curve["points"]] == sorted(one["n_patients"] for one in curve["points"])
    half = Run(finished.learning_curve / "0.5")
    assert curve["points"][0]["auc"] == half.metrics["pooled"]["auc"]
    held = [pd.read_csv(one.folds_file).query("partition == 'test'") for one in (finished, half)]
    assert held[0].reset_index(drop=True).equals(held[1].reset_index(drop=True))
