"""A search tries settings on the training patients alone, goes on where it was killed, and ends in an ordinary run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medcls.config import Config, load_config
from medcls.config.sections.tune import TuneSettings
from medcls.errors import ConfigError, MedclsError, MissingExtraError, RunError
from medcls.preprocessing import StoredPrepared
from medcls.progress import SILENT
from medcls.runs.folder import Run
from medcls.values.caution import Caution
from medcls.workflows.commands.train import make_ready
from medcls.workflows.data.fold_plan import FoldPlan
from medcls.workflows.data.prepare import Material
from medcls.workflows.searching import judging
from medcls.workflows.searching import tune as verb
from medcls.workflows.searching.space import next_values, with_values
from medcls.workflows.searching.trials import Trial, read_search
from medcls.workflows.searching.tune import tune_run
from medcls.workflows.session import Session
from tests.factories.runs import Pictures, rows, settings

SPACE = {"train.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "model.dropout": [0.0, 0.5]}


def searched(pictures: Pictures, runs: Path, key_folder: Path, **changes: Any) -> Config:
    given = {
        "tune": {"trials": 3, "folds": 2, "space": SPACE},
        "model": {"name": "smallcnn", "first_pool": True},
        "train": {"epochs": 1},
        "explanation": {"cases": 0},
        "privacy": {"key_file": key_folder / "key"},
        "store": {"folder": key_folder / "store"},
    }
    return settings(pictures, runs, **{**given, **changes})  # type: ignore[no-any-return]


def worth(values: Any) -> float:
    """A made-up AUC: best near a learning rate of 0.01, and with dropout."""
    return 0.9 - abs(values["train.learning_rate"] - 0.01) - 0.05 * (values["model.dropout"] == 0)


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Trials that train nothing, and a last run that is only asked for; what was asked."""
    asked: list[Any] = []

    def trial(number: int, values: Any, _plan: FoldPlan, _session: Session) -> Trial:
        asked.append(values)
        return Trial(number, values, (worth(values), worth(values)), 1.0)

    def last(config: Config, *, name: str, **_: Any) -> Run:
        asked.append(config)
        return Run(config.runs / name)

    monkeypatch.setattr(verb, "judged", trial)
    monkeypatch.setattr(verb, "train_run", last)
    return asked  # type: ignore[return-value]


