"""Memory of a long inference: what the process holds after fifty scans and after a thousand.

Run as ``python -m bench_data.memory NAME FOLDER SCANS``, it says both for one of the ways.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench_scans.clock import Sample
from bench_scans.table import Figures, Target, compare

from .scale import Measured, Say, Scale

OURS, EARLY, USUAL = "medcls", "medcls, after fifty scans", "tutorial, MONAI from files"
SCANS, SETTLED, PICTURES, SIDE = 1_000, 50, 50, 256


def memory(scale: Scale, say: Say) -> Measured:
    """Resident memory, libraries included: inference must not hold more at its end than after its first fifty scans."""
    from .training import write_images

    block = f"memory of inference, {SCANS:,} pictures of {SIDE} x {SIDE}"
    folder = scale.folder / "memory"
    write_images(folder, PICTURES, 2, SIDE * 4 // 5, scale.seed)
    samples: dict[str, list[Sample]] = {}
    failures: dict[str, str] = {}
    for name in (OURS, USUAL):
        say(f"{block}: {name}")
        early, late, failed = _in_child(name, folder)
        if failed:
            failures[name] = failed
            continue
        samples[name] = [Sample(late, 0.0)]
        if name == OURS:
            samples[EARLY] = [Sample(early, 0.0)]
    figures = Figures(samples, failures)
    rows = [
        compare(block, "resident", figures, OURS, EARLY, target=Target("at most", 1.05), clock="memory"),
        compare(block, "resident", figures, OURS, USUAL, clock="memory"),
    ]
    return rows, {block: figures}


def _in_child(name: str, folder: Path) -> tuple[float, float, str]:
    scripts = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(scripts), str(scripts.parent)])}
    words = [sys.executable, "-m", "bench_data.memory", name, str(folder), str(SCANS)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        return 0.0, 0.0, (done.stderr.strip().splitlines() or ["failed"])[-1]
    early, late = json.loads(done.stdout.splitlines()[-1])
    return early, late, ""


def _ours(paths: list[Path]) -> Iterator[Any]:
    from medcls.classifier.predict import predict_sources
    from medcls.privacy import Pseudonyms
    from medcls.scans import find_one

    from .inference import classifier

    made = classifier("resnet10", 2, Scale(Path(), flat=32))
    yield from predict_sources(made, [find_one(path) for path in paths], Pseudonyms(b"only for measuring" * 2))


def _usual(paths: list[Path]) -> Iterator[Any]:
    import torch
    from monai import transforms
    from monai.data import DataLoader, Dataset
    from monai.networks.nets import resnet10

    steps = [transforms.LoadImage(image_only=True), transforms.EnsureChannelFirst(), transforms.Resize((32, 32))]
    data = Dataset([str(path) for path in paths], transforms.Compose([*steps, transforms.ScaleIntensity()]))
    network = resnet10(spatial_dims=2, n_input_channels=1, num_classes=2).eval()
    with torch.no_grad():
        for batch in DataLoader(data, batch_size=16):
            yield from network(batch).softmax(1)


WAYS: dict[str, Callable[[list[Path]], Iterator[Any]]] = {OURS: _ours, USUAL: _usual}


def _held(name: str, folder: Path, scans: int) -> tuple[int, int]:
    """Resident bytes after fifty scans, and the most of them after that."""
    pictures = sorted(folder.glob("*.png"))
    paths = [pictures[number % len(pictures)] for number in range(scans)]
    early = late = 0
    for number, _ in enumerate(WAYS[name](paths), 1):
        if number == min(SETTLED, scans - 1):
            early = _resident()
        elif number > SETTLED and number % 25 == 0:
            late = max(late, _resident())
    return early, max(late, _resident())


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(json.dumps(_held(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
