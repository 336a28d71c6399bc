"""Everything that a training needs beside the scans, tried before hours go into preparing them."""

from __future__ import annotations

import torch

from medcls.config import Config
from medcls.errors import ConfigError
from medcls.leftovers import temporary_folder
from medcls.planning.choice import said_keys
from medcls.preprocessing import Recipe, build_recipe
from medcls.progress import SILENT, Progress
from medcls.training.device import choose_compute
from medcls.training.loggers import build_loggers
from medcls.workflows.fitting.fit_classifier import augmentation_of, start_network
from medcls.workflows.fitting.memory_check import check_room
from medcls.workflows.fitting.starting_weights import settle_weights

_OF_WEIGHTS = frozenset({"preprocessing.kind", "preprocessing.dimensions", "model.name", "model.weights"})
_OF_MEMORY = frozenset(
    {
        *("preprocessing.kind", "preprocessing.dimensions", "preprocessing.size", "model.name"),
        *("train.batch_size", "train.method"),
    }
)


def try_said(config: Config, classes: int) -> None:
    """Try what the config says itself, before a plan looks at scans for what it leaves open.

    Args:
        config: The resolved config.
        classes: How many labels there are.

    Raises:
        ConfigError: As :func:`try_out`.
        WeightsError: As :func:`try_out`.
    """
    recipe, said = build_recipe(config.region, config.preprocessing), said_keys(config)
    _try_machine(config, recipe)
    if config.ensemble.networks:
        return  # each is tried once its weights are settled
    if said >= _OF_MEMORY:
        check_room(config, recipe)
    if said >= _OF_WEIGHTS:
        start_network(settle_weights(config, recipe), recipe, classes)


def try_out(config: Config, recipe: Recipe, classes: int, progress: Progress = SILENT) -> None:
    """Find the device, build the loggers, reckon the memory, load the weights, and augment one image of noise.

    Args:
        config: The resolved config.
        recipe: Its recipe.
        classes: How many labels there are.
        progress: Where to say which weights fitted, and what is close.

    Raises:
        ConfigError: A device, a logger or a transform cannot be used here, or a step needs more memory than there is.
        WeightsError: The weights file is missing, damaged, or does not fit.
    """
    _try_machine(config, recipe)
    check_room(config, recipe, progress)
    start_network(config, recipe, classes, progress)
    augmentation = augmentation_of(config, recipe)
    if config.train.semi_supervised is not None and augmentation is not None and not augmentation.operations:
        raise ConfigError(
            "train.semi_supervised compares changed images, and no change is allowed", where="augmentation"
        )
    if augmentation is not None and augmentation.monai:
        noise = torch.rand(1, recipe.channels, *recipe.size)
        augmentation(noise, torch.zeros(1, dtype=torch.int64), epoch=0)


def _try_machine(config: Config, recipe: Recipe) -> None:
    choose_compute(config.train, config.model.name, recipe.dimensions)
    with temporary_folder() as folder:
        build_loggers(config.train.loggers, folder)
