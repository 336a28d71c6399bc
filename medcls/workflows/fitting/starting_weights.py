"""``model.weights``: what ``auto`` takes, what the recipe's values are to it, whom it has seen, and what readers are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from medcls.classifier import Classifier
from medcls.classifier.ensemble import Ensemble
from medcls.config import Config, Partition
from medcls.config.network_names import AUTO, NAMED_WEIGHTS
from medcls.networks import ClassificationNetwork
from medcls.networks.families import family_of
from medcls.networks.input_normalisation import Values
from medcls.networks.pretrained.catalogue import best_here
from medcls.preprocessing import Recipe
from medcls.preprocessing.steps.common.step import UNIT
from medcls.progress import SILENT, Progress
from medcls.runs.training_cases import Overlaps, meet_training_cases
from medcls.values.caution import serious
from medcls.workflows.data.prepare import Material
from medcls.workflows.session import Session

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
    dimensions = model.weights_dimensions(recipe.dimensions)
    best = best_here(model.name, dimensions, family_of(model.name))
    if best is None:
        progress.warn(
            f"model.weights: auto: no weights for {model.name} in {dimensions}-D are on this machine, so it starts from "
            "random ones; 'medcls weights list' shows what there is"
            + ("; model.freeze keeps random blocks as they are" if model.freeze else "")
        )
    return config.model_copy(
        update={"model": model.model_copy(update={"weights": None if best is None else best.named})}
    )


def values_of(recipe: Recipe) -> Values | None:
    """What the recipe's images hold; ``None`` where that is not known, or where a step of it normalises them already."""
    steps = {step.name: step for step in recipe.steps}
    if "normalise" in steps:
        return None
    if recipe.ranges(recipe.channels) == UNIT:
        if "window" in steps and not steps.keys() & {"scale", "percentile"}:
            return tuple((float(low), float(high)) for low, high in steps["window"].parameters["windows"])
        return "unit"
    return "standard" if "zscore" in steps else None


def check_seen(
    material: Material, network: ClassificationNetwork, session: Session
) -> tuple[Material, Mapping[str, Mapping[str, str]]]:
    """Hold the cases against those that the starting weights were pretrained on.

    Args:
        material: The parted cases.
        network: With its starting weights.
        session: Why leaks are let through, and how patients are called.

    Returns:
        The cases, with cautions; and what was seen, as :mod:`medcls.runs.training_cases` has it.

    Raises:
        LeakageError: A patient, a study or an image of test was seen, and ``split.allow_leakage`` gives no reason.
    """
    record = None if network.started_from is None else network.started_from.record
    if record is None:
        return material, {}
    cohort, found, allowed = material.cohort, material.found, session.config.split.allow_leakage
    alike = found is not None and found.relations.near is not None and found.relations.near.too_alike
    hashes = {} if found is None or alike else found.hashes

    def meet(name: Partition, allowed: str | None) -> Overlaps:
        return meet_training_cases(
            record.cases,
            cohort.replace_cases(cohort.partition(name)),
            material.content,
            hashes,
            session.pseudonyms,
            allowed,
            session.config.places_from,
            learner="the pretrained network",
        )

    met, on_tune = meet("test", allowed), meet("tune", "no label of them was seen")
    said = []
    if on_tune.exact:
        said.append(
            f"{len({one.case.name for one in on_tune.exact})} tune cases are of patients or images that the weights were "
            "pretrained on, without labels: epoch, calibration and threshold are chosen on images that are known"
        )
    if record.key != session.pseudonyms.mark:
        said.append(
            "the pseudonym key is not the one that the starting weights were made with, so it is not known whether their "
            "patients are in test; equal images were looked for"
        )
    return replace(material, cohort=cohort.warn(*met.warnings, *serious("pretraining", *said))), record.cases


def weights_properties(classifier: Classifier) -> dict[str, str]:
    """What readers of a report are told of the weights that a training started from; of an ensemble, all its members'."""
    members = list(classifier.members.values()) if isinstance(classifier, Ensemble) else [classifier]
    licences = [str(told["licence"]) for told in map(_told, members) if told.get("licence")]
    return {
        "Starting weights": "; ".join(dict.fromkeys(map(_in_words, members))),
        **({"Licence of the starting weights": ", ".join(dict.fromkeys(licences))} if licences else {}),
    }


def _told(classifier: Classifier) -> Mapping[str, object]:
    told = classifier.provenance.get("starting_weights")
    return told if isinstance(told, Mapping) else {}


def _in_words(classifier: Classifier) -> str:
    told, named = _told(classifier), classifier.model.weights
    if not told:  # of an earlier version, no more than the name
        return "random" if named is None else named if named in NAMED_WEIGHTS else "a local file"
    words = f"{told['source']}, {told.get('file')} from {told.get('place')}" if told.get("source") else "a local file"
    trained_on = f", trained on {told['trained_on']}" if told.get("trained_on") else ""
    remark = f", {told['remark']}" if told.get("remark") else ""
    return f"{words}{trained_on}{remark}, SHA-256 {str(told.get('sha256'))[:_DIGITS]}"
