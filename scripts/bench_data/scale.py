"""How much the blocks of batches and networks measure, and on which device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from bench_scans.clock import Timed, interleaved
from bench_scans.table import Clock, Figures, Row

Say = Callable[[str], None]
Measured = tuple[list[Row], dict[str, Figures]]


@dataclass(frozen=True)
class Scale:
    """Sizes of what is measured.

    Attributes:
        folder: Where files are made.
        device: ``cpu`` or ``cuda``.
        repeats: Of each call.
        flat: Rows and columns of pictures.
        cube: Voxels along each axis of volumes.
        flat_batch: Pictures in a batch.
        cube_batch: Volumes in a batch.
        seed: Another seed makes other images.
    """

    folder: Path
    device: str = "cpu"
    repeats: int = 7
    flat: int = 224
    cube: int = 96
    flat_batch: int = 16
    cube_batch: int = 4
    seed: int = 0

    @classmethod
    def quick(cls, folder: Path, device: str = "cpu", seed: int = 0) -> Scale:
        """Fewer repeats and smaller batches: a first look."""
        return cls(folder, device, repeats=3, cube=64, flat_batch=4, cube_batch=2, seed=seed)

    @property
    def clock(self) -> Clock:
        """Processor time; on CUDA wall time, because the processor only waits there."""
        return "wall" if self.device == "cuda" else "cpu"

    def batch(self, dimensions: int) -> int:
        """Images in a batch."""
        return self.flat_batch if dimensions == 2 else self.cube_batch

    def size(self, dimensions: int) -> tuple[int, ...]:
        """Spatial shape of an image."""
        return (self.flat,) * 2 if dimensions == 2 else (self.cube,) * 3


def timed(scale: Scale, calls: dict[str, Callable[[], Any]], say: Say, what: str) -> Figures:
    """Measure calls in turn, each after one call off the clock; one that fails says why instead."""
    cases: dict[str, Timed] = {}
    failures: dict[str, str] = {}
    for name, call in calls.items():
        say(f"{what}: {name}")
        try:
            call()
        except ImportError as error:
            failures[name] = f"not installed ({error.name})"
        else:
            cases[name] = Timed(_waiting(call) if scale.device == "cuda" else call)
    return Figures(interleaved(cases, scale.repeats), failures)


def _waiting(call: Callable[[], Any]) -> Callable[[], Any]:
    def wait() -> Any:
        result = call()
        torch.cuda.synchronize()
        return result

    return wait
