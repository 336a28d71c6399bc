"""From a network and scans to pretrained weights, on the loop that trainings have: a killed one goes on to the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch.utils.data import DataLoader

from medcls.config.sections.pretrain import PretrainSettings
from medcls.config.settings import TrainSettings
from medcls.errors import ConfigError
from medcls.files import read_csv, reading_kept, write_json
from medcls.loading import Batch
from medcls.networks import ClassificationNetwork
from medcls.pretraining.learner import Learner
from medcls.pretraining.module import PretrainingModule
from medcls.pretraining.simsiam import SimSiam
from medcls.pretraining.spark import SparK
from medcls.pretraining.views import Views
from medcls.progress import Progress
from medcls.training import FITTED, LAST
from medcls.training.checkpoints.files import SafeCheckpointIO
from medcls.training.device import Compute
from medcls.training.fitting import run_epochs, time_limit
from medcls.training.history import History

HISTORY = "history.csv"
_WARMUP = 10  # a tenth of the epochs, at most so many


def build_learner(network: ClassificationNetwork, settings: PretrainSettings, size: Sequence[int]) -> Learner:
    """The network with what it is pretrained by.

    Raises:
        ConfigError: The method cannot pretrain the network.
    """
    if settings.method == "spark":
        return SparK(network, size, settings.mask)
    features = getattr(network.head, "in_features", None)
    if features is None:
        raise ConfigError(
            f"{network.name} has no features before a last layer that medcls knows of",
            where="model.name",
            remedy="Choose another network, or give this one as a NetworkFamily",
        )
    return SimSiam(network, features)


def as_training(settings: PretrainSettings, train: TrainSettings) -> TrainSettings:
    """What the loop and the optimiser are told; device, workers and layout are those of trainings.

    SGD and its weight decay are SimSiam's (section 4.1); AdamW stands in place of SparK's LAMB, which is for batches of
    thousands.
    """
    siamese = settings.method == "simsiam"
    return TrainSettings(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        optimizer="sgd" if siamese else "adamw",
        learning_rate=settings.learning_rate or (0.03 if siamese else 1e-3),
        momentum=0.9,
        weight_decay=1e-4 if siamese else 0.04,
        schedule="cosine",
        warmup_epochs=min(_WARMUP, settings.epochs // 10),
        clip_norm=None if siamese else 5.0,
        patience=None,
        precision="32",  # a reduced format is tried against the loss of a training, which there is none of
        loggers=[],
        device=train.device,
        workers=train.workers,
        channels_last=train.channels_last,
        deterministic=train.deterministic,
    )


def fit(
    learner: Learner,
    views: Views,
    batches: DataLoader[Batch],
    settings: TrainSettings,
    compute: Compute,
    folder: Path,
    progress: Progress,
    *,
    seed: int,
) -> dict[str, float]:
    """Pretrain the learner's network in place, and give the figures of the last epoch.

    Args:
        learner: The network and its task.
        views: What is made of each image.
        batches: Images to learn on; what is known of their labels is not looked at.
        settings: As :func:`as_training` gives them.
        compute: Device and layout.
        folder: ``checkpoints/`` and ``history.csv`` are written there. A ``checkpoints/last.ckpt`` is gone on from.
        progress: Where to say how far it is.
        seed: Of views, masks and dropout.

    Raises:
        KeyboardInterrupt: The user stopped it; the last finished epoch is kept.
        RunError: The checkpoint to go on from, or the history, is damaged.
    """
    module = PretrainingModule(learner, views, settings, compute, seed=seed)
    history = History(folder / HISTORY, progress, settings.epochs, {"loss": "loss", **learner.figures})
    checkpoints = folder / "checkpoints"
    if (checkpoints / FITTED).exists():  # killed after its last epoch
        module.load_state_dict(SafeCheckpointIO().load_checkpoint(checkpoints / LAST)["state_dict"])
    else:
        epochs = run_epochs(module, [batches], settings, compute, folder, [history, *time_limit(settings, progress)])
        write_json(checkpoints / FITTED, {"epochs": epochs})
    learner.network.eval().cpu()
    with reading_kept(folder / HISTORY):
        last = read_csv(folder / HISTORY)[-1]
        return {name: float(last[name]) for name in ("epoch", "loss", *learner.figures)}
