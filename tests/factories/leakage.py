"""Cohorts on disk, and another hospital's."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from medcls.config import load_config

SMALL: Mapping[str, Any] = {
    "positive": "ill",
    "preprocessing": {"size": [32, 32]},
    "model": {"name": "resnet10", "first_pool": False},
    "train": {"epochs": 1, "batch_size": 16, "loggers": ["csv"], "precision": "32"},
    "evaluation": {"replicates": 100},
    "explanation": {"cases": 0},
}


Row = dict[str, str]


def write_cohort(
    folder: Path, *, patients: int = 30, seed: int = 0, change: Callable[[list[Row]], None] | None = None
) -> Path:
    """Textured pictures, two for each patient, and their table; ``change`` may spoil the table's rows."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    rows: list[Row] = []
    for number in range(2 * patients):
        ill = (number // 2) % 2
        texture = gaussian_filter(rng.normal(size=(48, 48)), 2)
        pixels = 100 + 40 * texture / texture.std() + 30 * ill
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"i{number}.png")
        partition = ("train", "train", "tune", "test")[(number // 4) % 4]
        label = "ill" if ill else "well"
        patient = f"s{seed}-{number // 2}"
        rows.append(
            {"case": f"c{number}", "patient": patient, "scan": f"i{number}.png", "label": label, "split": partition}
        )
    if change is not None:
        change(rows)
    with open(folder / "cases.csv", "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "cases.csv"


def config(table: Path, tmp: Path, **split: Any) -> Any:
    values = {
        **SMALL,
        "data": {"cases": table},
        "runs": tmp / "runs",
        "name": "small",
        "split": split,
        "privacy": {"key_file": tmp / "key"},
        "store": {"folder": tmp / "store"},
    }
    return load_config(None, (), values)


def other_hospital(tmp: Path, change: Callable[[list[Row]], None] | None = None) -> Path:
    return write_cohort(tmp / "other", patients=12, seed=1, change=change)
