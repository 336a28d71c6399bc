"""How much memory a training step takes, reckoned without taking any.

The network is built of tensors that have shapes and no memory (torch's ``meta`` device), and one forward pass tells what
autograd would keep for the way back: to the byte what it keeps in float32.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medcls.config.settings import ModelSettings
from medcls.networks import build_network

BEYOND_SAVED = 1.5  # gradients on their way back, and what convolutions lay out anew
AUGMENTING = 16  # copies of a float32 image: places, displacements, and the steps between
_STATES = 4  # of each weight: itself, its gradient, two moments
_CASES = 2  # a batch norm over one cell has nothing to average with one case


@dataclass(frozen=True)
class StepMemory:
    """Bytes of a training step.

    Attributes:
        aside: There whatever the batch.
        saved: Kept for the way back, for each case, in float32.
        image: One case in float32.
    """

    aside: int
    saved: int
    image: int

    @property
    def each(self) -> float:
        """What a case takes, as estimated."""
        return BEYOND_SAVED * self.saved + AUGMENTING * self.image

    def estimate(self, cases: int) -> int:
        """What a step of so many cases takes."""
        return round(self.aside + cases * self.each)

    def least(self, cases: int) -> int:
        """What it takes at the very least, in numbers of 16 bits and with nothing but what is kept."""
        return round(self.aside + cases * (self.saved / 2 + self.image))


def step_memory(settings: ModelSettings, *, dimensions: int, channels: int, size: Sequence[int]) -> StepMemory:
    """Reckon a step of the network that the settings name, on images of ``(channels, *size)``."""
    with torch.device("meta"):
        network = build_network(settings, dimensions=dimensions, channels=channels, classes=2)
    return memory_of(network, (channels, *size))


def memory_of(network: nn.Module, shape: Sequence[int]) -> StepMemory:
    """Reckon a step of a network, which is not changed, on images of a shape ``(C, *spatial)``."""
    empty = copy.deepcopy(network).to("meta").train()
    with counting_saved() as saved:
        empty(torch.empty(_CASES, *shape, device="meta"))
    weights = sum(one.numel() * one.element_size() for one in empty.parameters())
    return StepMemory(_STATES * weights, sum(saved.values()) // _CASES, 4 * math.prod(shape))


@contextmanager
def counting_saved() -> Iterator[dict[int, int]]:
    """Bytes of each piece of memory that autograd keeps for the way back, by its identity; none is freed before the end."""
    saved: dict[int, int] = {}
    alive: list[torch.UntypedStorage] = []  # an identity is given again when its owner is gone

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if not isinstance(tensor, nn.Parameter):
            saved[storage._cdata] = storage.nbytes()
            alive.append(storage)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield saved
