"""A recipe out of JSON, as a saved classifier carries it. Every value is checked; nothing is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import ValidationError

from medcls.config.settings import Kind, PreprocessingSettings, Region
from medcls.errors import ConfigError
from medcls.preprocessing.encoding import Precision
from medcls.preprocessing.recipe import RECIPE_VERSION, Recipe, Step
from medcls.preprocessing.steps import STEPS

_KEYS = {"version", "region", "kind", "dimensions", "size", "channels", "slices", "steps", "precision"}


def recipe_from_json(value: Mapping[str, Any]) -> Recipe:
    """See :meth:`medcls.preprocessing.Recipe.from_json`."""
    if not isinstance(value, Mapping) or set(value) != _KEYS:
        raise _damaged("its keys are not those of a recipe")
    if value["version"] != RECIPE_VERSION:
        raise ConfigError(
            f"the recipe is of version {value['version']!r}, and this medcls has version {RECIPE_VERSION}",
            where="recipe",
            remedy="Use the medcls version that made it, or train again",
        )
    if value["region"] not in get_args(Region) or value["kind"] not in get_args(Kind):
        raise _damaged("its region or kind is unknown")
    try:
        settings = PreprocessingSettings(
            dimensions=value["dimensions"], size=value["size"], slices=value["slices"], steps={}
        )
        steps = tuple(_step(item) for item in value["steps"])
        channels = int(value["channels"])
    except (ValidationError, TypeError, KeyError, ValueError) as error:
        raise _damaged("a value is not allowed") from error
    if value["precision"] not in get_args(Precision):
        raise _damaged("its precision is unknown")
    if settings.size is None or settings.dimensions is None or not 1 <= channels <= 8:
        raise _damaged("its size, dimensions or channels are missing")
    order = [kind.name for kind in STEPS]
    if sorted(steps, key=lambda step: order.index(step.name)) != list(steps):
        raise _damaged("its steps are out of order")
    if len({step.name for step in steps}) != len(steps) or "resize" not in {step.name for step in steps}:
        raise _damaged("a step is missing or given twice")
    slices = tuple(settings.slices) if isinstance(settings.slices, list) else settings.slices
    recipe = Recipe(
        value["region"],
        value["kind"],
        settings.dimensions,
        tuple(settings.size),
        channels,
        slices,  # type: ignore[arg-type]
        steps,
        value["precision"],
    )
    if recipe.precision == "uint8" and recipe.ranges(1) is None:
        raise _damaged("its precision needs values of a known range")
    return recipe


def _step(item: Mapping[str, Any]) -> Step:
    known = {kind.name: kind for kind in STEPS}
    parameters = known[item["name"]].model_validate(dict(item["parameters"]))
    return Step(parameters.name, parameters.model_dump(mode="json"))


def _damaged(why: str) -> ConfigError:
    return ConfigError(f"the recipe is damaged: {why}", where="recipe")
