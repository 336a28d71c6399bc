"""A run as an earlier version wrote it: its files as they were, and its network's weights drawn again.

The weights of a network weigh megabytes. The earlier version was therefore given drawn ones before it calibrated, chose
its threshold and judged, and they are drawn here again, under the names, shapes and types that it gave them.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

VERSIONS = Path(__file__).resolve().parent.parent / "versions"
SEED = 1


@dataclass(frozen=True)
class Earlier:
    """A run of an earlier version, its cohort, and the key of its pseudonyms."""

    run: Path
    cohort: Path
    key: Path


def unpack(version: str, folder: Path) -> Earlier:
    """Lay out the run of a version in an empty folder."""
    shutil.copytree(VERSIONS / version, folder, dirs_exist_ok=True)
    made = Earlier(folder / "run", folder / "cohort", folder / "key")
    made.key.write_text("00" * 32, encoding="ascii")
    made.key.chmod(0o600)
    config = made.run / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("COHORT", str(made.cohort)), encoding="utf-8")
    (made.run / "report.html").write_text("<!doctype html>", encoding="utf-8")
    weights = made.run / "classifier" / "weights.safetensors"
    save_file(_weights(json.loads((folder / "tensors.json").read_text(encoding="utf-8"))), weights)
    description = made.run / "classifier" / "classifier.json"
    values = json.loads(description.read_text(encoding="utf-8"))
    values["weights_sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    description.write_text(json.dumps(values), encoding="utf-8")
    return made


def _weights(tensors: dict[str, tuple[str, list[int]]]) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(SEED)
    return {name: _drawn(rng, name, kind, shape) for name, (kind, shape) in sorted(tensors.items())}


def _drawn(rng: np.random.Generator, name: str, kind: str, shape: list[int]) -> np.ndarray[Any, Any]:
    if len(shape) > 1:
        limit = math.sqrt(6 / math.prod(shape[1:]))
        return rng.uniform(-limit, limit, shape).astype(np.float32)
    if kind == "I64":
        return np.zeros(shape, np.int64)
    return np.full(shape, name.endswith((".weight", ".running_var")), np.float32)
