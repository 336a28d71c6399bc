"""The prepared store: reading views back beside other ways to keep them, their size, and a start on a known cohort."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_scans.clock import Sample
from bench_scans.table import Figures, Target, compare

from medcls.config.settings import PreprocessingSettings
from medcls.preprocessing import PreparedStore, Recipe, StoredPrepared, build_recipe, prepare_many
from medcls.scans import find_scans
from medcls.scans.core.source import ScanSource

from .scale import Measured, Say, Scale, timed

OURS, MONAI, FLOOR = "medcls store", "MONAI PersistentDataset", "uint8 tensors in memory"
MAPPED = "memory-mapped .npy, float32"
START, USUAL_START = "medcls, second start", "SHA-256 of every file"
VOXELS, QUICK_VOXELS, VOLUMES = 112, 64, 12
Call = Callable[[], Any]


def store(scale: Scale, say: Say) -> Measured:
    """All views of a few volumes as float32 tensors, bytes of a volume, and how long a start takes that finds everything."""
    voxels = QUICK_VOXELS if scale.repeats < 5 else VOXELS
    block = f"prepared store, {VOLUMES} volumes of {voxels}³"
    kept = _kept(scale, voxels)
    calls: dict[str, Call] = {
        OURS: lambda: [torch.from_numpy(one.view(0)) for one in kept.stored],
        MONAI: kept.persistent(),
        MAPPED: kept.mapped(),
        FLOOR: kept.in_memory(),
    }
    figures = timed(scale, calls, say, block)
    rows = [
        compare(block, "read as float32", figures, OURS, MONAI, floor=FLOOR),
        compare(block, "read as float32", figures, OURS, MAPPED, floor=FLOOR),
        compare(block, "read as float32", figures, OURS, FLOOR, target=Target("at most", 2), floor=FLOOR),
    ]
    sizes = kept.sizes()
    rows += [compare(block, "bytes of a volume", sizes, OURS, peer, clock="memory") for peer in (MONAI, MAPPED)]
    starts = timed(scale, {START: kept.start(), USUAL_START: kept.hash_all()}, say, f"{block}: start")
    rows.append(compare(block, "start on a known cohort", starts, START, USUAL_START, target=Target("at least", 10)))
    return rows, {block: figures, f"{block}, bytes": sizes, f"{block}, start": starts}


@dataclass(frozen=True)
class _Kept:
    """Volumes that were prepared, kept in every way that is compared."""

    folder: Path
    sources: tuple[ScanSource, ...]
    recipe: Recipe
    stored: tuple[StoredPrepared, ...]

    @property
    def _arrays(self) -> list[Path]:
        return sorted(self.folder.glob("*.npy"))

    @property
    def _store(self) -> PreparedStore:
        return PreparedStore(self.folder / "store")

    def start(self) -> Call:
        return lambda: prepare_many(self.sources, self.recipe, self._store)

    def hash_all(self) -> Call:
        return lambda: [hashlib.sha256(path.read_bytes()).digest() for one in self.sources for path in one.paths]

    def mapped(self) -> Call:
        return lambda: [torch.from_numpy(np.array(np.load(path, mmap_mode="r"))) for path in self._arrays]

    def in_memory(self) -> Call:
        held = [torch.from_numpy(one.codes(0).copy()) for one in self.stored]
        return lambda: [one.to(torch.float32).mul_(1 / 255) for one in held]

    def persistent(self) -> Call:
        """MONAI's cache of a transform's results: pickles, one a volume."""
        made: list[Any] = []

        def read() -> Any:
            if not made:
                from monai.data import PersistentDataset
                from monai.transforms import LoadImage

                items = [str(path) for path in self._arrays]
                load = LoadImage(reader="NumpyReader", image_only=True)
                made.append(PersistentDataset(items, load, cache_dir=self.folder / "monai"))
                _ = [made[0][index] for index in range(len(items))]
            return [made[0][index] for index in range(len(made[0]))]

        return read

    def sizes(self) -> Figures:
        """Mean bytes of a volume, as :class:`Figures` carry memory."""
        files = {
            OURS: [one.path for one in self.stored],
            MAPPED: self._arrays,
            MONAI: sorted((self.folder / "monai").glob("*.pt")),
        }
        means = {
            name: float(np.mean([path.stat().st_size for path in paths])) for name, paths in files.items() if paths
        }
        return Figures({name: [Sample(mean, 0.0)] for name, mean in means.items()}, {})


def _kept(scale: Scale, voxels: int) -> _Kept:
    """CT-like volumes as NIfTI, prepared into a store, and as float32 arrays beside it."""
    import nibabel

    folder = scale.folder / "store"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(scale.seed)
    for number in range(VOLUMES):
        values = rng.normal(-300, 400, (voxels,) * 3).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 2.0, 2.0, 1.0])), folder / f"scan{number:02d}.nii")
    steps = {"crop_foreground": False}
    settings = PreprocessingSettings.model_validate({"size": [voxels] * 3, "steps": steps})
    recipe, sources = build_recipe("lung", settings), find_scans(folder).scans
    outcomes = prepare_many(sources, recipe, PreparedStore(folder / "store"), processes=1)
    stored = tuple(one for one in outcomes if isinstance(one, StoredPrepared))
    for number, one in enumerate(stored):
        np.save(folder / f"values{number:02d}.npy", one.view(0))
    return _Kept(folder, sources, recipe, stored)