def test_trials_open_the_views_of_training_cases_alone(
    pictures: Pictures, key_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: set[str] = set()
    codes, judged, folds = StoredPrepared.codes, verb.judged, verb.inner_folds
    sides: dict[str, set[str]] = {}

    def watched(entry: StoredPrepared, index: int) -> Any:
        opened.add(entry.pixels)
        return codes(entry, index)

    def plan(material: Any, config: Config) -> FoldPlan:
        for case in material.cohort.cases:
            sides.setdefault(case.partition, set()).add(material.entries[case.name].pixels)
        opened.clear()
        return folds(material, config)

    def trial(*given: Any) -> Trial:
        found = judged(*given)
        assert opened == sides["train"]
        assert not found.failed
        return found

    monkeypatch.setattr(StoredPrepared, "codes", watched)
    monkeypatch.setattr(verb, "inner_folds", plan)
    monkeypatch.setattr(verb, "judged", trial)
    config = searched(pictures, tmp_path, key_folder, tune={"trials": 2, "folds": 2, "space": SPACE})
    found = tune_run(config)
    assert len(sides["train"]) > len(sides["test"]) > 0
    assert not sides["train"] & (sides["tune"] | sides["test"])
    assert found.run.path == tmp_path / "small"
    assert found.run.is_finished
    kept = found.run.load_config()
    assert with_values(config, found.best.values).train == kept.train
    assert kept.tune == TuneSettings(searched="small-tuning")
    assert found.best.auc == max(one.auc or 0 for one in found.search.trials)
    assert all(len(one.aucs) == 2 for one in found.search.trials)
    again = tune_run(config)  # all is done already
    assert (again.run, again.search) == (found.run, found.search)


def test_the_same_search_gives_the_same_trials_also_where_it_was_killed(
    quickly: list[Any], pictures: Pictures, key_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def space(trials: int) -> dict[str, Any]:
        return {"trials": trials, "folds": 2, "space": SPACE}

    whole = tune_run(searched(pictures, tmp_path / "whole", key_folder, tune=space(16))).search
    killed = searched(pictures, tmp_path / "killed", key_folder, tune=space(16))
    trial, count = verb.judged, 0

    def dying(*given: Any) -> Trial:
        nonlocal count
        count += 1
        if count == 14:
            raise KeyboardInterrupt
        return trial(*given)

    monkeypatch.setattr(verb, "judged", dying)
    with pytest.raises(KeyboardInterrupt):
        tune_run(killed)
    assert len(read_search(tmp_path / "killed" / "small-tuning", killed).trials) == 13
    assert tune_run(killed).search.trials == whole.trials
    longer = tune_run(searched(pictures, tmp_path / "killed", key_folder, tune=space(17)))
    assert longer.search.trials[:16] == whole.trials
    other = tune_run(searched(pictures, tmp_path / "other", key_folder, tune=space(3), seed=1)).search
    assert other.trials[1:] != whole.trials[1:3]


def test_the_best_trial_is_trained_and_the_table_has_them_all(
    quickly: list[Any], pictures: Pictures, key_folder: Path, tmp_path: Path
) -> None:
    config = searched(pictures, tmp_path, key_folder, tune={"trials": 6, "folds": 2, "space": SPACE})
    found = tune_run(config)
    trials, last = quickly[:-1], quickly[-1]
    assert trials[0] == {"train.learning_rate": 3e-4, "model.dropout": 0.0}  # what the config says itself
    assert all(1e-4 <= one["train.learning_rate"] <= 1e-1 for one in trials)
    best = max(trials, key=worth)
    assert (last.train.learning_rate, last.model.dropout) == (best["train.learning_rate"], best["model.dropout"])
    assert last.model_copy(update={"train": config.train, "model": config.model, "tune": config.tune}) == config
    table = rows(found.search.folder / "trials.csv")
    assert [float(row["train.learning_rate"]) for row in table] == [one["train.learning_rate"] for one in trials]
    assert float(table[found.best.number - 1]["auc"]) == pytest.approx(worth(best))
    assert f"Best: trial {found.best.number}" in (found.search.folder / "tuning.md").read_text(encoding="utf-8")


def test_folds_and_members_are_those_of_the_last_run_and_a_trial_trains_each_network_once(
    quickly: list[Any], pictures: Pictures, key_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, int, set[str]]] = []

    def auc_of(config: Config, place: int, part: Material, _: Session) -> float:
        trained.append((config.model.name, place, {case.name for case in part.cohort.cases}))
        return 0.5 + 0.1 * place + 0.2 * (config.model.name == "smallcnn")

    networks = ["smallcnn", "resnet10"]
    monkeypatch.setattr(judging, "_auc_of", auc_of)
    monkeypatch.setattr(verb, "judged", judging.judged)
    tune = {"trials": 1, "folds": 2, "space": SPACE}
    wider = {"split": {"folds": 3, "repeats": 2}, "ensemble": {"seeds": 2, "networks": networks}}
    found = tune_run(searched(pictures, tmp_path, key_folder, tune=tune, **wider))
    assert [(name, place) for name, place, _ in trained] == [(name, place) for place in (1, 2) for name in networks]
    assert all(len(cases) == 48 for *_, cases in trained)
    assert found.best.aucs == pytest.approx((0.7, 0.8))
    (last,) = quickly
    assert (last.split.folds, last.split.repeats, last.ensemble.seeds, last.ensemble.networks) == (3, 2, 2, networks)
    told = [str(one) for one in warned(last) if one.code == "tuned"]
    assert len(told) == 1
    assert "too favourable" in told[0]
    assert not [one for one in warned(last.model_copy(update={"tune": TuneSettings()})) if one.code == "tuned"]


def warned(config: Config) -> tuple[Caution, ...]:
    _, plan = make_ready(config, 2, SILENT)
    assert isinstance(plan, FoldPlan)
    return tuple(plan.material.cohort.warnings)


def test_no_trial_begins_after_the_time(
    quickly: list[Any], pictures: Pictures, key_folder: Path, tmp_path: Path
) -> None:
    tune = {"trials": 9, "time": "4s", "folds": 2, "space": SPACE}  # each says that it took a second
    assert len(tune_run(searched(pictures, tmp_path, key_folder, tune=tune)).search.trials) == 4


def test_a_setting_that_cannot_be_trained_is_a_trial_that_failed(
    pictures: Pictures, key_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verb, "train_run", lambda config, *, name, **_: Run(config.runs / name))
    tune = {"trials": 2, "folds": 2, "space": {"model.freeze": [98, 99]}}
    with pytest.raises(RunError, match=r"every trial failed, the first because: 9[89] blocks cannot be frozen"):
        tune_run(searched(pictures, tmp_path, key_folder, tune=tune))
    kept = json.loads((tmp_path / "small-tuning" / "trials.json").read_text(encoding="utf-8"))
    assert [one["aucs"] for one in kept["trials"]] == [[], []]


def test_a_search_goes_on_with_its_own_config_alone(
    quickly: list[Any], pictures: Pictures, key_folder: Path, tmp_path: Path
) -> None:
    tune_run(searched(pictures, tmp_path, key_folder))
    with pytest.raises(RunError, match="another config: train differ"):
        tune_run(searched(pictures, tmp_path, key_folder, train={"epochs": 2}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tune": {"trials": 3}}, "nothing to search"),
        ({"tune": {"space": {"train.learning_rat": [1, 2]}}}, "tune.space.*learning_rat"),
        (
            {"tune": {"space": {"train.learning_rate": [-1.0, 2.0]}}},
            "tune.space: train.learning_rate: .*greater than 0",
        ),
        (
            {"tune": {"space": {"model.name": ["resnet10", "resnet18"]}}, "ensemble": {"networks": ["resnet34"]}},
            "tune.space: model.name: ensemble.networks names the networks",
        ),
    ],
)
def test_what_cannot_be_searched_is_one_line(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(MedclsError, match=words):
        tune_run(load_config(None, (), {"runs": tmp_path / "runs", **changes}))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("tune", "words"),
    [
        ({"space": {"preprocessing.size": [1, 2]}}, "cannot be searched"),
        ({"space": {"model.name": ["resnet10"]}}, "two values"),
        ({"space": {"train.learning_rate": {"low": 1, "high": 1}}}, "must be less"),
        ({"space": {"train.learning_rate": {"low": 0, "high": 1, "log": True}}}, "more than 0"),
        ({"time": "soon"}, "a number and a unit"),
    ],
)
def test_a_space_that_makes_no_sense_is_a_wrong_config(tune: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(None, (), {"tune": tune})


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = load_config(None, (), {"tune": {"space": SPACE}})
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'medcls\[tune\]'"):
        next_values(config, [Trial(1, {}, (0.5,), 1.0)])
