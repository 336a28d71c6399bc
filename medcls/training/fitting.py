"""One training: from a network and loaders to the weights of its best epoch.

On Lightning's Trainer. The last state of every epoch is kept, so a killed run goes on and ends with the weights that it
would have had; the best epoch by tune AUC is kept beside it.
"""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch.utils.data import DataLoader

from medcls.bounded import read_json
from medcls.config.durations import seconds_of
from medcls.config.settings import TrainSettings
from medcls.files import reading_kept, write_json
from medcls.loading import Batch
from medcls.networks.arithmetic import float32_products, layers_in_float32
from medcls.progress import Progress
from medcls.training import BEST, FITTED, LAST
from medcls.training.averaging import AveragedWeights
from medcls.training.checkpoints.files import SafeCheckpointIO
from medcls.training.device import Compute, lay_out
from medcls.training.history import History
from medcls.training.loggers import build_loggers, forget_host
from medcls.training.module import ClassificationModule
from medcls.training.numerics.compiling import CompileCost, CompiledNetwork
from medcls.training.time_limit import TimeLimit


@dataclass(frozen=True)
class Fitted:
    """What a training came to.

    Attributes:
        best_epoch: The epoch, counted from 1, whose weights the network now has; ``None`` of a probe.
        epochs: How many epochs were trained.
        how: What was done, in words.
    """

    best_epoch: int | None
    epochs: int
    how: str


def fit(
    module: ClassificationModule,
    train: DataLoader[Batch] | list[DataLoader[Batch]],
    tune: DataLoader[Batch],
    settings: TrainSettings,
    compute: Compute,
    folder: Path,
    progress: Progress,
) -> Fitted:
    """Train, and leave the weights of the best epoch in ``module.network``.

    Args:
        module: The network and its loss.
        train: Batches to train on; and beside it as many batches of images without labels, if it learns from any.
        tune: Batches of every tune case.
        settings: Epochs, early stopping, clipping, loggers.
        compute: Device, number format and layout.
        folder: The run: ``checkpoints/``, ``history.csv`` and ``logs/`` are written there. A ``checkpoints/last.ckpt``
            that is there is gone on from.
        progress: Where to say how far it is.

    Raises:
        KeyboardInterrupt: The user stopped it; the last finished epoch is kept.
        RunError: The checkpoint to go on from is damaged.
    """
    checkpoints = folder / "checkpoints"
    if (checkpoints / FITTED).exists():
        return _restore_best(module, checkpoints, compute)
    history = History(folder / "history.csv", progress, settings.epochs)
    best = _best_checkpoint(checkpoints)
    compiling = _compiling(module, compute, progress)
    averaged = _averaged(module, settings)
    ending = [*_early_stopping(settings), *time_limit(settings, progress)]
    callbacks = [history, *averaged, best, *compiling, *ending]
    epochs = run_epochs(module, (train, tune), settings, compute, folder, callbacks)
    write_json(checkpoints / FITTED, {"epochs": epochs})
    return _restore_best(module, checkpoints, compute)


