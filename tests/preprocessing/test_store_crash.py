"""The store under kill -9, under several writers, and with more in it than memory."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from medcls.config.settings import PreprocessingSettings
from medcls.preprocessing import PreparedStore, StoredPrepared, build_recipe, prepare_many
from medcls.preprocessing.store.store import _known
from medcls.scans import read_scan
from tests.conftest import REPOSITORY
from tests.factories.scans import FileSource, picture

torch.set_num_threads(1)

RECIPE = build_recipe("generic", PreprocessingSettings(size=[96, 96]))
_WRITE = """
import os, sys
sys.path.insert(0, {repository!r})
from tests.preprocessing.test_store_crash import RECIPE, FileSource, Path, PreparedStore, prepare_many
sources = [FileSource(f"s{{k}}", (Path({folder!r}) / f"s{{k}}.npy",)) for k in range({count})]
print("ready", flush=True)
while True:
    outcomes = prepare_many(sources, RECIPE, PreparedStore({store!r}, limit={limit}), processes=1)
    assert all(outcome.view(0).shape == (3, 96, 96) for outcome in outcomes)
    if {once}:
        break
    for path in Path({store!r}).glob("??/*"):
        path.unlink(missing_ok=True)
"""


def writer(tmp_path: Path, count: int, *, once: bool, limit: int | None = None) -> subprocess.Popen[str]:
    store = str(tmp_path / "store")
    code = _WRITE.format(
        repository=str(REPOSITORY), folder=str(tmp_path), store=store, count=count, once=once, limit=limit
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def sources_in(folder: Path, count: int) -> list[FileSource]:
    return [FileSource.save(folder, f"s{k}", picture((90, 100), channels=3, seed=k).array) for k in range(count)]


def whole(store: PreparedStore, sources: list[FileSource]) -> None:
    """Every entry that is there is the right one, all can be had, and nothing else is about but what is swept."""
    for source in sources:
        there = store.find(source, RECIPE)
        if there is not None:
            assert np.array_equal(there.read().images, RECIPE.prepare(read_scan(source)).images)
    outcomes = prepare_many(sources, RECIPE, store)
    assert all(isinstance(outcome, StoredPrepared) for outcome in outcomes)
    for source, outcome in zip(sources, outcomes, strict=True):
        assert np.array_equal(outcome.read().images, RECIPE.prepare(read_scan(source)).images)  # type: ignore[union-attr]


@pytest.mark.slow
def test_killed_at_any_moment_the_store_is_whole(tmp_path: Path) -> None:
    sources, chance = sources_in(tmp_path, 6), random.Random(0)
    store = PreparedStore(tmp_path / "store")
    for _ in range(12):
        process = writer(tmp_path, 6, once=False)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        until = time.monotonic() + chance.uniform(0.0, 1.2)
        while time.monotonic() < until and process.poll() is None:
            pass
        assert process.poll() is None, process.communicate()[1]
        process.kill()
        process.wait()
        _known.cache_clear()
        whole(store, sources)
    store.clear()
    left = {path.name for path in store.folder.rglob("*") if path.is_file() and path.parent.name != "running"}
    assert left <= {"store.lock", "known.key"}


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    sources = sources_in(tmp_path, 8)
    processes = [writer(tmp_path, 8, once=True, limit=limit) for limit in (None, 10**9, 100_000)]
    for process in processes:
        _, said = process.communicate()
        assert process.returncode == 0, said
    store = PreparedStore(tmp_path / "store")
    assert store.size().entries == 8
    whole(store, sources)
    assert not list(store.folder.glob("??/.*"))


_READ = """
import sys
sys.path.insert(0, {repository!r})
import resource
import numpy as np
from medcls.preprocessing.store.entry import read_entry
from pathlib import Path
entries = [read_entry(path) for path in sorted(Path({store!r}).glob("??/*.safetensors"))]
total = sum(entry.path.stat().st_size for entry in entries)
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
_, hard = resource.getrlimit(resource.RLIMIT_AS)
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + total // 4, hard))
seen = 0.0
for _ in range(2):
    for entry in entries:
        for index in range(entry.views):
            seen += float(entry.codes(index)[0, 0, 0])
            entry.view(index)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(total, peak - base)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is measured through /proc")
def test_a_cohort_larger_than_the_memory_that_is_allowed_is_read(tmp_path: Path) -> None:
    large = build_recipe("generic", PreprocessingSettings(size=[1024, 1024]))
    store = PreparedStore(tmp_path / "store")
    rng = np.random.default_rng(0)
    for number in range(24):
        array = rng.integers(0, 256, (3, 1024, 1024), dtype=np.uint8)
        store.get_or_prepare(FileSource.save(tmp_path, f"s{number}", array), large)
    code = _READ.format(repository=str(REPOSITORY), store=str(store.folder))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    total, more = map(int, done.stdout.split())
    assert total > 24 * 3 * 1024 * 1024
    assert more < total / 3
