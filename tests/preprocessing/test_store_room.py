"""The store's limit, who holds what, the verb that shows it, and what is known of files without reading them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from medcls.cli.app import app
from medcls.config.settings import PreprocessingSettings, StoreSettings
from medcls.errors import ScanRefused
from medcls.preprocessing import PreparedStore, StoredPrepared, build_recipe, prepare_many
from medcls.preprocessing.store import digest_cache as known_content
from medcls.preprocessing.store.store import _known
from tests.conftest import REPOSITORY
from tests.factories.scans import FileSource, picture

torch.set_num_threads(1)

RECIPE = build_recipe("generic", PreprocessingSettings(size=[64, 64]))
_OLD_S = 3600


@pytest.fixture
def store(tmp_path: Path) -> PreparedStore:
    return PreparedStore(tmp_path / "store")


def save(folder: Path, seed: int, *, old: bool = True) -> FileSource:
    source = FileSource.save(folder, f"s{seed}", picture((64, 64), channels=3, seed=seed).array)
    if old:  # the time of a change is long past, as of every file but those of this second
        os.utime(source.paths[0], (1_600_000_000, 1_600_000_000))
    return source


def made_elsewhere(store: PreparedStore, sources: list[FileSource], *, then: str = "") -> subprocess.Popen[str]:
    """Another process prepares scans, says so, and goes on with ``then``."""
    code = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
from tests.preprocessing.test_store_room import RECIPE, FileSource, Path, PreparedStore, prepare_many
sources = [FileSource(n, (Path(p),)) for n, p in {[(s.name, str(s.paths[0])) for s in sources]!r}]
stored = prepare_many(sources, RECIPE, PreparedStore({str(store.folder)!r}), processes=1)
print("done", flush=True)
{then}
"""
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def running(tmp_path: Path, store: PreparedStore) -> Iterator[tuple[list[FileSource], subprocess.Popen[str]]]:
    """Three scans that a process has prepared and still works with."""
    sources = [save(tmp_path, seed) for seed in range(3)]
    with made_elsewhere(store, sources, then="sys.stdin.read(); [one.view(0) for one in stored]") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        yield sources, process
        process.kill()


def used_at(stored: StoredPrepared, hours_ago: float) -> None:
    then = time.time() - hours_ago * 3600
    os.utime(stored.path, (then, then))


def test_entries_used_longest_ago_make_room(tmp_path: Path, store: PreparedStore) -> None:
    sources = [save(tmp_path, seed) for seed in range(4)]
    made_elsewhere(store, sources).communicate()
    stored = [store.find(source, RECIPE) for source in sources]
    for hours, one in zip((5, 50, 2, 20), stored, strict=True):
        assert one is not None
        used_at(one, hours)
    store.find(sources[3], RECIPE)  # used again, so now the newest
    each = store.size().bytes // 4
    removed = store.trim(2 * each + 100)
    assert (removed.entries, removed.kept) == (2, 0)
    assert [store.find(source, RECIPE) is not None for source in sources] == [False, False, True, True]
    assert store.size().bytes <= 2 * each + 100


def test_what_a_running_process_works_with_stays(
    tmp_path: Path, store: PreparedStore, running: tuple[list[FileSource], subprocess.Popen[str]]
) -> None:
    sources, process = running
    other = save(tmp_path, 9)
    made_elsewhere(store, [other]).communicate()
    removed = store.trim(0)
    assert (removed.entries, removed.kept) == (1, 3)
    assert all(store.find(source, RECIPE) for source in sources)
    assert store.find(other, RECIPE) is None
    assert store.clear().kept == 3
    process.communicate("go on")
    assert process.returncode == 0  # it could still read every view


def test_a_killed_process_holds_nothing(
    store: PreparedStore, running: tuple[list[FileSource], subprocess.Popen[str]]
) -> None:
    running[1].kill()
    running[1].wait()
    assert store.trim(0).entries == 3
    assert not list((store.folder / "running").glob("*.keys"))


def test_a_run_keeps_its_own_entries_though_it_goes_over_the_limit(tmp_path: Path) -> None:
    old = save(tmp_path, 99)
    folder = tmp_path / "store"
    made_elsewhere(PreparedStore(folder), [old]).communicate()
    limited = PreparedStore(folder, limit=30_000)
    sources = [save(tmp_path, seed) for seed in range(5)]
    outcomes = prepare_many(sources, RECIPE, limited)
    assert all(isinstance(outcome, StoredPrepared) and outcome.view(0).shape == (3, 64, 64) for outcome in outcomes)
    assert limited.find(old, RECIPE) is None
    assert limited.size().entries == 5