def run_epochs(
    module: Any,
    loaders: Sequence[DataLoader[Batch] | list[DataLoader[Batch]]],
    settings: TrainSettings,
    compute: Compute,
    folder: Path,
    callbacks: Sequence[Callback],
) -> int:
    """Train a module from its last checkpoint on, or from the start; how many epochs are trained then.

    Args:
        module: A Lightning module with its ``network``.
        loaders: Batches to train on, and those of tune where there are some.
        settings: Epochs, clipping, loggers.
        compute: Device, number format and layout.
        folder: Where ``checkpoints/`` and ``logs/`` are.
        callbacks: Of the training; the last state of each epoch is kept after them.

    Raises:
        KeyboardInterrupt: The user stopped it; the last finished epoch is kept.
        RunError: The checkpoint to go on from is damaged.
    """
    arithmetic = float32_products(tf32=compute.tf32), layers_in_float32(module.network, compute.float32_layers)
    with _quiet(), arithmetic[0], arithmetic[1]:
        trainer = lightning.Trainer(
            accelerator="gpu" if compute.device == "cuda" else "cpu",
            devices=1,
            precision=compute.precision,
            max_epochs=settings.epochs,
            accumulate_grad_batches=settings.accumulate,
            gradient_clip_val=settings.clip_norm,
            deterministic="warn" if settings.deterministic else None,
            benchmark=compute.device == "cuda" and not settings.deterministic,
            callbacks=[*callbacks, _last_checkpoint(folder / "checkpoints")],
            plugins=[SafeCheckpointIO()],
            logger=build_loggers(settings.loggers, folder / "logs") or False,
            default_root_dir=folder,
            num_sanity_val_steps=0,
            enable_progress_bar=False,  # the history has one that counts as people do
            enable_model_summary=False,
            log_every_n_steps=1,
            use_distributed_sampler=False,
        )
        last = folder / "checkpoints" / LAST
        with _interruptible(trainer):
            trainer.fit(module, *loaders, ckpt_path=str(last) if last.exists() else None)
    forget_host(folder / "logs")
    return int(trainer.current_epoch)


def _best_checkpoint(folder: Path) -> ModelCheckpoint:
    return ModelCheckpoint(
        dirpath=folder,
        filename=Path(BEST).stem,
        monitor="tune_score",
        mode="max",
        save_top_k=1,
        save_weights_only=True,
        save_on_train_epoch_end=False,  # but right after tune, whose weights they are where weights are averaged
        enable_version_counter=False,
    )


def _last_checkpoint(folder: Path) -> ModelCheckpoint:
    # Last in the list: its file then holds the state that the other callbacks have at the epoch's end.
    return ModelCheckpoint(
        dirpath=folder,
        filename=Path(LAST).stem,
        save_top_k=1,
        every_n_epochs=1,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )


def _compiling(module: ClassificationModule, compute: Compute, progress: Progress) -> list[Callback]:
    if not compute.compiled:
        return []
    compiled = CompiledNetwork(module.network, progress)
    module.step_network = compiled
    return [CompileCost(compiled, progress)]


def _averaged(module: ClassificationModule, settings: TrainSettings) -> list[AveragedWeights]:
    if settings.averaged == "none":
        return []
    averaged = AveragedWeights(settings)
    if settings.semi_supervised == "mean_teacher":
        module.answering = lambda: averaged.mean.network
    return [averaged]


def _early_stopping(settings: TrainSettings) -> list[Callback]:
    if settings.patience is None:
        return []
    return [_Patience("tune_score", mode="max", patience=settings.patience, check_finite=False)]


def time_limit(settings: TrainSettings, progress: Progress) -> list[Callback]:
    """What ends a training in time, where the settings have a limit."""
    return [] if settings.time_limit is None else [TimeLimit(seconds_of(settings.time_limit), progress)]


class _Patience(EarlyStopping):  # type: ignore[misc]
    """Early stopping with the config's patience, which a run that is gone on with may have changed."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})


def _restore_best(module: ClassificationModule, folder: Path, compute: Compute) -> Fitted:
    checkpoint = SafeCheckpointIO().load_checkpoint(folder / BEST)
    module.load_state_dict(checkpoint["state_dict"])
    module.network.eval()
    lay_out(module.network.to(compute.device), module.network.dimensions, channels_last=False)
    with reading_kept(folder / FITTED):
        epochs = int(read_json(folder / FITTED)["epochs"])
    best = int(checkpoint["epoch"]) + 1
    return Fitted(best, epochs, f"Best epoch: {best} of {epochs}")


@contextmanager
def _interruptible(trainer: Any) -> Iterator[None]:
    """Give Ctrl-C back as a KeyboardInterrupt: Lightning turns it into an exit, and ignores a second one."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        if trainer.interrupted:
            raise KeyboardInterrupt from stop
        raise
    finally:
        signal.signal(signal.SIGINT, before)
    if trainer.interrupted:
        raise KeyboardInterrupt


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's remarks off the screen: what matters is said by the history and the report."""
    names = ("lightning.pytorch", "lightning.fabric", "lightning")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
