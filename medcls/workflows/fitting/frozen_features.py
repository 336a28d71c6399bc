"""What a network that is not trained makes of prepared cases: computed once, and kept in the store."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
import torch
from blake3 import blake3
from numpy.typing import NDArray

from medcls.classifier.forward import mean_scores, torch_features
from medcls.cohort import Case
from medcls.config.network_names import NAMES
from medcls.networks import ClassificationNetwork
from medcls.preprocessing.store.kept_features import KeptFeatures
from medcls.progress import Progress
from medcls.workflows.data.prepare import Material


def frozen_features(
    network: ClassificationNetwork, material: Material, cases: Sequence[Case], progress: Progress
) -> NDArray[np.float32]:
    """The features that the head takes, ``(cases, k)``: of each case the mean over its views.

    Args:
        network: In evaluation, where it is to be computed.
        material: Prepared cases.
        cases: Which of them.
        progress: Where to say how far it is.

    Raises:
        StorageError: A prepared scan is gone or damaged, or the store cannot be written.
    """
    # What a network from elsewhere computes is not told by its tensors and the names of its parts: it is computed anew.
    kept = KeptFeatures(_digest(network)) if network.name in NAMES else None
    found = {case.name: kept.read(material.entries[case.name]) if kept else None for case in cases}
    missing = [case for case in cases if found[case.name] is None]
    prepared = (material.entries[case.name].read() for case in progress.track(missing, "Computing features"))
    for case, features in zip(missing, mean_scores(torch_features(network), prepared), strict=True):
        if kept:
            kept.write(material.entries[case.name], features)
        found[case.name] = features
    return np.stack([features for features in found.values() if features is not None])


def _digest(network: ClassificationNetwork) -> str:
    """Of all that decides the features: the weights and numbers, what computes them, and in which version."""
    found = blake3(repr((network.name, network.dimensions, version("medcls"), torch.__version__)).encode())
    found.update(
        repr((network.input, network.backbone, network.depths, network.mirrorings, network.extra_repr())).encode()
    )
    kept = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("head.")}
    for name, tensor in kept.items():
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
