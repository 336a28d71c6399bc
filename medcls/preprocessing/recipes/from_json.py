"""A recipe out of JSON, as a saved classifier carries it. Every value is checked; nothing is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import ValidationError

from medcls.config.settings import Kind, Pet, PreprocessingSettings, Region
from medcls.errors import ConfigError, UsageError
from medcls.preprocessing.images.encoding import Precision
from medcls.preprocessing.steps.common.step import Step
from medcls.preprocessing.steps.further import as_step, in_order, step_named

LATEST_VERSION = 3
"""Raise it when any step changes its numbers, so that stored tensors of the old version are never read, or for a new key."""

READABLE_VERSIONS = (2, 3)
"""A recipe keeps its version, its keys and its digest: 2 has no ``pet`` and no ``frames``, and takes pixels without a place for
squares."""

_KEYS = {"version", "region", "kind", "dimensions", "size", "channels", "slices", "steps", "precision"}
_SINCE_3 = {"pet", "frames"}


def recipe_values(value: Mapping[str, Any]) -> dict[str, Any]:
    """What the attributes of a recipe are; see :meth:`medcls.preprocessing.Recipe.from_json`."""
    if not isinstance(value, Mapping):
        raise damaged("it is no mapping")
    version = _version(value)
    if set(value) != (_KEYS | _SINCE_3 if version >= 3 else _KEYS):
        raise damaged("its keys are not those of a recipe")
    if value["region"] not in get_args(Region) or value["kind"] not in get_args(Kind):
        raise damaged("its region or kind is unknown")
    try:
        settings = PreprocessingSettings(
            dimensions=value["dimensions"],
            size=value["size"],
            slices=value["slices"],
            frames=value.get("frames"),
            steps={},
        )
        steps = tuple(_step(item) for item in value["steps"])
        channels = int(value["channels"])
    except (ValidationError, TypeError, KeyError, ValueError, AttributeError) as error:
        raise damaged("a value is not allowed") from error
    if value["precision"] not in get_args(Precision):
        raise damaged("its precision is unknown")
    pet = value.get("pet")
    if pet is not None and (pet not in get_args(Pet) or value["kind"] != "other"):
        raise damaged("what it makes of PET is unknown")
    if settings.size is None or settings.dimensions is None or not 1 <= channels <= 8:
        raise damaged("its size, dimensions or channels are missing")
    if [kind.name for kind in in_order(step.name for step in steps)] != [step.name for step in steps]:
        raise damaged("its steps are out of order")
    if len({step.name for step in steps}) != len(steps) or "resize" not in {step.name for step in steps}:
        raise damaged("a step is missing or given twice")
    slices = tuple(settings.slices) if isinstance(settings.slices, list) else settings.slices
    return {
        "region": value["region"],
        "kind": value["kind"],
        "dimensions": settings.dimensions,
        "size": tuple(settings.size),
        "channels": channels,
        "slices": slices,
        "steps": steps,
        "precision": value["precision"],
        "pet": pet,
        "frames": settings.frames,
        "version": version,
    }


def _version(value: Mapping[str, Any]) -> int:
    version = value.get("version")
    if type(version) is not int:
        raise damaged("its version is missing")
    if version not in READABLE_VERSIONS:
        raise ConfigError(
            f"the recipe is of version {version}, and this medcls reads {' and '.join(map(str, READABLE_VERSIONS))}",
            where="recipe",
            remedy="Use a newer medcls" if version > LATEST_VERSION else "Use the medcls that made it, or train again",
        )
    return version


def _step(item: Mapping[str, Any]) -> Step:
    name, version = str(item["name"]), item.get("version")
    try:
        kind = step_named(name)
    except UsageError as error:
        if version is None:  # of medcls' own, as it was written
            raise KeyError(name) from error
        what = f"it has the step '{name}', which is not medcls' own: {error.what}"
        raise ConfigError(
            what, where="recipe", remedy="Install the package that adds it, or give it: medcls.preprocessing.add_step"
        ) from error
    step = as_step(kind.model_validate(dict(item["parameters"])))
    if step.version != version:
        what = f"it was made with version {version} of the step '{name}', and here is version {step.version}"
        raise ConfigError(what, where="recipe", remedy="Install the package that made it, or train again")
    return step


def damaged(why: str) -> ConfigError:
    """The error of a recipe that is not as it was written."""
    return ConfigError(f"the recipe is damaged: {why}", where="recipe")
