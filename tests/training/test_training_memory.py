"""Ten thousand prepared cases are trained on, with memory that no longer grows after the first fifty batches."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medcls.config.settings import PreprocessingSettings, TrainSettings
from medcls.loading import Augmentation, Item, PreparedDataset, eval_loader, train_loader
from medcls.networks import ClassificationNetwork
from medcls.networks.heads import MeanLinearHead
from medcls.preprocessing import PreparedStore, StoredPrepared, build_recipe, prepare_many
from medcls.progress import Progress
from medcls.training.device import Compute
from medcls.training.fitting import fit
from medcls.training.losses import build_loss
from medcls.training.module import ClassificationModule
from tests.factories.scans import FileSource

torch.set_num_threads(1)

CASES, TUNE, SIZE = 10_000, 2_000, 32
SETTLED = 50  # batches
MIB = 2**20
GROWTH = 12 * MIB  # a batch's images are 0.5 MiB: kept, the training cases would be 160 MiB and the tune cases 31 MiB


def resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def many_links(folder: Path, cases: int) -> PreparedDataset:
    """Cases that share a handful of entries: what is read is real, and the store stays small."""
    folder.mkdir()
    random = np.random.default_rng(0)
    sources = [
        FileSource.save(folder, str(k), random.integers(0, 255, (1, 64, 64, 1), dtype=np.uint8)) for k in range(4)
    ]
    recipe = build_recipe("generic", PreprocessingSettings(size=[64, 64]))
    entries = list(prepare_many(sources, recipe, PreparedStore(folder / "store")))
    assert all(isinstance(one, StoredPrepared) for one in entries)
    items = [Item(entries[k % 4], (k % 2,), f"patient {k // 2}") for k in range(cases)]  # type: ignore[arg-type]
    return PreparedDataset(items, labels=2)


class Watched(ClassificationModule):
    """Looks at the process's memory after each batch."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.seen: list[int] = []

    def on_train_batch_end(self, *_: Any) -> None:
        self.seen.append(resident())

    def on_validation_batch_end(self, *_: Any) -> None:
        self.seen.append(resident())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux tells it")
def test_memory_stays_where_it_was_after_fifty_batches(tmp_path: Path) -> None:
    train, tune = many_links(tmp_path / "a", CASES), many_links(tmp_path / "b", TUNE)
    channels = train[0].images.shape[0]
    network = ClassificationNetwork(
        torch.nn.Sequential(torch.nn.Conv2d(channels, 4, 5, stride=4), torch.nn.ReLU()),
        MeanLinearHead(4, 2), name="tiny", dimensions=2, channels=channels, classes=2, blocks={},
    )  # fmt: skip
    settings = TrainSettings(epochs=1, loggers=["csv"], precision="32", schedule="constant", warmup_epochs=0)
    module = Watched(
        network,
        build_loss(settings, class_weights=None, multilabel=False),
        settings,
        augmentation=Augmentation(rotate=10, noise=0.1, gamma=0.1),
        multilabel=False,
        dimensions=2,
        channels_last=False,
        seed=0,
    )
    fit(
        module,
        train_loader(train, batch_size=SIZE, seed=0),
        eval_loader(tune, batch_size=SIZE),
        settings,
        Compute("cpu", "32-true", False),
        tmp_path,
        Progress(quiet=True),
    )
    assert len(module.seen) == CASES // SIZE + -(-TUNE // SIZE)
    grown = max(module.seen[SETTLED:]) - max(module.seen[:SETTLED])
    assert grown < GROWTH, f"grew by {grown / MIB:.1f} MiB"
