"""A folder of weights that a site has of its own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from medcls.config.settings import ModelSettings
from medcls.networks import build_network

ROW: dict[str, Any] = {
    "name": "our-ct",
    "file": "ct/ours.safetensors",
    "network": "resnet10",
    "dimensions": 3,
    "licence": "internal use",
    "trained_on": "12 phantoms",
    "mean": [0.5],
    "std": [0.25],
}


def write_index(folder: Path, *rows: dict[str, Any]) -> None:
    """Name files in a folder."""
    (folder / "index.json").write_text(json.dumps({"weights": rows}), encoding="utf-8")


def make_site(folder: Path) -> Path:
    """A folder with one file, and its index."""
    torch.manual_seed(0)
    origin = build_network(ModelSettings(name=ROW["network"]), dimensions=3, channels=1, classes=2)
    file = folder / ROW["file"]
    file.parent.mkdir(parents=True)
    save_file(dict(origin.state_dict()), file)
    write_index(folder, {**ROW, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()})
    return folder