def test_a_cohort_grows_and_only_what_is_new_is_prepared(
    tmp_path: Path, store: PreparedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [save(tmp_path, seed) for seed in range(3)]
    prepare_many(sources, RECIPE, store)
    read: list[str] = []
    real = FileSource.read
    monkeypatch.setattr(FileSource, "read", lambda self, **how: (read.append(self.name), real(self, **how))[1])
    prepare_many([*sources, save(tmp_path, 7)], RECIPE, store)
    assert read == ["s7"]
    assert store.size().entries == 4


def test_an_unchanged_cohort_is_not_hashed_again_nor_its_entries_read(
    tmp_path: Path, store: PreparedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [save(tmp_path, seed) for seed in range(4)]
    first = prepare_many(sources, RECIPE, store)
    wait_for_the_clock(sources)
    prepare_many(sources, RECIPE, store)
    _known.cache_clear()  # as a new process
    hashed: list[str] = []
    real = known_content.content_digest
    monkeypatch.setattr(known_content, "content_digest", lambda source: (hashed.append(source.name), real(source))[1])
    monkeypatch.setattr(StoredPrepared, "codes", lambda self, index: pytest.fail("a view was read"))
    assert prepare_many(sources, RECIPE, store) == first
    assert hashed == []
    changed = save(tmp_path, 2, old=False)
    np.save(changed.paths[0], picture((64, 64), channels=3, seed=77).array)
    os.utime(changed.paths[0], (1_600_000_000, 1_600_000_000))  # same size, same date
    outcomes = prepare_many(sources, RECIPE, store)
    assert hashed == ["s2"]
    assert isinstance(outcomes[2], StoredPrepared)
    assert outcomes[2].content != first[2].content  # type: ignore[union-attr]


def wait_for_the_clock(sources: list[FileSource]) -> None:
    """Until a file that changed now would get another time; a condition, not a fixed rest."""
    newest = max(source.paths[0].stat().st_ctime_ns for source in sources)
    while time.time_ns() - newest < known_content._FINE_CLOCK + 1:
        pass


def test_a_file_of_this_very_moment_is_not_believed(tmp_path: Path, store: PreparedStore) -> None:
    source = save(tmp_path, 0, old=False)
    now = time.time_ns() + 10**9
    os.utime(source.paths[0], ns=(now, now))
    store.find(source, RECIPE)
    assert not (store.folder / known_content.NAME).exists()


def test_a_damaged_list_of_known_files_costs_time_and_nothing_else(tmp_path: Path, store: PreparedStore) -> None:
    sources = [save(tmp_path, seed) for seed in range(3)]
    wait_for_the_clock(sources)
    first = prepare_many(sources, RECIPE, store)
    log = store.folder / known_content.NAME
    whole = log.read_bytes()
    assert whole.count(b"\n") == 3
    for broken in (whole[:-30], whole.replace(whole[5:9], b"beef", 1), b"\xff\x00" * 50, whole[:70] + whole, b""):
        log.write_bytes(broken)
        _known.cache_clear()
        assert prepare_many(sources, RECIPE, store) == first


def test_a_missing_file_is_refused_and_known_ones_are_not(tmp_path: Path, store: PreparedStore) -> None:
    sources = [save(tmp_path, 0), FileSource("gone", (tmp_path / "gone.npy",))]
    outcomes = prepare_many(sources, RECIPE, store)
    assert isinstance(outcomes[0], StoredPrepared)
    assert isinstance(outcomes[1], ScanRefused)
    assert outcomes[1].code == "unreadable"


def test_the_verb_shows_trims_and_clears(tmp_path: Path, store: PreparedStore) -> None:
    made_elsewhere(store, [save(tmp_path, seed) for seed in range(3)]).communicate()
    runner, folder = CliRunner(), ["--folder", str(store.folder)]
    shown = json.loads(runner.invoke(app, ["store", *folder, "--json"]).output)
    assert shown == {"folder": str(store.folder), "entries": 3, "bytes": store.size().bytes}
    assert f"3 prepared scans, {shown['bytes'] / 1000:.1f} kB, in" in runner.invoke(app, ["store", *folder]).output
    trimmed = json.loads(runner.invoke(app, ["store", *folder, "--limit", str(shown["bytes"] - 1), "--json"]).output)
    assert (trimmed["entries"], trimmed["removed"]["entries"]) == (2, 1)
    assert "Removed 2 prepared scans" in runner.invoke(app, ["store", *folder, "--clear"]).output
    assert store.size().entries == 0
    refused = runner.invoke(app, ["store", *folder, "--limit", "much"])
    assert refused.exit_code == 2
    assert "50 GB" in refused.output


@pytest.mark.parametrize(
    ("text", "count"), [("50 GB", 50 * 10**9), ("1.5tb", 15 * 10**11), ("2 MiB", 2 << 20), ("1000", 1000), (None, None)]
)
def test_limits_are_written_as_people_do(text: str | None, count: int | None) -> None:
    assert StoreSettings(limit=text).limit_bytes == count


@pytest.mark.parametrize("text", ["", "GB", "-1 GB", "fifty", "5 potatoes"])
def test_other_limits_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="number and a unit"):
        StoreSettings(limit=text)


def test_a_line_that_who_cannot_read_the_secret_wrote_is_not_believed(tmp_path: Path, store: PreparedStore) -> None:
    """It would serve the prepared scan of one file for another one."""
    sources = [save(tmp_path, seed) for seed in range(2)]
    first = prepare_many(sources, RECIPE, store)
    wait_for_the_clock(sources)
    _known.cache_clear()
    prepare_many(sources, RECIPE, store)
    log = store.folder / known_content.NAME
    bodies = [bytes.fromhex(line.decode())[:64] for line in log.read_bytes().split()]
    assert len(bodies) == 2
    swapped = [bodies[0][:32] + bodies[1][32:], bodies[1][:32] + bodies[0][32:]]
    log.write_bytes(b"\n".join((body + known_content._check(body, bytes(32))).hex().encode() for body in swapped))
    _known.cache_clear()
    assert prepare_many(sources, RECIPE, store) == first
