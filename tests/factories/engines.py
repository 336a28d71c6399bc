"""Small classifiers of every network that medcls ships, for tests of how they are computed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from medcls.classifier import Classifier
from medcls.config.settings import ModelSettings, NetworkName, PreprocessingSettings
from medcls.evaluation import OperatingPoint, Temperature
from medcls.evaluation.thresholds.operating_point import Threshold
from medcls.networks import build_network
from medcls.preprocessing import Prepared, build_recipe
from medcls.values.label_space import LabelSpace

LABELS = ("ill", "well")


def classifier(
    name: NetworkName = "resnet10",
    dimensions: int = 2,
    side: int = 32,
    *,
    threshold: float = 0.5,
    weights: str | None = None,
    **built: Any,
) -> Classifier:
    """A classifier whose network is not trained, and whose head is large enough for scores that differ."""
    torch.manual_seed(0)
    settings = ModelSettings(name=name, first_pool=name.startswith("densenet"))
    # The 3-D ResNets that MedicalNet trained have shortcuts without weights: what is built depends on the weights' name.
    full = settings.model_copy(update={"weights": weights, **built})
    network = build_network(full, dimensions=dimensions, channels=1, classes=2).eval()
    torch.nn.init.normal_(network.head.weight, std=0.3)
    made = Classifier(
        network=network,  # type: ignore[arg-type]
        model=full,
        recipe=build_recipe(
            "generic",
            PreprocessingSettings(dimensions=dimensions, size=[side] * dimensions, channels=1),  # type: ignore[arg-type]
        ),
        space=LabelSpace(LABELS, "ill"),
        calibration=Temperature("softmax", (1.0,), "tune"),
        operating_point=OperatingPoint(
            LabelSpace(LABELS, "ill"), "youden", (Threshold("ill", threshold, None, None),), "tune", ""
        ),
    )
    return replace(made)


def prepared(made: Classifier, count: int, *, seed: int = 1, views: int = 1) -> list[Prepared]:
    """Scans as the recipe could have prepared them."""
    rng = np.random.default_rng(seed)
    size = (views, made.network.channels, *made.recipe.size)
    return [
        Prepared(rng.random(size, dtype=np.float32) ** (1 + number), np.stack([np.eye(4)] * views))
        for number in range(count)
    ]


def write_pictures(folder: Path, count: int, *, side: int = 40, seed: int = 0) -> None:
    """PNG files of noise, each darker than the last."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        pixels = rng.integers(0, 255 - 200 * number // max(1, count), (side, side), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04d}.png")
