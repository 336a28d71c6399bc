"""What an answer was made by: which weights, from which run, and what computed the scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from medcls.classifier.classifier import Classifier
from medcls.classifier.engines.compiled import CompiledNetwork, version
from medcls.classifier.engines.fallback import EngineOrTorch
from medcls.classifier.ensemble import Ensemble

_KEPT = ("created", "cohort_sha256", "config_sha256", "leakage_allowed")


def identify(classifier: Classifier) -> dict[str, Any]:
    """Plain JSON that says what a classifier is, and what has computed its scores up to now.

    Returns:
        ``run`` (its name, where the classifier lies in one), ``medcls`` (the version that trained it), what is kept of its
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
    """The run that a classifier's folder lies in, a fold with that of its run; ``None`` where it lies in none."""
    run = folder.resolve().parent
    if not (run / "config.yaml").is_file():
        return None
    inside = run.parent.name in ("folds", "learning-curve") and (run.parent.parent / "config.yaml").is_file()
    return "/".join(run.parts[-3:]) if inside else run.name


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
