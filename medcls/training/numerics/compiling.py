"""``torch.compile`` for the training step: what it costs is said, and where it cannot work the network runs as it is."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from medcls.errors import in_words
from medcls.networks import ClassificationNetwork
from medcls.progress import Progress

_STEPS = 5  # that are timed after the first


class CompiledNetwork:
    """Calls a network through ``torch.compile``.

    Only the training step goes through it: its batches have one shape, so it is compiled once. The network itself, its tensors
    and their names stay as they are.

    Args:
        network: What is called.
        progress: Where to say that it could not be compiled.
    """

    def __init__(self, network: ClassificationNetwork, progress: Progress) -> None:
        self._network = network
        self._progress = progress
        self._compiled: Any = torch.compile(network.forward)
        self._works = False

    def __call__(self, images: Tensor) -> Tensor:
        """Scores before softmax or sigmoid."""
        if self._compiled is None:
            return self._network(images)  # type: ignore[no-any-return]
        try:
            scores: Tensor = self._compiled(images)
        except Exception as error:  # compilers fail in any way; if the batch is at fault, the network itself says so
            if self._works:
                raise
            self._compiled = None
            self._progress.note(
                "train.compile: torch.compile does not work here (it needs a compiler of C++, on CUDA Triton too), so training "
                f"goes on without: {in_words(error)}"
            )
            return self._network(images)  # type: ignore[no-any-return]
        self._works = True
        return scores

    @property
    def works(self) -> bool:
        """Whether a batch has gone through the compiled network."""
        return self._works


class CompileCost(Callback):  # type: ignore[misc]
    """Says what compiling cost: the time of the first step against that of the next few.

    Args:
        compiled: What is compiled.
        progress: Where to say it.
    """

    def __init__(self, compiled: CompiledNetwork, progress: Progress) -> None:
        self._compiled = compiled
        self._progress = progress
        self._seconds: list[float] = []
        self._started = 0.0

    def on_train_batch_start(self, *_: Any) -> None:
        """Start the clock."""
        if len(self._seconds) <= _STEPS:
            _wait()
            self._started = time.monotonic()

    def on_train_batch_end(self, *_: Any) -> None:
        """Stop it, and speak after the last of the timed steps."""
        if len(self._seconds) > _STEPS:
            return
        _wait()
        self._seconds.append(time.monotonic() - self._started)
        if len(self._seconds) > _STEPS and self._compiled.works:
            first, usual = self._seconds[0], statistics.median(self._seconds[1:])
            self._progress.note(
                f"train.compile: the first step took {first:.1f} s, a step after it {usual:.2f} s; compare with a run without"
            )


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
