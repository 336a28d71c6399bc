"""From a region and the config's ``preprocessing`` section to a recipe, or to one line that says what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from medcls.config.faults import shown, what_is_wrong
from medcls.config.settings import PreprocessingSettings, Region
from medcls.errors import ConfigError, UsageError
from medcls.nearest import one_of
from medcls.preprocessing.images.encoding import Precision
from medcls.preprocessing.recipes.recipe import Recipe
from medcls.preprocessing.recipes.regions import Defaults, find_defaults
from medcls.preprocessing.recipes.slices import Slices
from medcls.preprocessing.steps import StepParameters
from medcls.preprocessing.steps.further import as_step, in_order, step_named
from medcls.scans.core.sequence import MOST_FRAMES

# Each of these brings grey values to 0..1 from units of its own, so only one of them makes sense.
_TO_UNIT = ("window", "percentile", "scale")


def build_recipe(region: Region, settings: PreprocessingSettings) -> Recipe:
    """The region's recipe with the config's changes. Costs milliseconds: neither torch nor MONAI is imported.

    Raises:
        ConfigError: An unknown step or parameter, a value out of range, or settings that contradict each other.
        MissingExtraError: A step needs a package that is not installed.
    """
    kind, defaults = find_defaults(region, settings.kind)
    dimensions = _dimensions(settings, defaults, f"{region} {kind}")
    chosen = _chosen_steps(settings, defaults.chosen(dimensions))
    parameters = [_validated(step, chosen[step.name]) for step in in_order(chosen)]
    channels = _channels(settings, defaults, dimensions, parameters)
    for step in parameters:
        try:
            step.check(channels)
        except ValueError as error:
            raise ConfigError(str(error), where=f"preprocessing.steps.{step.name}") from None
    size = tuple(settings.size) if settings.size is not None else defaults.size(dimensions)
    steps = tuple(as_step(step) for step in parameters)
    frames = settings.frames or (MOST_FRAMES if dimensions == 2 else None)
    pet = settings.pet if kind == "other" and settings.pet != "stored" else None
    recipe = Recipe(region, kind, dimensions, size, channels, _slices(settings), steps, pet=pet, frames=frames)
    return replace(recipe, precision=_precision(settings, bounded=recipe.ranges(1) is not None))


def _precision(settings: PreprocessingSettings, *, bounded: bool) -> Precision:
    """One byte where all values are in a range that the steps fix."""
    if settings.precision == "uint8" and not bounded:
        raise ConfigError(
            "uint8 needs a step that brings values to a known range, after which zscore is not on",
            where="preprocessing.precision",
            remedy="Set it to auto, or switch on window, percentile or scale in place of zscore",
        )
    if settings.precision == "auto":
        return "uint8" if bounded else "float16"
    return settings.precision


def _dimensions(settings: PreprocessingSettings, defaults: Defaults, name: str) -> int:
    wanted = settings.dimensions or (len(settings.size) if settings.size is not None else defaults.dimensions[0])
    if wanted not in defaults.dimensions:
        raise ConfigError(
            f"the recipe for {name} is {defaults.dimensions[0]}-D only",
            where="preprocessing.dimensions",
            remedy="Leave it out, or choose another kind",
        )
    if settings.spacing is not None and len(settings.spacing) > wanted:
        raise ConfigError(
            f"spacing has {len(settings.spacing)} numbers, but the recipe is {wanted}-D", where="preprocessing.spacing"
        )
    if settings.spacing is not None and len(settings.spacing) < wanted:
        raise ConfigError(f"spacing needs {wanted} numbers for a {wanted}-D recipe", where="preprocessing.spacing")
    return wanted


def _channels(settings: PreprocessingSettings, defaults: Defaults, dimensions: int, steps: list[StepParameters]) -> int:
    if settings.channels is not None:
        return settings.channels
    windows = next((len(step.windows) for step in steps if step.name == "window"), 1)  # type: ignore[attr-defined]
    return max(windows, defaults.channels if dimensions == 2 else 1)


def _slices(settings: PreprocessingSettings) -> Slices:
    if isinstance(settings.slices, list):
        if not settings.slices:
            raise ConfigError("the list of slices is empty", where="preprocessing.slices", remedy="Write middle or all")
        return tuple(settings.slices)
    if isinstance(settings.slices, dict) and list(settings.slices) != ["every"]:
        raise ConfigError("slices as a mapping is {every: n}", where="preprocessing.slices")
    return settings.slices  # type: ignore[return-value]


def _chosen_steps(
    settings: PreprocessingSettings, chosen: dict[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """The region's steps, with those of the config switched on, off, or changed."""
    wanted = dict(settings.steps)
    known = {name: _known(name) for name in wanted}
    _only_one_scaling(wanted, chosen)
    if settings.spacing is not None:
        if wanted.get("spacing") not in (None, True):
            raise ConfigError(
                "spacing is set twice, here and as a step", where="preprocessing.spacing", remedy="Keep one of them"
            )
        chosen["spacing"] = {"millimetres": settings.spacing}
    for name, value in wanted.items():
        if value is False:
            if known[name].required:
                raise ConfigError(
                    f"the step '{name}' cannot be left out: the network needs one size",
                    where=f"preprocessing.steps.{name}",
                )
            chosen.pop(name, None)
        elif value is True:
            chosen.setdefault(name, {})
        else:
            chosen[name] = {**chosen.get(name, {}), **value}
    return chosen


def _known(name: str) -> type[StepParameters]:
    try:
        return step_named(name)
    except UsageError as error:
        raise ConfigError(error.what, where=f"preprocessing.steps.{name}", remedy=error.remedy) from error


def _only_one_scaling(wanted: Mapping[str, Any], chosen: dict[str, Mapping[str, Any]]) -> None:
    """A scaling that the config switches on takes the place of the region's own."""
    named = [name for name in _TO_UNIT if wanted.get(name, False) is not False]
    if len(named) > 1:
        raise ConfigError(
            f"the steps {' and '.join(named)} each bring grey values to 0..1",
            where="preprocessing.steps",
            remedy="Keep one of them",
        )
    for name in _TO_UNIT:
        if named and name != named[0]:
            chosen.pop(name, None)


def _validated(step: type[StepParameters], values: Mapping[str, Any]) -> StepParameters:
    try:
        return step.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        where = ".".join(part for part in ("preprocessing.steps", step.name, place) if part)
        if first["type"] == "extra_forbidden":
            raise ConfigError(
                f"the step '{step.name}' has no parameter '{place}'",
                where=where,
                remedy=one_of(place, step.model_fields) if step.model_fields else "It has no parameters",
            ) from None
        field = step.model_fields.get(str(first["loc"][0])) if first["loc"] else None
        wanted = f": {field.description.rstrip('.')}" if field is not None and field.description else ""
        raise ConfigError(f"{what_is_wrong(first)}{wanted} (given: {shown(first['input'])})", where=where) from None
