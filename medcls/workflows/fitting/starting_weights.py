"""``model.weights``: what ``auto`` takes, what the recipe's values are to the weights, and what readers are told of them."""

from __future__ import annotations

from collections.abc import Mapping

from medcls.classifier import Classifier
from medcls.config import Config
from medcls.config.network_names import AUTO, NAMED_WEIGHTS
from medcls.networks.catalogue import best_here
from medcls.networks.families import family_of
from medcls.networks.input_normalisation import Values
from medcls.preprocessing import Recipe
from medcls.preprocessing.steps.common.step import UNIT
from medcls.progress import SILENT, Progress

_DIGITS = 12


def settle_weights(config: Config, recipe: Recipe, progress: Progress = SILENT) -> Config:
    """The config with the best weights that are on this machine in the place of ``auto``, or with none.

    Args:
        config: The resolved config; one that has no ``auto`` comes back as it is.
        recipe: Its recipe.
        progress: Where to say that there are none.
    """
    model = config.model
    if model.weights != AUTO:
        return config
    best = best_here(model.name, recipe.dimensions, family_of(model.name))
    if best is None:
        progress.warn(
            f"model.weights: auto: no weights for {model.name} in {recipe.dimensions}-D are on this machine, so it starts from "
            "random ones; 'medcls weights list' shows what there is"
            + ("; model.freeze keeps random blocks as they are" if model.freeze else "")
        )
    return config.model_copy(
        update={"model": model.model_copy(update={"weights": None if best is None else best.named})}
    )


def values_of(recipe: Recipe) -> Values | None:
    """What the recipe's images hold; ``None`` where that is not known, or where a step of it normalises them already."""
    steps = {step.name for step in recipe.steps}
    if "normalise" in steps:
        return None
    if recipe.ranges(recipe.channels) == UNIT:
        return "unit"
    return "standard" if "zscore" in steps else None


def weights_properties(classifier: Classifier) -> dict[str, str]:
    """What readers of a report are told of the weights that a training started from."""
    told = classifier.provenance.get("starting_weights")
    if not isinstance(told, Mapping):
        return {"Starting weights": _named(classifier.model.weights)}
    source, file, place = (str(told.get(key, "")) for key in ("source", "file", "place"))
    words = f"{source}: {file} from {place}" if source else "a local file"
    trained_on, licence = str(told.get("trained_on", "")), str(told.get("licence", ""))
    words += f", trained on {trained_on}" if trained_on else ""
    return {
        "Starting weights": f"{words}, SHA-256 {str(told.get('sha256', ''))[:_DIGITS]}",
        **({"Licence of the starting weights": licence} if licence else {}),
    }


def _named(weights: str | None) -> str:
    """Of a classifier that keeps no more than the name."""
    return "random" if weights is None else weights if weights in NAMED_WEIGHTS else "a local file"
