"""An ensemble of seeds and networks: runs of their own, and their mean as the run's classifier."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
import torch

import medcls
from medcls.classifier.ensemble import Ensemble
from medcls.errors import ConfigError, RunError
from medcls.evaluation import metrics_schema
from medcls.runs.folder import Run
from medcls.workflows.commands.train import train_run
from tests.factories.runs import Pictures, settings

torch.set_num_threads(1)

MEMBERS = ("resnet10-0", "resnet10-1", "resnet18-0", "resnet18-1")


@pytest.fixture(scope="module")
def joined(pictures: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("ensemble")
    ensemble = {"seeds": 2, "networks": ["resnet10", "resnet18"]}
    return train_run(
        settings(pictures, folder, train={"method": "probe"}, ensemble=ensemble, store={"folder": folder / "store"})
    )


def test_its_probabilities_are_the_mean_of_its_members(joined: Run) -> None:
    assert sorted(one.name for one in joined.members.iterdir()) == list(MEMBERS)
    own = [pd.read_csv(joined.members / name / "predictions.csv").set_index("case") for name in MEMBERS]
    table = pd.read_csv(joined.predictions_file).set_index("case")
    assert set(table.partition) == {"tune", "test"}
    mean = sum(one.p_ill.loc[table.index] for one in own) / 4
    assert np.allclose(table.p_ill, mean, atol=1e-6)
    assert np.std([one.p_ill.loc[table.index] for one in own], axis=0).max() > 1e-4


def test_it_is_evaluated_reported_and_used_as_any_classifier(joined: Run, pictures: Pictures, tmp_path: Path) -> None:
    metrics = json.loads(joined.metrics_file.read_text(encoding="utf-8"))
    jsonschema.validate(metrics, metrics_schema())
    assert set(metrics) == {"tune", "test"}
    report = joined.report_file.read_text(encoding="utf-8")
    assert "4 classifiers: the mean of their" in report
    assert "Each training is recorded in its own report." in report
    assert "fold" not in json.dumps(metrics["test"])
    classifier = medcls.load(joined.path, engine="torch")
    assert isinstance(classifier, Ensemble)
    assert classifier.operating_point.chosen_on == "tune"
    medcls.infer(pictures.folder, joined.path, tmp_path / "out", engine="torch")
    found = pd.read_csv(tmp_path / "out" / "predictions.csv")
    kept = pd.read_csv(joined.predictions_file)
    assert set(np.round(kept.p_ill, 4)) <= set(np.round(found.p_ill, 4))


def test_a_member_is_a_run_that_its_config_repeats(joined: Run, tmp_path: Path) -> None:
    member = Run(joined.members / "resnet10-1")
    config = member.load_config()
    again = train_run(config.model_copy(update={"runs": tmp_path}))
    assert again.predictions_file.read_bytes() == member.predictions_file.read_bytes()


def test_it_goes_on_with_the_member_that_broke(joined: Run) -> None:
    kept = {name: (joined.members / name / "metrics.json").stat().st_mtime_ns for name in MEMBERS}
    before = joined.predictions_file.read_bytes()
    joined.report_file.unlink()
    Run(joined.members / "resnet18-0").report_file.unlink()
    train_run(joined.load_config(), resume=True)
    changed = {name for name in MEMBERS if (joined.members / name / "metrics.json").stat().st_mtime_ns != kept[name]}
    assert changed == {"resnet18-0"}
    assert joined.predictions_file.read_bytes() == before


@pytest.mark.slow
def test_every_fold_trains_all_members_and_is_evaluated_by_their_mean(pictures: Pictures, tmp_path: Path) -> None:
    networks = ["resnet10", "resnet18"]
    config = settings(
        pictures,
        tmp_path,
        train={"method": "probe"},
        split={"folds": 2},
        ensemble={"networks": networks},
        explanation={"cases": 1},
        evaluation={"baseline": False},
    )
    run = train_run(config)
    assert sorted(medcls.load(run.path, engine="torch").members) == sorted(
        f"{fold}-{network}-{seed}" for fold, seed in (("1-1", 1), ("1-2", 2)) for network in networks
    )
    for fold, seed in (("1-1", 1), ("1-2", 2)):
        tables = [
            pd.read_csv(run.folds / fold / "members" / f"{network}-{seed}" / "predictions.csv") for network in networks
        ]
        joint = pd.read_csv(run.folds / fold / "predictions.csv")
        assert np.allclose(joint.p_ill, sum(one.p_ill for one in tables) / 2, atol=1e-5)
    pooled = pd.read_csv(run.predictions_file)
    assert len(pooled) == 48
    assert len(list(run.explanations.glob("*.png"))) == 1


def test_what_cannot_be_an_ensemble_is_refused(pictures: Pictures, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"leave out split\.learning_curve"):
        settings(pictures, tmp_path, split={"learning_curve": [0.5]}, ensemble={"seeds": 2})
    with pytest.raises(ConfigError, match="listed twice"):
        settings(pictures, tmp_path, ensemble={"networks": ["resnet10", "resnet10"]})


def test_a_finished_one_is_not_begun_anew(joined: Run) -> None:
    with pytest.raises(RunError, match="the run is finished"):
        train_run(joined.load_config(), resume=True)
