"""Finished runs, joined afterwards: judged on what all of them held out, and refused where one learnt from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import medcls
from medcls.classifier.ensemble import Ensemble
from medcls.cli.app import app
from medcls.config import load_config
from medcls.errors import ConfigError, MedclsError, RunError, UsageError
from medcls.evaluation import metrics_schema
from medcls.files import read_csv
from medcls.runs.folder import Run
from medcls.workflows.commands.join import join_runs, shared_partitions
from medcls.workflows.commands.train import train_run
from tests.factories.runs import Pictures, settings

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def trained(pictures: Pictures, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Two runs on one split, the second of another network and without some training patients."""
    folder = tmp_path_factory.mktemp("joining")
    common: dict[str, Any] = {
        "train": {"method": "probe"},
        "explanation": {"cases": 0},
        "evaluation": {"baseline": False},
        "store": {"folder": folder / "store"},
    }
    ways: dict[str, dict[str, Any]] = {
        "first": {"split": {"seed": 0}},
        "second": {"split": {"seed": 0, "train_part": 0.7}, "seed": 1, "model": {"dropout": 0.1}},
    }
    return {name: train_run(settings(pictures, folder, name=name, **common, **way)) for name, way in ways.items()}


@pytest.fixture(scope="module")
def together(trained: dict[str, Run]) -> Run:
    runs = [str(trained[name].path) for name in ("first", "second")]
    done = CliRunner().invoke(app, ["join", *runs, "--run", "together", "--quiet"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return Run(trained["first"].path.parent / "together")


def test_its_probabilities_are_the_mean_of_the_runs(trained: dict[str, Run], together: Run) -> None:
    own = [pd.read_csv(trained[name].predictions_file).set_index("case") for name in ("first", "second")]
    table = pd.read_csv(together.predictions_file).set_index("case")
    assert set(table.index) == set(own[0].index)
    assert (table.partition == own[0].partition.loc[table.index]).all()
    assert np.allclose(table.p_ill, sum(one.p_ill.loc[table.index] for one in own) / 2, atol=1e-6)


def test_it_is_a_run_as_any_other(together: Run, pictures: Pictures, tmp_path: Path) -> None:
    metrics = json.loads(together.metrics_file.read_text(encoding="utf-8"))
    jsonschema.validate(metrics, metrics_schema())
    assert set(metrics) == {"tune", "test"}
    assert "2 trainings: first, second" in together.report_file.read_text(encoding="utf-8")
    classifier = medcls.load(together.path, engine="torch")
    assert isinstance(classifier, Ensemble)
    assert classifier.operating_point.chosen_on == "tune"
    again = medcls.evaluate(together.path, out=tmp_path / "again")
    assert again.metrics["auc"]["value"] == pytest.approx(metrics["test"]["auc"]["value"])
    with pytest.raises(MedclsError, match="trained or tuned on would be evaluated"):
        medcls.evaluate(together.path, cases=pictures.table, out=tmp_path / "all")


def test_what_any_of_them_learnt_from_counts_as_training(trained: dict[str, Run], together: Run) -> None:
    """The second run had fewer training patients than the first."""
    known = [
        {row["case"] for row in read_csv(run.path / "training-cases.csv")} for run in (*trained.values(), together)
    ]
    assert known[1] < known[0]
    assert known[2] == known[0] | known[1]
    reversed_order = join_runs([trained["second"], trained["first"]], "turned")
    turned = {row["case"]: row["partition"] for row in read_csv(reversed_order.path / "training-cases.csv")}
    assert turned == {row["case"]: row["partition"] for row in read_csv(together.path / "training-cases.csv")}


def test_a_run_that_learnt_from_what_another_holds_out_is_refused(trained: dict[str, Run], tmp_path: Path) -> None:
    other = Run(shutil.copytree(trained["second"].path, tmp_path / "other"))
    table = other.path / "cohort.csv"
    table.write_text(table.read_text(encoding="utf-8").replace(",test,", ",tune,"), encoding="utf-8")
    said = r"test cases of 'first' are among those that 'other' learns from, or tunes on: C"
    with pytest.raises(RunError, match=said) as caught:
        join_runs([trained["first"], other], "wrong")
    assert "\n" not in str(caught.value)
    assert not (trained["first"].path.parent / "wrong").exists()


def test_what_cannot_be_joined_is_said(trained: dict[str, Run], together: Run, tmp_path: Path) -> None:
    first = trained["first"]
    with pytest.raises(UsageError, match="two runs or more"):
        join_runs([first, first], "wrong")
    with pytest.raises(RunError, match="'together' is an ensemble itself"):
        join_runs([first, together], "wrong")
    with pytest.raises(RunError, match="is finished"):
        join_runs([first, trained["second"]], "second")
    with pytest.raises(ConfigError, match=r"joined, not of a training.*medcls join first second"):
        train_run(load_config(together.config_file, ["train.epochs=50"]), resume=True)


def test_a_patient_who_is_on_two_sides_of_two_tables_is_found(trained: dict[str, Run], tmp_path: Path) -> None:
    """Under another name of the case, so that only patient and image tell."""
    copy = Run(shutil.copytree(trained["second"].path, tmp_path / "copy"))
    table = copy.path / "training-cases.csv"
    held_out = next(row for row in read_csv(trained["first"].path / "cohort.csv") if row["partition"] == "test")
    lines = table.read_text(encoding="utf-8").splitlines()
    cells = lines[1].split(",")
    table.write_text(
        "\n".join([*lines, ",".join(["Cother", held_out["patient"], *cells[2:]])]) + "\n", encoding="utf-8"
    )
    with pytest.raises(MedclsError, match="trained or tuned on would be evaluated"):
        join_runs([trained["first"], copy], "wrong")
    assert not (trained["first"].path.parent / "wrong").exists()


sides = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(["train", "tune", "test"]), min_size=1)


@given(runs=st.lists(sides, min_size=2, max_size=3))
def test_only_what_all_hold_out_is_judged(runs: list[dict[str, Any]]) -> None:
    named = {f"run{number}": one for number, one in enumerate(runs)}
    held_out = [{case for case, side in one.items() if side == "test"} for one in runs]
    learnt = [one.keys() - held for one, held in zip(runs, held_out, strict=True)]
    judged = set.intersection(*held_out)
    tuned = {case for case in runs[0] if all(one.get(case) == "tune" for one in runs)}
    if any(held & other for held in held_out for other in learnt) or not (judged and tuned):
        with pytest.raises(RunError, match=r"learns from, or tunes on: |in all of"):
            shared_partitions(named)
        return
    shared = shared_partitions(named)
    assert judged == {case for case, side in shared.items() if side == "test"}
    assert tuned == {case for case, side in shared.items() if side == "tune"}
    assert {case for case, side in shared.items() if side != "test"} == set.union(*learnt)
