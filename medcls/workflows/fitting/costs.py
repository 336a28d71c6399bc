"""What a training will cost on this machine: a few images through the very network, by the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch

from medcls.config import Config
from medcls.config.network_names import NAMES
from medcls.networks import ClassificationNetwork, build_network
from medcls.networks.arithmetic import exact_float32
from medcls.preprocessing import Recipe, build_recipe
from medcls.training.device import choose_compute, lay_out
from medcls.training.optimizers import build_optimizer

_BATCH = 2  # images, of a prediction; a step is tried at its own size
_REPEATS, _ENOUGH_S = 3, 1.0
_START, _RUN, _MEMBER = 12.0, 20.0, 15.0
"""Seconds of starting, of one evaluation with its report, and of each further member or fold's own."""
_FIT = 6e-10  # seconds of a probe's fit for each case, feature, smaller of the two, and label


def expected_seconds(config: Config, cases: Mapping[str, int], reading: float) -> dict[str, float]:
    """What each part of a run takes.

    Args:
        config: With every key settled.
        cases: Cases of train, tune and test.
        reading: Seconds of reading and preparing one scan.
    """
    recipe, labels = build_recipe(config.region, config.preprocessing), 2
    names = config.ensemble.networks or [config.model.name]
    folds = (config.split.folds or 1) * config.split.repeats
    trainings = folds * config.ensemble.seeds
    held = cases["tune"] + cases["test"]
    train = predict = fit = 0.0
    for name in names:
        if name not in NAMES:  # of a network from elsewhere it is not known what it takes
            continue
        own = config.model_copy(update={"model": config.model.model_copy(update={"name": name, "weights": None})})
        network = build_network(own.model, dimensions=recipe.dimensions, channels=recipe.channels, classes=labels)
        each = _forward(network, own, recipe) * len(network.mirrorings)
        predict += trainings * held * each
        if own.train.method == "probe":
            features = network.head.in_features if isinstance(network.head, torch.nn.Linear) else 512
            train += cases["train"] * each * (1 if folds == 1 else folds / (folds - 1))  # kept, once computed
            fit += trainings * _FIT * cases["train"] * features * min(cases["train"], features)
        else:
            steps = trainings * own.train.epochs
            train += steps * (
                cases["train"] * own.train.images_per_case * _step(network, own, recipe) + cases["tune"] * each
            )
    members = trainings * len(names)
    return {
        "reading": sum(cases.values()) * reading,
        "training": train + fit,
        "predicting": predict,
        "starting and reporting": _START + _RUN + _MEMBER * (members if members > 1 else 0),
    }


def _forward(network: ClassificationNetwork, config: Config, recipe: Recipe) -> float:
    """Seconds of one image in a prediction, without its mirrorings."""
    device = choose_compute(config.train, config.model.name, recipe.dimensions).device
    network = network.to(device).eval()
    images = torch.rand(_BATCH, recipe.channels, *recipe.size, device=device)

    def once() -> None:
        with torch.inference_mode(), exact_float32(device):
            network.features(images).sum().item()

    return _fastest(once) / _BATCH


def _step(network: ClassificationNetwork, config: Config, recipe: Recipe) -> float:
    """Seconds of one image in a training step."""
    compute = choose_compute(config.train, config.model.name, recipe.dimensions)
    size = config.train.batch_size if isinstance(config.train.batch_size, int) else 16
    network = network.to(compute.device).train()
    if compute.channels_last:
        lay_out(network, recipe.dimensions, True)
    optimizer = build_optimizer(network, config.train)
    images = torch.rand(size, recipe.channels, *recipe.size, device=compute.device)
    targets = torch.arange(size, device=compute.device) % 2

    def once() -> None:
        with compute.autocast():
            loss = torch.nn.functional.cross_entropy(network(images).float(), targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()

    return _fastest(once) / size


def _fastest(once: Callable[[], None]) -> float:
    """Seconds of the fastest of a few, of which the first makes everything ready; of a slow one, of two."""
    taken: list[float] = []
    while len(taken) < 2 or (len(taken) <= _REPEATS and sum(taken) < _ENOUGH_S):
        begun = time.perf_counter()
        once()
        taken.append(time.perf_counter() - begun)
    return min(taken)
