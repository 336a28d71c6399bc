"""``plan`` and ``train``: the plan is kept in the run, can be edited, and a run that is gone on with stands by it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

import medcls
from medcls.cli.app import app
from medcls.config import load_config
from medcls.errors import ConfigError
from medcls.planning import read_plan, write_plan
from medcls.planning.plan_file import as_document
from medcls.progress import SILENT
from medcls.training.time_limit import TimeLimit
from medcls.workflows.commands.plan import plan_training
from medcls.workflows.commands.train import train_run
from medcls.workflows.fitting.resume import as_in
from tests.factories.runs import SMALL, Pictures, make_pictures
from tests.factories.site_weights import ROW, write_index

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    return make_pictures(tmp_path_factory.mktemp("pictures"))


def open_config(pictures: Pictures, folder: Path, **changes: Any) -> Any:
    """What a user must say, and no more."""
    data = {"cases": pictures.table}
    return load_config(
        None, (), {"data": data, "positive": "ill", "runs": folder, "store": {"folder": folder}, **changes}
    )


def test_who_says_nothing_gets_a_plan_and_its_run(pictures: Pictures, tmp_path: Path) -> None:
    small = {"size": [32, 32]}  # the frozen network is as good on these
    config = open_config(pictures, tmp_path, preprocessing=small, explanation={"cases": 0})
    run = train_run(config)
    plan = yaml.safe_load((run.path / "plan.yaml").read_text(encoding="utf-8"))
    assert plan["choices"]["train.method"]["value"] == "probe"
    assert plan["choices"]["preprocessing.size"] == {"value": [32, 32], "why": "the config says so", "said": True}
    assert plan["cohort"]["training"] == {"ill": 16, "well": 16}
    kept = run.load_config()
    assert (kept.train.method, kept.model.depths) == ("probe", "all")
    assert run.metrics["test"]["auc"]["value"] > 0.8
    # Gone on with by the same open config: what was planned then still stands.
    assert as_in(kept, config).model_dump(exclude={"name"}) == kept.model_dump(exclude={"name"})


def test_weights_named_by_the_sites_index_are_trained_on_in_their_own_network(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDCLS_WEIGHTS", str(tmp_path / "site"))
    ours = {**ROW, "name": "ours", "network": "resnet18", "dimensions": 2, "sha256": "0" * 64}
    (tmp_path / "site").mkdir()
    write_index(tmp_path / "site", ours)
    config = open_config(pictures, tmp_path, preprocessing={"size": [32, 32]}, model={"weights": "ours"})
    choices = {choice.key: choice.value for choice in plan_training(config).choices}
    assert (choices["train.method"], choices["model.name"]) == ("full", "resnet18")
    write_index(tmp_path / "site", ours, {**ours, "network": "resnet34"})
    with pytest.raises(ConfigError, match=r"resnet18 and resnet34.*model\.name"):
        plan_training(config)


def test_an_edited_plan_is_followed_and_the_config_wins(pictures: Pictures, tmp_path: Path) -> None:
    config = open_config(pictures, tmp_path, train={"batch_size": 8}, model="resnet10")
    made = plan_training(config)
    file = tmp_path / "plan.yaml"
    write_plan(made, file)
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert values["choices"]["model.name"]["said"]
    values["choices"]["train.epochs"]["value"] = 3
    values["choices"]["train.batch_size"]["value"] = 99
    del values["choices"]["train.batch_size"]["said"]
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    edited = open_config(pictures, tmp_path, train={"batch_size": 8}, model="resnet10", plan={"file": file})
    from medcls.workflows.commands.plan import planned

    settled, plan = planned(edited)
    assert (settled.train.epochs, settled.train.batch_size, settled.model.name) == (3, 8, "resnet10")
    assert plan is not None
    assert "    train.epochs: 3  (as plan.yaml says)" in plan.in_words()  # the old reason is of another value
    assert "expected" in as_document(made)
    assert "expected" not in as_document(plan)  # nothing was timed
    values["choices"]["train.epochs"]["value"] = "few"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"plan\.yaml: 'train\.epochs'"):
        planned(edited)


def test_a_plan_is_written_over_no_config_and_over_no_other_file_unasked(pictures: Pictures, tmp_path: Path) -> None:
    config, out = tmp_path / "lung.yaml", tmp_path / "plan.yaml"
    values = {"data": {"cases": str(pictures.table)}, "positive": "ill", "model": "resnet10"}
    config.write_text(yaml.safe_dump(values), encoding="utf-8")
    before = config.read_bytes()
    out.write_text("edited", encoding="utf-8")

    def plan(*words: str) -> Any:
        return CliRunner().invoke(app, ["plan", "--quiet", "--config", str(config), *words])

    over = plan("--out", str(config), "--overwrite")
    assert "would replace the config" in over.stderr
    assert config.read_bytes() == before
    again = plan("--out", str(out))
    assert "there already" in again.stderr
    assert out.read_text(encoding="utf-8") == "edited"
    assert plan("--out", str(out), "--overwrite").exit_code == 0
    assert read_plan(out)


def test_a_short_budget_takes_less(pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medcls.workflows.fitting import costs

    def by_epochs(config: Any, *_rest: Any) -> dict[str, float]:
        return {"training": 60.0 * config.train.epochs * config.ensemble.seeds}

    monkeypatch.setattr(costs, "expected_seconds", by_epochs)
    train = {"method": "full"}
    whole = plan_training(open_config(pictures, tmp_path, train=train, plan={"budget": "100d"}))
    short = plan_training(open_config(pictures, tmp_path, train=train, plan={"budget": "1h"}))
    assert short.expected <= 3600 < whole.expected
    never = plan_training(open_config(pictures, tmp_path, train=train, plan={"budget": "1s"}))
    assert "more than the 1 s that there are" in never.in_words()[0]
    assert "more than" not in short.in_words()[0]
    many, few = ({one.key: one.value for one in plan.choices} for plan in (whole, short))
    assert many["ensemble.seeds"] == 5
    assert 60 <= float(few["train.time_limit"].removesuffix(" s")) <= 3600


@pytest.mark.parametrize("text", ["- 1", "choices: [a]", "choices: {train.epochs: 3}", "\x00"])
def test_what_is_no_plan_is_refused_in_a_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="plan"):
        read_plan(tmp_path / "plan.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_plan(tmp_path / "none.yaml")


def test_without_a_plan_the_defaults_stand(pictures: Pictures, tmp_path: Path) -> None:
    from medcls.workflows.commands.plan import planned

    config = open_config(pictures, tmp_path, plan=False)
    assert planned(config) == (config, None)


def test_a_training_ends_before_the_epoch_that_would_be_too_late() -> None:
    now = [0.0]
    limit = TimeLimit(35, SILENT, clock=lambda: now[0])
    trainer = SimpleNamespace(should_stop=False, current_epoch=0, max_epochs=9)
    for epoch in range(9):
        trainer.current_epoch = epoch
        limit.on_train_epoch_start(trainer, None)
        now[0] += 10
        limit.on_train_epoch_end(trainer, None)
        if trainer.should_stop:
            break
    assert now[0] == 30
    later = TimeLimit(35, SILENT, clock=lambda: now[0])
    later.load_state_dict(limit.state_dict())
    trainer.should_stop = False
    later.on_train_epoch_start(trainer, None)
    now[0] += 1
    later.on_train_epoch_end(trainer, None)
    assert trainer.should_stop


def test_a_training_of_no_time_keeps_its_first_epoch(pictures: Pictures, tmp_path: Path) -> None:
    values = {**SMALL, "data": {"cases": pictures.table}, "runs": tmp_path, "name": "short"}
    values["train"] = {**values["train"], "epochs": 50, "time_limit": "0.001s"}
    run = train_run(load_config(None, (), values))
    assert len((run.path / "history.csv").read_text(encoding="utf-8").splitlines()) == 2
    assert medcls.load(run.path).labels
