"""The benchmark of the data path: every block measures what its rows say, and the script prints one table."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from tests.conftest import REPOSITORY

torch.set_num_threads(1)
pytestmark = [
    pytest.mark.filterwarnings("ignore:NvImgCodec:UserWarning:monai"),  # what MONAI and captum say of their own ways
    pytest.mark.filterwarnings("ignore:Full backward hook:UserWarning"),
]
SCRIPT = REPOSITORY / "scripts" / "bench"
SMALL: dict[str, dict[str, Any]] = {
    "ingest": {"QUICK_SLICES": 3, "PIXELS": 32},
    "store": {"QUICK_VOXELS": 16, "VOLUMES": 2},
    "augmentation": {},
    "training": {"NETWORKS": (("resnet10", 2), ("resnet10", 3))},
    "inference": {"NETWORKS": (("resnet10", 2), ("resnet10", 3))},
    "gradcam": {"NETWORKS": (("resnet10", 2), ("resnet10", 3))},
    "statistics": {"CASES": 60, "REPLICATES": 20, "LOOPED": 2},
    "memory": {"SCANS": 60, "PICTURES": 2, "SIDE": 40},
}
SLOW = ("ingest", "memory")  # start processes that import MONAI


@pytest.fixture(scope="module", autouse=True)
def _scripts_on_path() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPOSITORY / "scripts"))
        yield


def block(name: str) -> ModuleType:
    return import_module(f"bench_data.{name}")


def test_every_block_is_run_here_at_a_small_size() -> None:
    names = {path.stem for path in (REPOSITORY / "scripts" / "bench_data").glob("*.py")}
    assert set(SMALL) == names - {"__init__", "scale", "summary"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in SMALL])
def test_every_row_of_a_block_has_figures_or_a_reason(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = block(name)
    for constant, value in SMALL[name].items():
        monkeypatch.setattr(module, constant, value)
    scale = block("scale").Scale(tmp_path, repeats=1, flat=32, cube=32, flat_batch=2, cube_batch=2)
    rows, figures = getattr(module, name)(scale, lambda _: None)
    assert rows
    for row in rows:
        assert row.block in figures
        assert row.failures[0] == "" or "openvino" in row.failures[0], row
        assert (row.ratio is None) == any(row.failures), row
        assert (row.reached is None) == (row.target is None), row
    table = block("summary").summary(rows)
    assert len(table.splitlines()) == 2 + len(rows) + len({row.block for row in rows})


def test_the_promised_marks_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a processor with bfloat16, DenseNet121 in 2-D must be five times as fast as eager float32, alone and in a batch."""
    inference = block("inference")
    monkeypatch.setattr(inference, "engine_of", lambda made, _: ("medcls, OpenVINO bf16", made.scores))
    monkeypatch.setattr(inference, "NETWORKS", (("densenet121", 2),))
    scale = block("scale").Scale(tmp_path, repeats=1, flat=32, flat_batch=2)
    rows, _ = inference.inference(scale, lambda _: None)
    asked = [(row.block, row.target.kind, row.target.limit) for row in rows if row.target is not None]
    assert [(kind, limit) for _, kind, limit in asked] == [("at least", 5)] * 2
    assert [" 1 of " in asked[0][0], " 4 of " in asked[1][0]] == [True, True]


def test_both_ways_to_bootstrap_find_the_same() -> None:
    study = block("statistics").Study.made(600, seed=1)
    ours, usual = study.vectorised(400, 0), study.looped(200, 0)
    assert ours.shape == (400, 3)
    assert np.abs(ours.mean(axis=0) - usual.mean(axis=0)).max() < 0.01
    assert np.allclose(ours.std(axis=0), usual.std(axis=0), rtol=0.25)
    assert ours[:, 0].mean() == pytest.approx(roc_auc_score(study.positive, study.scores), abs=0.005)


def test_a_row_says_how_it_stands_to_the_usual_way_and_to_the_floor() -> None:
    clock, table = import_module("bench_scans.clock"), import_module("bench_scans.table")
    samples = {name: [clock.Sample(cpu, cpu)] for name, cpu in (("a", 0.02), ("b", 0.1), ("c", 0.01))}
    figures = table.Figures(samples, {"d": "not installed"})
    rows = [
        table.compare("block", "step", figures, "a", "b", floor="c", target=table.Target("at least", 8)),
        table.compare("block", "step", figures, "a", "d"),
    ]
    first, second = (line.split(" | ") for line in block("summary").summary(rows).splitlines()[3:])
    assert first[5:] == ["5.00", "2.00", "at least 8 × faster", "**no** |"]
    assert second[3:] == ["not installed", "–", "–", "–", "–", "– |"]


def test_the_script_prints_one_table_and_says_where_and_when(tmp_path: Path) -> None:
    words = ["--quick", "--only", "statistics", "--repeats", "1", "--seed", "3"]
    command = [sys.executable, str(SCRIPT), *words, "--folder", str(tmp_path), "--json", str(tmp_path / "out.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]  # its data is gone
    assert (written["seed"], written["scale"]["repeats"], written["scale"]["seed"]) == (3, 1, 3)
    assert written["machine"]["cores"] >= 1
    assert written["versions"]["torch"] == torch.__version__
    assert done.stdout.count("| what |") == 1
    assert "seed 3, 1 repeats" in done.stdout
    assert "targets are for the full sizes" in done.stdout
    budget = [row for row in written["rows"] if row["target"]]
    assert [(row["target"]["kind"], row["target"]["limit"], row["theirs"]["median"]) for row in budget] == [
        ("at most", 1, 1000)
    ]


def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    command = [sys.executable, str(SCRIPT), "--device", "cuda", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (2, "torch sees no CUDA device")
