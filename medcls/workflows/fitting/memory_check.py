"""Whether a training fits into memory: reckoned before scans are prepared, since what does not fit ends the process."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from medcls.config import Config
from medcls.config.amounts import amount_of
from medcls.config.network_names import NAMES
from medcls.errors import ConfigError
from medcls.preprocessing import Recipe
from medcls.progress import SILENT, Progress
from medcls.training.memory import available_memory
from medcls.training.step_memory import StepMemory, step_memory

_SMALLEST = 2  # what batch_size: auto takes at least
_CLOSE = 0.8  # of what is available, beyond which it is said


def check_room(config: Config, recipe: Recipe, progress: Progress = SILENT) -> str:
    """Refuse a training whose step cannot fit, whatever its number format; say when it is close.

    Args:
        config: The resolved config.
        recipe: Its recipe.
        progress: Where to say that it is close.

    Returns:
        How much it needs and how much there is, in words.

    Raises:
        ConfigError: It cannot fit; with the estimate, what is available, and what to lower.
    """
    try:
        need = step_memory(config.model, dimensions=recipe.dimensions, channels=recipe.channels, size=recipe.size)
    except RuntimeError:  # torch cannot even count the bytes
        if config.model.name not in NAMES:
            unknown = "How much memory a step needs cannot be reckoned for this network"
            progress.note(unknown)
            return unknown
        what = f"no machine has the memory for images of {_shape(recipe)}"
        raise ConfigError(what, where="preprocessing.size", remedy="Lower it") from None
    on_card = torch.cuda.is_available() and config.train.device != "cpu"
    there = torch.cuda.mem_get_info()[0] if on_card else available_memory()
    cases = _SMALLEST if config.train.batch_size == "auto" else config.train.batch_size
    if config.train.method == "probe":
        cases = (
            1  # no layer is kept for a gradient: the batches of a prediction take about what a step of one case does
        )
    images = config.train.images_per_case
    need = replace(need, saved=need.saved * images, image=need.image * images)
    said = _in_words(need, cases, recipe, config, there, "this GPU" if on_card else "this machine")
    if need.least(cases) > there:
        raise ConfigError(said, where="preprocessing.size", remedy=_remedy(need, cases, there))
    if need.estimate(cases) > _CLOSE * there:
        progress.warn(f"{said}. {_remedy(need, cases, there)}")
    return said


def _in_words(need: StepMemory, cases: int, recipe: Recipe, config: Config, there: int, where: str) -> str:
    return (
        f"a training step needs about {amount_of(need.estimate(cases))} of memory ({cases} cases of {_shape(recipe)} in "
        f"{config.model.name}, {amount_of(round(need.each))} each), and {where} has {amount_of(there)} available"
    )


def _shape(recipe: Recipe) -> str:
    return " x ".join(str(number) for number in recipe.size)


def _remedy(need: StepMemory, cases: int, there: int) -> str:
    fits = math.floor((_CLOSE * there - need.aside) / need.each)
    if fits >= _SMALLEST and fits < cases:
        return f"Lower train.batch_size to {fits} (with train.accumulate as many cases count in a step), or preprocessing.size"
    return "Lower preprocessing.size, or take a smaller model"
