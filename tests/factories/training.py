"""Small trainings: a network of two convolutions on cases of noise, of which one label is brighter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medcls.config.settings import TrainSettings
from medcls.loading import Item, PreparedDataset, eval_loader, train_loader
from medcls.networks import ClassificationNetwork
from medcls.networks.heads import MeanLinearHead
from medcls.preprocessing import Prepared
from medcls.progress import Progress
from medcls.training.checkpoints.files import SafeCheckpointIO
from medcls.training.device import Compute
from medcls.training.fitting import fit
from medcls.training.losses import build_loss
from medcls.training.module import ClassificationModule

PLAIN = Compute("cpu", "32-true", False)
BASE = TrainSettings(
    epochs=1, loggers=[], precision="32", patience=None, schedule="constant", warmup_epochs=0, optimizer="sgd",
    learning_rate=0.05, clip_norm=None, balance="none",
)  # fmt: skip


def cases(count: int, *, labels: int = 2) -> PreparedDataset:
    random = np.random.default_rng(0)
    items = []
    for number in range(count):
        image = random.normal(number % labels, 1, (1, 1, 12, 12)).astype(np.float16)
        items.append(Item(Prepared(image, np.eye(4)[None]), (number % labels,)))
    return PreparedDataset(items, labels=labels)


def tiny(*, norm: bool = True) -> ClassificationNetwork:
    torch.manual_seed(0)
    parts = [torch.nn.Conv2d(1, 6, 3), torch.nn.ReLU(), torch.nn.Conv2d(6, 6, 3)]
    if norm:
        parts.insert(1, torch.nn.BatchNorm2d(6))
    return ClassificationNetwork(
        torch.nn.Sequential(*parts),
        MeanLinearHead(6, 2),
        name="tiny",
        dimensions=2,
        channels=1,
        classes=2,
        blocks={"stem": ("0", "1"), "block1": (str(len(parts) - 1),)},
    )


def train(
    folder: Path, settings: TrainSettings, data: PreparedDataset, *, network: ClassificationNetwork | None = None,
    size: int = 4, progress: Progress | None = None, compute: Compute = PLAIN, **parts: Any,
) -> ClassificationNetwork:  # fmt: skip
    network = network or tiny()
    module = ClassificationModule(
        network,
        build_loss(settings, class_weights=None, multilabel=False),
        settings,
        compute,
        augmentation=parts.get("augmentation"),
        mixing=parts.get("mixing"),
        teaching=parts.get("teaching"),
        semi_supervised=parts.get("semi_supervised"),
        multilabel=False,
        seed=0,
    )
    loader: Any = train_loader(data, batch_size=size, seed=0, balanced=False)
    if parts.get("unlabelled") is not None:
        drawn = train_loader(parts["unlabelled"], batch_size=2 * size, seed=0, draws=2 * size * len(loader))
        loader = [loader, drawn]
    tune = eval_loader(cases(8), batch_size=4)
    fit(module, loader, tune, settings, compute, folder, progress or Progress(quiet=True))
    if parts.get("keep") == "last":
        module.load_state_dict(SafeCheckpointIO().load_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"])
    return network


def weights(network: torch.nn.Module) -> Tensor:
    return torch.cat([one.detach().flatten() for one in network.parameters()])
