"""A classifier on disk: ``weights.safetensors`` and ``classifier.json``, and nothing that could run.

The weights are written first and the JSON, which holds their SHA-256, last: a folder with a ``classifier.json`` is whole.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from medcls.bounded import JSON_BYTES, read_bounded
from medcls.classifier.model import TrainedModel
from medcls.config.network_names import NAMED_WEIGHTS
from medcls.files import as_path, check_writable, write_bytes, write_json
from medcls.networks import ClassificationNetwork

FORMAT = 1
WEIGHTS = "weights.safetensors"
DESCRIPTION = "classifier.json"
MEMBERS = "members"


def save_classifier(classifier: TrainedModel, folder: str | os.PathLike[str]) -> None:
    """Write a classifier of one network into a folder."""
    folder = as_path(folder, "the folder")
    check_writable(folder)
    data = weights_of(classifier.network)
    write_bytes(folder / WEIGHTS, data)
    network = classifier.network
    # A weights file's path stays home; only a published source's name changes what the network is made of.
    named = classifier.model.weights if classifier.model.weights in NAMED_WEIGHTS else None
    model = classifier.model.model_copy(update={"weights": named, "weights_sha256": None})
    write_json(
        folder / DESCRIPTION,
        {
            "format": FORMAT,
            **classifier.space.to_json(),
            "network": {
                "model": model.model_dump(mode="json"),
                "dimensions": network.dimensions,
                "channels": network.channels,
                "classes": network.classes,
            },
            "recipe": classifier.recipe.to_json(),
            "leniency": asdict(classifier.leniency),
            "calibration": classifier.calibration.to_json(),
            "operating_point": classifier.operating_point.to_json(),
            "conformal": None if classifier.conformal is None else classifier.conformal.to_json(),
            "refer": classifier.refer,
            "familiar": None if classifier.familiar is None else classifier.familiar.to_json(),
            "engine_checks": [check.to_json() for check in classifier.engine_checks],
            "weights_sha256": hashlib.sha256(data).hexdigest(),
            "provenance": dict(classifier.provenance),
        },
    )


def weights_of(network: ClassificationNetwork) -> bytes:
    """The contents of ``weights.safetensors``."""
    from safetensors.torch import save

    return save({name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()})


def save_ensemble(ensemble: TrainedModel, members: Iterable[str], folder: str | os.PathLike[str]) -> None:
    """Write an ensemble's ``classifier.json``; its members are in the folder by then, each in its own."""
    write_json(
        Path(folder) / DESCRIPTION,
        {
            "format": FORMAT,
            **ensemble.space.to_json(),
            "members": [
                {"name": name, "sha256": description_sha256(Path(folder) / MEMBERS / name)} for name in members
            ],
            "operating_point": ensemble.operating_point.to_json(),
            "conformal": None if ensemble.conformal is None else ensemble.conformal.to_json(),
            "refer": ensemble.refer,
            "familiar": None if ensemble.familiar is None else ensemble.familiar.to_json(),
            "provenance": dict(ensemble.provenance),
        },
    )


def description_sha256(folder: Path) -> str:
    """Of a classifier's ``classifier.json``, which holds that of its weights."""
    return hashlib.sha256(read_bounded(folder / DESCRIPTION, JSON_BYTES)).hexdigest()
