"""Classifiers that need no training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from medcls.classifier import Classifier
from medcls.config import load_config
from medcls.config.settings import ModelSettings
from medcls.evaluation import (
    Conformal,
    OperatingPoint,
    Temperature,
)
from medcls.evaluation.conformal.prediction_sets import ConformalLimit
from medcls.evaluation.thresholds.operating_point import Threshold
from medcls.networks import build_network
from medcls.preprocessing import build_recipe
from medcls.values.label_space import LabelSpace

LABELS = ("ill", "well")


def classifier(**changes: Any) -> Classifier:
    config = load_config(None, (), {"preprocessing": {"size": [16, 16]}})
    torch.manual_seed(0)
    model = ModelSettings(name="resnet10", first_pool=False)
    recipe = build_recipe(config.region, config.preprocessing)
    cut = Threshold("ill", 0.5, None, None)
    plain = Classifier(
        network=build_network(model, dimensions=2, channels=recipe.channels, classes=2).eval(),  # type: ignore[arg-type]
        model=model,
        recipe=recipe,
        space=LabelSpace(LABELS, "ill"),
        calibration=Temperature("softmax", (2.0,), "tune"),
        operating_point=OperatingPoint(LabelSpace(LABELS, "ill"), "youden", (cut,), "tune", "0" * 64),
    )
    return replace(plain, **changes)


def sets(ill: float, well: float) -> Conformal:
    limits = (ConformalLimit("ill", ill, 50), ConformalLimit("well", well, 50))
    return Conformal(LABELS, False, 0.1, "class-conditional", "case", limits, "tune", "0" * 64)
