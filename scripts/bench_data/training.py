"""Training steps from files: medcls' prepared store beside a tutorial's pipeline, and beside tensors that are ready."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from bench_scans.table import Row, Target, compare
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader

from medcls.config.settings import (
    AugmentationSettings,
    ModelSettings,
    NetworkName,
    PreprocessingSettings,
    TrainSettings,
)
from medcls.loading import Augmentation, Batch, Item, PreparedDataset, train_loader
from medcls.networks import build_network
from medcls.preprocessing import PreparedStore, StoredPrepared, build_recipe, prepare_many
from medcls.scans import find_one
from medcls.training.device import choose_compute, lay_out, memory_format
from medcls.training.losses import build_loss
from medcls.training.optimizers import build_optimizer

from .augmentation import compose
from .scale import Measured, Say, Scale, timed

OURS, USUAL, FLOOR = "medcls, from the store", "tutorial, MONAI from files in float32", "ready tensors"
NETWORKS: tuple[tuple[NetworkName, int], ...] = (("densenet121", 2), ("densenet121", 3))
CUDA_NETWORKS: tuple[tuple[NetworkName, int], ...] = (("densenet121", 2), ("resnet50", 3))
READY = 1 / 0.95  # of the time with ready tensors
Step = Callable[[Tensor, Tensor], float]


def training(scale: Scale, say: Say) -> Measured:
    """One step of the network that is asked about, in the number format and layout that medcls takes on this device."""
    rows: list[Row] = []
    everything = {}
    for name, dimensions in CUDA_NETWORKS if scale.device == "cuda" else NETWORKS:
        count, size = scale.batch(dimensions), scale.size(dimensions)
        block = f"training step, {name} {dimensions}-D, {count} images of {' x '.join(map(str, size))}"
        say(f"{block}: making files")
        paths = write_images(scale.folder / f"training-{dimensions}d", 2 * count, dimensions, size[0], scale.seed)
        changes = Augmentation.from_settings("lung", AugmentationSettings())
        assert changes is not None
        data = _prepared(paths, scale, dimensions)
        calls = {
            OURS: _from_store(data, _step(name, dimensions, scale, fast=True), changes, count, scale.device),
            FLOOR: _ready(data, _step(name, dimensions, scale, fast=True), count, scale.device),
            USUAL: _from_files(paths, _step(name, dimensions, scale, fast=False), changes, scale, dimensions),
        }
        figures = timed(scale, calls, say, block)
        for peer, target in ((FLOOR, Target("at most", READY)), (USUAL, Target("at least", 1))):
            rows.append(compare(block, "step", figures, OURS, peer, target=target, floor=FLOOR, clock=scale.clock))
        everything[block] = figures
    return rows, everything


def write_images(folder: Path, count: int, dimensions: int, length: int, seed: int) -> list[Path]:
    """PNG pictures or NIfTI volumes of smooth noise, somewhat larger than the network's input."""
    folder.mkdir(parents=True, exist_ok=True)
    random, paths = np.random.default_rng(seed), []
    side = length * 5 // 4
    for number in range(count):
        coarse = torch.from_numpy(random.random((1, 1, *(12,) * dimensions), dtype=np.float32))
        mode = "bilinear" if dimensions == 2 else "trilinear"
        image = nn.functional.interpolate(coarse, size=(side,) * dimensions, mode=mode)[0, 0].numpy()
        paths.append(folder / f"{number}{'.png' if dimensions == 2 else '.nii.gz'}")
        if dimensions == 2:
            Image.fromarray((image * 255).astype(np.uint8)).save(paths[-1])
        else:
            nibabel.save(nibabel.Nifti1Image((image * 1000).astype(np.int16), np.eye(4)), paths[-1])
    return paths


def _prepared(paths: list[Path], scale: Scale, dimensions: int) -> PreparedDataset:
    settings = PreprocessingSettings(dimensions=dimensions, size=list(scale.size(dimensions)), channels=1)
    recipe = build_recipe("generic", settings)
    outcomes = prepare_many(
        [find_one(path) for path in paths], recipe, PreparedStore(scale.folder / "store"), processes=1
    )
    refused = [one for one in outcomes if not isinstance(one, StoredPrepared)]
    if refused:
        raise refused[0]
    return PreparedDataset([Item(one, (k % 2,)) for k, one in enumerate(outcomes)], labels=2)  # type: ignore[arg-type]


def _step(name: NetworkName, dimensions: int, scale: Scale, *, fast: bool) -> Step:
    """Forward, backward and an optimiser's step; ``fast``: as medcls computes here, else in float32 as a tutorial does."""
    torch.manual_seed(scale.seed)
    settings = TrainSettings(device=scale.device) if fast else TrainSettings(precision="32", channels_last=False)
    compute = choose_compute(settings.model_copy(update={"device": scale.device}), name, dimensions)
    network = (
        build_network(ModelSettings(name=name), dimensions=dimensions, channels=1, classes=2).to(scale.device).train()
    )
    lay_out(network, dimensions, compute.channels_last)
    loss = build_loss(settings, class_weights=None, multilabel=False)
    optimizer = build_optimizer(network, settings, fused=fast)
    layout = memory_format(dimensions, compute.channels_last)
    mixed = compute.precision == "bf16-mixed"

    def step(images: Tensor, targets: Tensor) -> float:
        with torch.autocast(scale.device, dtype=torch.bfloat16) if mixed else nullcontext():
            value = loss(network(images.to(memory_format=layout)), targets)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        return float(value.detach())

    return step


def _from_store(
    data: PreparedDataset, step: Step, changes: Augmentation, count: int, device: str
) -> Callable[[], float]:
    batches = _endless(train_loader(data, batch_size=count, seed=0))
    numbers = itertools.count()

    def call() -> float:
        batch = Batch(*(part.to(device, non_blocking=True) for part in next(batches)))
        return step(changes(batch.images, batch.keys, epoch=next(numbers)), batch.targets)

    return call


def _ready(data: PreparedDataset, step: Step, count: int, device: str) -> Callable[[], float]:
    batch = next(iter(train_loader(data, batch_size=count, seed=0)))
    images, targets = batch.images.to(device), batch.targets.to(device)
    return lambda: step(images, targets)


def _from_files(
    paths: list[Path], step: Step, like: Augmentation, scale: Scale, dimensions: int
) -> Callable[[], float]:
    from monai import transforms
    from monai.data import Dataset

    size = scale.size(dimensions)
    read = transforms.Compose(
        [
            transforms.LoadImage(image_only=True),
            transforms.EnsureChannelFirst(),
            transforms.Resize(size),
            transforms.ScaleIntensity(),
            compose(like, dimensions, size),
        ]
    )
    loader = DataLoader(Dataset([str(path) for path in paths], read), batch_size=scale.batch(dimensions), shuffle=True)
    batches = _endless(loader)
    targets = torch.arange(scale.batch(dimensions), device=scale.device) % 2

    def call() -> float:
        return step(torch.as_tensor(next(batches)).as_subclass(Tensor).to(scale.device), targets)

    return call


def _endless(loader: DataLoader[Any]) -> Iterator[Any]:
    while True:
        yield from loader
