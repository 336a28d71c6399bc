"""What a run of a benchmark says of itself: machine, versions, revision; and everything it measured, as JSON."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .table import Figures, Row

REPOSITORY = Path(__file__).resolve().parent.parent.parent
QUIET_LOAD = 0.3
"""Above this load at the start the machine is busy, and no figure is to be trusted."""


@contextlib.contextmanager
def bound(core: int) -> Iterator[None]:
    """Keep this process and those that it starts on one core: processor time says more where nothing moves about."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def machine(load: float) -> dict[str, Any]:
    """Processor, cores, memory, system, Python, and the load when the run began."""
    model = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "cpu": model or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_at_start": load,
    }


def versions(libraries: Sequence[str]) -> dict[str, str]:
    """Those of the libraries that are installed."""
    found = {}
    for name in libraries:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def revision() -> str:
    """The commit, and whether files differ from it."""
    words = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--abbrev=12"]
    with contextlib.suppress(OSError):
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    return ""


def as_json(figures: Mapping[str, Figures], rows: Sequence[Row], about: Mapping[str, Any]) -> str:
    """Every repeat of everything, with what is said about the run."""
    measured = {
        block: {
            "samples": {name: [asdict(sample) for sample in given] for name, given in one.samples.items()},
            "failures": dict(one.failures),
        }
        for block, one in figures.items()
    }
    return json.dumps({**about, "rows": [asdict(row) for row in rows], "measured": measured}, indent=1)
