"""Ingest: from the files of a CT series to the network's input, beside MONAI's readers and transforms and the least work.

Run as ``python -m bench_data.ingest NAME SERIES TINY_SERIES``, it says the peak memory of one of the ways.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench_scans.clock import Sample
from bench_scans.data import Series, write_series
from bench_scans.table import Figures, Target, compare

from .scale import Measured, Say, Scale, timed

OURS, STORED, FLOOR = "medcls", "medcls, into the store", "read, area in plane, linear between"
PYDICOM, ITK = "MONAI PydicomReader", "MONAI ITKReader"
SPACING, SIZE, WINDOW = 2.0, 96, (-1000, 400)
SLICES, QUICK_SLICES, PIXELS = 120, 24, 512
FACTORS = {PYDICOM: 8.0, ITK: 5.0}
Call = Callable[[], Any]


def ingest(scale: Scale, say: Say) -> Measured:
    """Processor time and peak memory for one series; medcls' recipe is the default one, which also crops to the patient."""
    slices = QUICK_SLICES if scale.repeats < 5 else SLICES
    block = f"ingest of a CT of {slices} slices of {PIXELS} x {PIXELS} to {SIZE}³"
    series = write_series(scale.folder / "ingest-ct", slices=slices, size=PIXELS, seed=scale.seed)
    tiny = write_series(scale.folder / "ingest-tiny", slices=4, size=32, seed=scale.seed)
    with tempfile.TemporaryDirectory(dir=scale.folder) as stores:
        figures = timed(scale, ways(series, Path(stores)), say, block)
    memory = _memory(series, tiny, say)
    rows = []
    for peer, factor in FACTORS.items():
        target = Target("at least", factor)
        rows.append(compare(block, "scan to tensor", figures, OURS, peer, target=target, floor=FLOOR))
        rows.append(compare(block, "scan to store, hashes included", figures, STORED, peer, floor=FLOOR))
        rows.append(compare(block, "peak memory", memory, OURS, peer, floor=FLOOR, clock="memory"))
    return rows, {block: figures, f"{block}, memory": memory}


def ways(series: Series, stores: Path) -> dict[str, Call]:
    """What is measured, by name; imports of peers happen when they are called."""
    return {
        OURS: _medcls(series.folder),
        STORED: _medcls_stored(series.folder, stores),
        FLOOR: _floor(series),
        PYDICOM: _monai("PydicomReader", series.folder),
        ITK: _monai("ITKReader", series.folder),
    }


def _medcls(folder: Path) -> Call:
    from medcls.config.settings import PreprocessingSettings
    from medcls.preprocessing import build_recipe
    from medcls.preprocessing.store.ingest import ingest as prepared
    from medcls.scans import find_scans

    (source,) = find_scans(folder).scans
    recipe = build_recipe("lung", PreprocessingSettings())
    return lambda: prepared(source, recipe).encoded.decoded().images


def _medcls_stored(folder: Path, stores: Path) -> Call:
    from medcls.config.settings import PreprocessingSettings
    from medcls.preprocessing import PreparedStore, build_recipe
    from medcls.scans import find_scans

    (source,) = find_scans(folder).scans
    recipe = build_recipe("lung", PreprocessingSettings())
    numbers = itertools.count()
    return lambda: PreparedStore(stores / str(next(numbers))).get_or_prepare(source, recipe)


def _floor(series: Series) -> Call:
    """The bytes at their known places, a window, an area mean in the plane, linear between the slices: nothing is checked."""
    import torch
    from torch.nn.functional import interpolate

    parts = [(path, *span) for path, span in zip(series.paths, series.spans, strict=True)]
    low, high = WINDOW

    def make() -> Any:
        planes = []
        for path, offset, length in parts:
            with path.open("rb", buffering=0) as handle:
                handle.seek(offset)
                stored = np.frombuffer(handle.read(length), series.dtype).reshape(1, 1, series.size, series.size)
            plane = torch.from_numpy(stored.astype(np.float32))
            planes.append(interpolate(plane, size=(SIZE, SIZE), mode="area")[0, 0])
        volume = torch.stack(planes)[None, None]
        volume = interpolate(volume, size=(SIZE,) * 3, mode="trilinear", align_corners=False)
        return ((volume + series.intercept - low) / (high - low)).clamp_(0, 1)

    return make


def _monai(reader: str, folder: Path) -> Call:
    """The pipeline of MONAI's tutorials."""
    made: list[Any] = []

    def make() -> Any:
        if not made:
            from monai import transforms

            steps = [
                transforms.LoadImage(reader=reader, image_only=True),
                transforms.EnsureChannelFirst(),
                transforms.Spacing(pixdim=(SPACING,) * 3, mode="bilinear"),
                transforms.Resize((SIZE,) * 3, mode="trilinear"),
                transforms.ScaleIntensityRange(*WINDOW, 0.0, 1.0, clip=True),
            ]
            made.append(transforms.Compose(steps))
        return made[0](str(folder))

    return make


def _memory(series: Series, tiny: Series, say: Say) -> Figures:
    """Peak resident memory above what the process had before, each way in a process of its own."""
    samples: dict[str, list[Sample]] = {}
    failures: dict[str, str] = {}
    scripts = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(scripts), str(scripts.parent)])}
    for name in (OURS, FLOOR, PYDICOM, ITK):
        say(f"peak memory: {name}")
        words = [sys.executable, "-m", "bench_data.ingest", name, str(series.folder), str(tiny.folder)]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            failures[name] = (done.stderr.strip().splitlines() or ["failed"])[-1]
            continue
        taken = json.loads(done.stdout.splitlines()[-1])
        samples[name] = [Sample(taken, 0.0)]
    return Figures(samples, failures)


def _peak(name: str, folder: Path, tiny: Path) -> int:
    """Bytes above the base while a series is prepared, once a tiny one has warmed everything up."""
    warm = ways(Series.load(tiny), Path())[name]
    warm()
    measured = ways(Series.load(folder), Path())[name]
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak so far is forgotten
    before = _status("VmRSS")
    measured()
    return max(0, _status("VmHWM") - before)


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


if __name__ == "__main__":
    print(json.dumps(_peak(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
