"""Learning-rate schedules, in the form that Lightning's ``configure_optimizers`` takes.

Cosine: Loshchilov and Hutter, 'SGDR' (ICLR 2017), equation 5, one fall to zero. One-cycle: Smith and Topin,
'Super-Convergence' (2018), as in torch. Warm-up: Goyal et al., 'Accurate, Large Minibatch SGD' (2017), section 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from medcls.config.settings import TrainSettings


class WarmPlateau(LRScheduler):
    """Lower the rate when a figure no longer rises, after epochs of linear warm-up.

    Like torch's ``ReduceLROnPlateau``, but the figure is told by :meth:`observe` from within the tune pass. Lightning steps
    torch's only after the epoch's checkpoint is written, so a resumed run would have forgotten one epoch's figure.

    Args:
        optimizer: Whose rates are set.
        warmup: Epochs of warm-up: the first has ``1 / (warmup + 1)`` of the full rate.
        factor: Of each drop.
        patience: Epochs without a better figure that are borne; the one after them brings a drop.
    """

    def __init__(self, optimizer: Optimizer, *, warmup: int, factor: float, patience: int) -> None:
        self.warmup = warmup
        self.factor = factor
        self.patience = patience
        self.best = -math.inf
        self.waited = 0
        self.drops = 0
        self.observed = 0
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """The rate of each group in the present epoch."""
        share = min(1.0, (self.last_epoch + 1) / (self.warmup + 1)) * self.factor**self.drops
        return [rate * share for rate in self.base_lrs]

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch.

        Raises:
            RuntimeError: Two epochs went by and no figure was told.
        """
        if self.last_epoch >= 1 and not self.observed:
            raise RuntimeError("the plateau schedule waits for a figure: call observe() after each tune pass")
        super().step(epoch)

    def observe(self, figure: float) -> None:
        """Take the figure of the tune pass after an epoch; higher is better, and NaN says nothing.

        Lightning goes on to the next epoch before the tune pass, so the rate that this sets is the next epoch's.
        """
        self.observed += 1
        if figure > self.best:
            self.best, self.waited = figure, 0
        elif not math.isnan(figure):
            self.waited += 1
        if self.last_epoch <= self.warmup:
            self.waited = 0  # what a network that is just starting does is no plateau
        if self.waited > self.patience:
            self.drops, self.waited = self.drops + 1, 0
        rates = self.get_lr()
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = rates


def build_schedule(optimizer: Optimizer, settings: TrainSettings, *, steps_per_epoch: int) -> dict[str, Any]:
    """The schedule that the settings name.

    All but ``plateau`` are set after every optimiser step. Warm-up is at most one epoch shorter than the training.

    Args:
        optimizer: Whose rates are set.
        settings: ``schedule``, ``epochs``, ``warmup_epochs``, ``step_epochs`` and ``step_factor``.
        steps_per_epoch: Optimiser steps in an epoch, so batches divided by ``accumulate``, rounded up.

    Returns:
        ``{"optimizer", "lr_scheduler": {"scheduler", "interval", "frequency"}}``. For ``plateau`` the scheduler is a
        :class:`WarmPlateau`, which is to be told the tune AUC after each tune pass.
    """
    return {"optimizer": optimizer, "lr_scheduler": _scheduler(optimizer, settings, steps_per_epoch)}


def _scheduler(optimizer: Optimizer, settings: TrainSettings, steps_per_epoch: int) -> dict[str, Any]:
    warmup = min(settings.warmup_epochs, settings.epochs - 1)
    if settings.schedule == "plateau":
        plateau = WarmPlateau(optimizer, warmup=warmup, factor=settings.step_factor, patience=settings.step_epochs)
        return {"scheduler": plateau, "interval": "epoch", "frequency": 1}
    steps = settings.epochs * steps_per_epoch
    if settings.schedule == "one_cycle":
        rates = [group["lr"] for group in optimizer.param_groups]
        return {"scheduler": OneCycleLR(optimizer, rates, total_steps=steps), "interval": "step", "frequency": 1}
    shape = _shape(settings, steps_per_epoch, warmup=warmup * steps_per_epoch, steps=steps)
    return {"scheduler": LambdaLR(optimizer, shape), "interval": "step", "frequency": 1}


def _shape(settings: TrainSettings, steps_per_epoch: int, *, warmup: int, steps: int) -> Callable[[int], float]:
    """The share of the full rate at each step, counted from 0."""

    def cosine(step: int) -> float:
        done = min(1.0, max(0, step - warmup) / (steps - warmup))
        return 0.5 * (1 + math.cos(math.pi * done))

    def drops(step: int) -> float:
        return float(settings.step_factor ** (step // (steps_per_epoch * settings.step_epochs)))

    def level(step: int) -> float:
        return 1.0

    fall = {"cosine": cosine, "step": drops}.get(settings.schedule, level)

    def share(step: int) -> float:
        return fall(step) * min(1.0, (step + 1) / warmup) if warmup else fall(step)

    return share
