"""How many cases go into one step when the config says ``batch_size: auto``: as many as the memory holds."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from medcls.config.amounts import amount_of
from medcls.config.settings import TrainSettings
from medcls.errors import ConfigError
from medcls.networks import ClassificationNetwork
from medcls.training.device import Compute, lay_out, memory_format
from medcls.training.memory import available_memory
from medcls.training.optimizers import build_optimizer
from medcls.training.step_memory import AUGMENTING, BEYOND_SAVED, counting_saved, memory_of

_SMALLEST = 2  # a batch norm over one cell has nothing to average with one case
_LARGEST = {"cuda": 256, "cpu": 64}  # beyond, steps get few, and nothing gets faster
_STEPS_AN_EPOCH = 8
_PART = {"cuda": 0.9, "cpu": 0.6}  # of what is free; other programs share a computer's memory, seldom a card's


@dataclass(frozen=True)
class ChosenBatchSize:
    """A batch size, and why it is no larger.

    Attributes:
        size: Cases in one step.
        reason: In words, for the user.
    """

    size: int
    reason: str


def choose_batch_size(
    network: ClassificationNetwork,
    loss: nn.Module,
    settings: TrainSettings,
    compute: Compute,
    *,
    shape: Sequence[int],
    cases: int,
    multilabel: bool,
) -> ChosenBatchSize:
    """The largest power of two that fits into memory, leaves an epoch eight steps, and is at most 256 (on a CPU 64).

    On CUDA whole training steps are tried with a copy of the network, each twice as large as the one before. On a CPU,
    where too much memory ends the process, one step of two cases is measured, unless it is reckoned not to fit: the bytes that
    it keeps for the way back, and 16 copies of an image for its augmentation. Nothing random is drawn from the run's own
    generators.

    Args:
        network: The network before training; not changed.
        loss: Its loss.
        settings: Optimiser.
        compute: Device, number format and layout.
        shape: Of one image, ``(C, *spatial)``.
        cases: To train on.
        multilabel: Whether targets are 0 and 1 for each label.

    For each case a step also takes the unlabelled images that the settings ask for.

    Raises:
        ConfigError: The memory does not hold even two cases.
    """
    limit = _power_of_two(min(_LARGEST[compute.device], cases // _STEPS_AN_EPOCH))
    with torch.random.fork_rng(devices=None if compute.device == "cuda" else []):
        if compute.device == "cpu":
            _check_two(network, shape, settings.images_per_case)
        step = _Step(network, loss, settings, compute, shape, multilabel)
        if compute.device == "cuda":
            return _by_trying(step, limit)
        return _by_estimate(step, limit, int(available_memory() * _PART["cpu"]))


def largest_that_fits(fits: Callable[[int], bool], limit: int) -> int:
    """The largest of 2, 4, 8, … up to ``limit`` before one does not fit; 0 when 2 does not."""
    found, size = 0, _SMALLEST
    while size <= limit and fits(size):
        found, size = size, size * 2
    return found


class _Step:
    """Whole training steps on images of noise, with a copy of the network."""

    def __init__(
        self,
        network: ClassificationNetwork,
        loss: nn.Module,
        settings: TrainSettings,
        compute: Compute,
        shape: Sequence[int],
        multilabel: bool,
    ) -> None:
        self.network = copy.deepcopy(network).to(compute.device).train()
        lay_out(self.network, network.dimensions, compute.channels_last)
        self.loss = copy.deepcopy(loss).to(compute.device)
        self.optimizer = build_optimizer(self.network, settings)
        self.compute = compute
        self.shape = tuple(shape)
        self.multilabel = multilabel
        self.images = settings.images_per_case
        self.layout = memory_format(network.dimensions, compute.channels_last)

    def __call__(self, cases: int) -> None:
        size = cases * self.images
        images = torch.randn(size, *self.shape, device=self.compute.device).to(memory_format=self.layout)
        targets = torch.zeros(size, dtype=torch.long, device=self.compute.device)
        if self.multilabel:
            targets = torch.zeros(size, self.network.classes, device=self.compute.device)
        with self.compute.autocast():
            loss = self.loss(self.network(images), targets)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def _check_two(network: ClassificationNetwork, shape: Sequence[int], images: int) -> None:
    """Refuse what would end the process when it is measured."""
    try:
        need = memory_of(network, shape).least(_SMALLEST * images)
    except RuntimeError:  # a network that looks at its numbers cannot be reckoned without any
        return
    there = available_memory()
    if need > there:
        raise ConfigError(
            f"a step of two cases needs {amount_of(need)} of memory at least, and {amount_of(there)} are available",
            where="train.batch_size",
            remedy="Use a smaller preprocessing.size or network",
        )


def _by_trying(step: _Step, limit: int) -> ChosenBatchSize:
    def fits(size: int) -> bool:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        try:
            step(size)
        except torch.OutOfMemoryError:
            step.optimizer.zero_grad(set_to_none=True)
            return False
        free, _ = torch.cuda.mem_get_info()
        augmenting = AUGMENTING * 4 * math.prod(step.shape) * size * step.images
        taken = torch.cuda.max_memory_reserved() + augmenting
        return taken <= _PART["cuda"] * (free + torch.cuda.memory_reserved())

    size = largest_that_fits(fits, limit)
    torch.cuda.empty_cache()
    if not size:
        raise ConfigError(
            "the CUDA device does not hold a step of two cases",
            where="train.batch_size",
            remedy="Use a smaller preprocessing.size or network, or train.device: cpu",
        )
    return ChosenBatchSize(size, _because(size, limit, "cuda", "the device's memory"))


def _by_estimate(step: _Step, limit: int, room: int) -> ChosenBatchSize:
    with counting_saved() as saved:
        step(_SMALLEST)
    image = 4 * math.prod(step.shape) * step.images
    each = BEYOND_SAVED * sum(saved.values()) / _SMALLEST + AUGMENTING * image
    # Weights, their gradients and two moments are there whatever the batch.
    aside = 4 * sum(one.numel() * one.element_size() for one in step.network.parameters())
    size = largest_that_fits(lambda size: aside + size * each <= room, limit) or _SMALLEST
    memory = f"{room / 1e9:.1f} GB of memory at {each / 1e6:.0f} MB a case"
    return ChosenBatchSize(size, _because(size, limit, "cpu", memory))


def _because(size: int, limit: int, device: str, memory: str) -> str:
    if size < limit:
        return f"bounded by {memory}"
    if size == _LARGEST[device]:
        return "no larger one is tried"
    return f"bounded by {_STEPS_AN_EPOCH} steps an epoch"


def _power_of_two(number: int) -> int:
    return int(max(_SMALLEST, 1 << max(0, number.bit_length() - 1)))
