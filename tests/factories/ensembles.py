"""Ensembles that need no training."""

from __future__ import annotations

import torch

from medcls.classifier import Classifier
from medcls.classifier.ensemble import Ensemble
from medcls.config.settings import ModelSettings, PreprocessingSettings
from medcls.evaluation import OperatingPoint, Temperature, Threshold
from medcls.networks import build_network
from medcls.preprocessing import build_recipe
from medcls.values.label_space import LabelSpace


def member(seed: int, kind: str, temperature: float) -> Classifier:
    torch.manual_seed(seed)
    model = ModelSettings(name="resnet10", first_pool=False)
    labels = ("ill", "well") if kind == "two" else ("a", "b", "c")
    network = build_network(model, dimensions=2, channels=1, classes=len(labels)).eval()
    torch.nn.init.normal_(network.head.weight, std=0.5)  # type: ignore[arg-type]
    return Classifier(
        network=network,  # type: ignore[arg-type]
        model=model,
        recipe=build_recipe("generic", PreprocessingSettings(size=[24, 24], channels=1)),
        space=LabelSpace(labels, "ill" if kind == "two" else None, kind == "multilabel"),
        calibration=Temperature("sigmoid" if kind == "multilabel" else "softmax", (temperature,), "tune"),
        operating_point=point(kind, 0.5),
    )


def point(kind: str, threshold: float) -> OperatingPoint:
    if kind == "two":
        return OperatingPoint(
            LabelSpace(("ill", "well"), "ill"), "youden", (Threshold("ill", threshold, None, None),), "tune", ""
        )
    labels = ("a", "b", "c")
    cuts = tuple(Threshold(label, threshold, None, None) for label in labels) if kind == "multilabel" else ()
    space = LabelSpace(labels, multilabel=kind == "multilabel")
    return OperatingPoint(space, "youden" if cuts else "argmax", cuts, "tune", "")


def ensemble(kind: str) -> Ensemble:
    members = {f"1-{seed}": member(seed, kind, 0.5 * seed) for seed in (1, 2, 3)}
    return Ensemble.of(members, point(kind, 0.4), {"folds": 3})
