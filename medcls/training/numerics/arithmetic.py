"""Arithmetic that was seen to be right: a reduced format, a compiled network or a fused optimiser is used only then.

Torch's kernels are many, and some compute something else on some processors at some sizes: those of torch 2.13 for
convolutions in bfloat16 on processors with AVX512_BF16 give a gradient of the weights that is what the memory held
before, where the feature map has two cells an axis. So before a training every way of computing but float32, operation
by operation, is tried with the very network at the very sizes (:mod:`medcls.training.numerics.layer_check`,
:mod:`medcls.training.numerics.whole_check`). Layers that fail are computed in float32, as long as most of the work is not
theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from medcls.config.settings import NetworkName, TrainSettings
from medcls.networks import ClassificationNetwork
from medcls.progress import SILENT, Progress
from medcls.training.device import Compute, lay_out, memory_format
from medcls.training.numerics.compiling import CompiledNetwork
from medcls.training.numerics.layer_check import Fault, LayerReport, check_layers
from medcls.training.numerics.whole_check import check_compiled, fused_agrees
from medcls.training.optimizers import can_fuse

_MOST_IN_FLOAT32 = 0.5  # of the work; beyond, the reduced format no longer pays
_ROUNDS = 4
_FEWEST = 2  # cases that a batch norm over one cell needs
_SHOWN = 3  # layers named in a note
_NAMES = {"bf16-mixed": "bfloat16", "16-mixed": "float16", "32-true": "TF32"}


@dataclass(frozen=True)
class Sizes:
    """What a training's batches are like.

    Attributes:
        shape: Of one image, ``(C, *spatial)``.
        train: Cases in a step.
        tune: The numbers of views in the batches of tune, which may differ.
        multilabel: Whether targets are 0 and 1 for each label.
    """

    shape: tuple[int, ...]
    train: int
    tune: tuple[int, ...] = ()
    multilabel: bool = False


@dataclass(frozen=True)
class Arithmetic:
    """How a network may be computed, and what spoke against the rest.

    Attributes:
        compute: What was seen to be right.
        notes: What failed and what is done instead, a line each.
    """

    compute: Compute
    notes: tuple[str, ...] = field(default=())


def right_arithmetic(
    network: ClassificationNetwork,
    loss: nn.Module,
    settings: TrainSettings,
    compute: Compute,
    name: NetworkName,
    sizes: Sizes,
    progress: Progress = SILENT,
) -> Arithmetic:
    """The nearest to what is wanted that computes what float32 does; float32 itself is not questioned.

    Args:
        network: Before training; weights, statistics and mode stay as they are, device and layout become those of the result.
        loss: Its loss.
        settings: Optimiser and layout.
        compute: What is wanted.
        name: Name of the network.
        sizes: Of the batches.
        progress: Where to say that the network could not be compiled.
    """
    trial = _Trial(network, loss, settings, name, sizes, progress)
    notes: list[str] = []
    compute = trial.fused(trial.compiled(trial.reduced(compute, notes), notes), notes)
    trial.place(compute)
    return Arithmetic(compute, tuple(notes))


@dataclass
class _Trial:
    network: ClassificationNetwork
    loss: nn.Module
    settings: TrainSettings
    name: NetworkName
    sizes: Sizes
    progress: Progress

    def reduced(self, compute: Compute, notes: list[str]) -> Compute:
        """In the reduced format, with some layers in float32, or in float32."""
        if not (compute.mixed or compute.tf32):
            return compute
        report = self._check(compute)
        first = list(report.faults.values())
        for _ in range(_ROUNDS):
            layers = tuple(sorted(report.alike().union(compute.float32_layers)))
            beyond = "" in report.faults or report.share(layers) > _MOST_IN_FLOAT32
            if not report.faults or not compute.mixed or beyond or layers == compute.float32_layers:
                break
            compute = replace(compute, float32_layers=layers)
            report = self._check(compute)
        if not first:
            return compute
        if not report.faults:
            notes.append(f"{_said(compute, first)}; {_layers(len(compute.float32_layers))} computed in float32")
            return compute
        notes.append(f"{_said(compute, first)}; float32 is used")
        if not compute.mixed:
            return replace(compute, tf32=False)
        wide = compute.in_float32(self.name, self.network.dimensions, self.settings.channels_last)
        return self.reduced(wide, notes)

    def compiled(self, compute: Compute, notes: list[str]) -> Compute:
        """Compiled, where that works and gives the network's gradients."""
        if not compute.compiled:
            return compute
        self.place(compute)
        images, targets = self.batch(compute, self.sizes.train)
        compiled = CompiledNetwork(self.network, self.progress)
        fault = check_compiled(self.network, compiled, self.loss, compute, images, targets)
        if fault is None and compiled.works:
            return compute
        if fault is not None:
            notes.append(f"train.compile: {fault} here, so the network is not compiled")
        return replace(compute, compiled=False)

    def fused(self, compute: Compute, notes: list[str]) -> Compute:
        """With the fused optimiser, where it takes the steps of the plain one."""
        if not compute.fused or compute.precision == "16-mixed" or not can_fuse(self.network):
            return compute
        if fused_agrees(self.network, self.settings):
            return compute
        notes.append(f"the fused {self.settings.optimizer} takes other steps than the plain one here, which is used")
        return replace(compute, fused=False)

    def place(self, compute: Compute) -> None:
        """Bring the network to the device and into the layout."""
        self.network.to(compute.device)
        self.loss.to(compute.device)
        lay_out(self.network, self.network.dimensions, compute.channels_last)

    def batch(self, compute: Compute, count: int) -> tuple[Tensor, Tensor]:
        """Noise with targets, on the device and in the layout."""
        generator = torch.Generator().manual_seed(0)
        classes = self.network.classes
        images = torch.randn(count, *self.sizes.shape, generator=generator).to(compute.device)
        targets = torch.arange(count, device=compute.device) % classes
        if self.sizes.multilabel:
            targets = nn.functional.one_hot(targets, classes).float()
        layout = memory_format(self.network.dimensions, compute.channels_last)
        return images.to(memory_format=layout), targets

    def _check(self, compute: Compute) -> LayerReport:
        self.place(compute)
        count = self.sizes.train
        while True:
            images, targets = self.batch(compute, count)
            try:
                return check_layers(self.network, self.loss, compute, images, targets, tune_sizes=self.sizes.tune)
            except torch.OutOfMemoryError:  # float32 beside the reduced format takes more than a step
                if count <= _FEWEST:
                    raise
                count //= 2
                self.progress.note(f"For want of memory the number format is tried with {count} cases")


def _said(compute: Compute, faults: Sequence[Fault]) -> str:
    worst = max(faults, key=lambda one: one.error)
    others = sorted({one.layer for one in faults} - {worst.layer, ""})
    beside = f", and {_some(others)}" if others else ""
    return f"{_NAMES[compute.precision]} is wrong on this machine: {worst}{beside}"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more layers"


def _layers(count: int) -> str:
    return "this layer is" if count == 1 else f"these {count} layers are"
