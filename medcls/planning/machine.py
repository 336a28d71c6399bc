"""Machine: what a plan must know of where the training will be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """Where the training will be.

    Attributes:
        device: ``cpu`` or ``cuda``.
        cores: Threads that torch uses.
        memory: Bytes that are available: of the card where there is one.
        fast_bf16: Whether it gains by bfloat16.
        weights: Networks whose pretrained weights are on this machine: their spatial axes to their names.
    """

    device: str
    cores: int
    memory: int
    fast_bf16: bool
    weights: Mapping[int, tuple[str, ...]]
