"""One training in a process of its own, and what it came to."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Outcome:
    """What a set gave.

    Attributes:
        members: Of each seed (or of each fold) AUC and accuracy.
        joined: Of the ensemble AUC, its interval, and accuracy; of folds those of the pooled held-out cases.
        wall, processor: Seconds of the whole command.
        command: The command line.
    """

    members: tuple[tuple[float, float], ...]
    joined: tuple[float, float, float, float]
    wall: float
    processor: float
    command: str


def run(config: Mapping[str, Any], folder: Path, python: str = sys.executable) -> Outcome:
    """Train, and read the metrics.

    Args:
        config: The whole config.
        folder: For the config and the run; what is there is gone on with.
        python: The interpreter.

    Raises:
        RuntimeError: The training failed; its output is in ``training.log``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, "runs": str(folder / "runs")}, sort_keys=False))
    words = ["train", "--config", str(folder / "config.yaml"), "--run", "run"]
    words += ["--resume"] if (folder / "runs" / "run").exists() else []
    before, start = _children(), time.monotonic()
    with open(folder / "training.log", "a", encoding="utf-8") as log:
        done = subprocess.run([python, "-m", "medcls", *words], stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise RuntimeError(f"the training failed: see {folder / 'training.log'}")
    found = _read(folder / "runs" / "run")
    return Outcome(*found, time.monotonic() - start, _children() - before, f"medcls {' '.join(words)}")


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _read(run: Path) -> tuple[tuple[tuple[float, float], ...], tuple[float, float, float, float]]:
    folders = [run / name for name in ("members", "folds") if (run / name).is_dir()]
    singles = sorted(folders[0].iterdir()) if folders else [run]
    metrics = _metrics(run)
    joined = metrics["test"] if "test" in metrics else metrics["pooled"]
    of_each = [_metrics(one)["test"] for one in singles if os.path.isdir(one)]
    auc = _auc(joined)
    members = tuple((_auc(one)["value"], one["accuracy"]["value"]) for one in of_each)
    return members, (auc["value"], auc["low"], auc["high"], joined["accuracy"]["value"])


def _metrics(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return found


def _auc(metrics: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = metrics["auc"]
    return found
