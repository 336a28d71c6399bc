"""What a prediction was made by: which weights, from which run, and what computed the scores."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from medcls.classifier.backends.fallback import EngineOrTorch
from medcls.classifier.backends.openvino_network import CompiledNetwork, version
from medcls.classifier.classifier import Classifier
from medcls.classifier.ensemble import Ensemble
from medcls.classifier.saving import weights_of

_DIGITS = 8
_KEPT = ("created", "cohort_sha256", "config_sha256", "leakage_allowed")


def identify(classifier: Classifier) -> dict[str, Any]:
    """Plain JSON that says what a classifier is, and what has computed its scores up to now.

    Returns:
        ``run`` (its name, where the classifier is in one), ``medcls`` (the version that trained it), what is kept of its
        provenance, and ``weights_sha256`` and ``engine``; of an ensemble ``members`` with the last two each.
    """
    given = classifier.provenance
    environment = given.get("environment")
    about = {
        "run": None if classifier.loaded_from is None else run_name(classifier.loaded_from),
        "medcls": environment.get("medcls") if isinstance(environment, Mapping) else None,
        **{name: given.get(name) for name in _KEPT},
    }
    if isinstance(classifier, Ensemble):
        return about | {"members": [{"name": name, **_computed(one)} for name, one in classifier.members.items()]}
    return about | _computed(classifier)


def run_name(folder: Path) -> str | None:
    """The run that a classifier's folder is in, a fold or member with that of its run; ``None`` where it is in none."""
    run = folder.resolve().parent
    if not (run / "config.yaml").is_file():
        return None
    inside = run.parent.name in ("folds", "members", "learning-curve") and (run.parent.parent / "config.yaml").is_file()
    return "/".join(run.parts[-3:]) if inside else run.name


def weights_digest(classifier: Classifier) -> str:
    """SHA-256 that tells a classifier's weights from any other's; of an ensemble, over those of its members in their order."""
    if isinstance(classifier, Ensemble):
        digests = " ".join(map(weights_digest, classifier.members.values()))
        return hashlib.sha256(digests.encode("ascii")).hexdigest()
    return classifier.weights_sha256 or hashlib.sha256(weights_of(classifier.network)).hexdigest()


def model_name(classifier: Classifier) -> str:
    """What a person calls a classifier, with eight digits of its weights: ``lung-3fa9c1d2``."""
    folder = classifier.loaded_from
    name = "classifier" if folder is None else run_name(folder) or folder.resolve().name
    return f"{name.replace('/', '-')}-{weights_digest(classifier)[:_DIGITS]}"


def engines_in_words(classifier: Classifier) -> str | None:
    """Which engine computes the scores; ``None`` where it is torch alone."""
    members = classifier.members.values() if isinstance(classifier, Ensemble) else [classifier]
    used = [_in_words(_engine(one)) for one in members]
    if not any(one.startswith("OpenVINO") for one in used):
        return None
    counted = {one: used.count(one) for one in used}
    if len(counted) == 1:
        return used[0]
    return ", ".join(f"{one} ({count} of {len(used)} members)" for one, count in counted.items())


def _computed(classifier: Classifier) -> dict[str, Any]:
    return {"weights_sha256": classifier.weights_sha256, "engine": _engine(classifier)}


def _engine(classifier: Classifier) -> dict[str, Any]:
    """Name, version and number format of what computes the scores; ``failed``: torch went on from some batch on."""
    engine = classifier.engine
    if isinstance(engine, CompiledNetwork | EngineOrTorch):
        failed = isinstance(engine, EngineOrTorch) and engine.engine is None
        return {"name": "openvino", "version": version(), "precision": engine.precision, "failed": failed}
    parameter = next(classifier.network.parameters())
    return {"name": "torch", "version": torch.__version__, "precision": "f32", "device": parameter.device.type}


def _in_words(engine: Mapping[str, Any]) -> str:
    return f"OpenVINO in {engine['precision']}" if engine["name"] == "openvino" else "torch"
