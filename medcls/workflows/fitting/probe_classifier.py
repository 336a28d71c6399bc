"""A linear layer fitted to the features of the network as it is: all of a training (``train.method: probe``), or its start.

That a training which begins from the fitted layer harms the features least, and is better on other data than either alone, is
from Kumar et al., 'Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution' (ICLR 2022).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medcls.cohort import Case, Cohort
from medcls.cohort.case import known_matrix, reference_matrix
from medcls.config import Config
from medcls.errors import ConfigError
from medcls.networks import ClassificationNetwork
from medcls.training.device import Compute
from medcls.training.fitting import Fitted
from medcls.training.linear.probe import Examples, fit_probe
from medcls.training.losses import class_weights, positive_weights
from medcls.workflows.data.prepare import Material
from medcls.workflows.fitting.frozen_features import frozen_features
from medcls.workflows.session import Session

_UNUSED = (
    "epochs",
    "batch_size",
    "loss",
    "label_smoothing",
    "optimizer",
    "learning_rate",
    "layer_decay",
    "unfreeze",
    "head_start",
    "lora",
    "teacher",
    "schedule",
    "warmup_epochs",
    "patience",
    "accumulate",
    "average",
    "precision",
    "compile",
)


def probe_classifier(material: Material, network: ClassificationNetwork, compute: Compute, session: Session) -> Fitted:
    """Fit the network's last layer to the features of the training cases, and leave all else as it is.

    Raises:
        ConfigError: The network's head is more than one linear layer, or its pooling over slices has weights.
        StorageError: A prepared scan is gone or damaged, or the store cannot be written.
    """
    _say_what_is_not_used(session)
    return Fitted(None, 0, f"Linear probe: {_fit_head(material, network, compute, session, 'train.method')}")


def head_start(
    material: Material, network: ClassificationNetwork, compute: Compute, session: Session, *, begun: bool = False
) -> None:
    """Let a training begin from a fitted last layer, with the network in training again.

    Its batch norms keep their statistics: those of a batch would give other features than the layer was fitted to.

    Args:
        material: Prepared and parted cases.
        network: With its starting weights.
        compute: Device, number format and layout.
        session: Of the config.
        begun: The training is gone on with, so the layer is not fitted again.

    Raises:
        ConfigError: The network's head is more than one linear layer.
        StorageError: A prepared scan is gone or damaged, or the store cannot be written.
    """
    if not begun:
        how = _fit_head(material, network, compute, session, "train.head_start")
        session.progress.note(f"The last layer starts from a linear probe: {how}")
    network.keeps_statistics = True
    network.train()


def _fit_head(material: Material, network: ClassificationNetwork, compute: Compute, session: Session, key: str) -> str:
    """Fit the last layer to the training cases, leave the network in evaluation, and say how the penalty was chosen."""
    config, cohort, progress = session.config, material.cohort, session.progress
    head = _linear_head(network, key)
    train = cohort.partition("train")
    network.to(compute.device).eval()
    features = frozen_features(network, material, train, progress)
    progress.begin("Fitting the probe")
    probe = fit_probe(probe_examples(features, train, cohort, config), multilabel=cohort.multilabel, seed=config.seed)
    weights, bias = probe.layer()
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weights))
        head.bias.copy_(torch.from_numpy(bias))
    chosen = f"chosen on {probe.folds} folds within train" if probe.folds else "with too few patients to choose it"
    return f"penalty C = {probe.model.strength:.2g}, {chosen}"


def _linear_head(network: ClassificationNetwork, key: str) -> nn.Linear:
    head = network.head
    if not isinstance(head, nn.Linear) or {name for name, _ in head.named_parameters()} != {"weight", "bias"}:
        raise ConfigError(
            "a probe is fitted to a head that is one linear layer, and this network's is more",
            where=key,
            remedy="Use 'method: full'" if key == "train.method" else "Leave it out",
        )
    if any(name.startswith("pooling.") for name, _ in network.named_parameters()):
        raise ConfigError(
            "a probe trains no pooling",
            where="model.slices.pooling",
            remedy="Use 'pooling: mean' or 'pooling: max', or 'method: full'",
        )
    return head


def _say_what_is_not_used(session: Session) -> None:
    config = session.config
    defaults = type(config.train)()
    unused = [f"train.{name}" for name in _UNUSED if getattr(config.train, name) != getattr(defaults, name)]
    if unused:
        session.progress.note(f"A probe does not use {', '.join(unused)}")
    if config.model.weights is None:
        session.progress.warn("a probe of a network with random weights: set model.weights")


def probe_examples(features: NDArray[np.float32], cases: Sequence[Case], cohort: Cohort, config: Config) -> Examples:
    """What a probe is fitted on: features ``(cases, k)`` with references, patients, and how much each case counts."""
    labels = len(cohort.labels)
    patients = [case.patient or case.name for case in cases]
    reference, known = reference_matrix(cases, labels), known_matrix(cases, labels)
    counts = np.ones(reference.shape)
    if config.train.balance != "none":
        having = [len({who for who, has in zip(patients, column, strict=True) if has}) for column in reference.T]
        if cohort.multilabel:
            told = [len({who for who, knows in zip(patients, column, strict=True) if knows}) for column in known.T]
            counts = np.where(reference, positive_weights(having, told).numpy(), 1.0)
        else:
            counts = np.broadcast_to(class_weights(having).numpy(), reference.shape).astype(np.float64)
    groups = np.unique(patients, return_inverse=True)[1].reshape(-1)
    return Examples(features.astype(np.float64), reference, known, groups, counts)
