"""Nothing waits for what never comes: pipes in the place of files are refused, and a stalled file costs its own patience."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medcls.bounded import open_regular
from medcls.errors import ScanRefused
from medcls.preprocessing.store.leases import held
from medcls.scans import find_scans, inspect_scans, read_scan
from medcls.scans.archive import exists, file_stat, is_regular, open_file, read_file
from medcls.scans.search.probe_many import probe_many
from medcls.scans.workers import pool
from tests.factories.dicom import instance, save, save_all, slices

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")

WITHOUT_PREAMBLE = b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100"  # nothing but a worker looks at such a file


def pair(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Pair(np.ones((4, 5, 6), np.int16), np.eye(4)), folder / "a.img")
    return folder


def packed(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 5, 6), np.int16), np.eye(4)), folder / "a.nii.gz")
    return folder


def detached(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    header = "ObjectType = Image\nNDims = 3\nDimSize = 4 5 6\nElementSpacing = 1 1 1\nElementType = MET_SHORT\n"
    (folder / "a.mhd").write_text(f"{header}ElementDataFile = a.raw\n")
    (folder / "a.raw").write_bytes(bytes(240))
    return folder


def series(folder: Path) -> Path:
    save_all(slices([0, 2, 4]), folder)
    return folder


def become_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.fixture
def impatient(monkeypatch):
    """Nobody waits for a worker: where one would be waited for until its patience ends, the test fails at once."""
    ready = pool._ready

    def waited(descriptor, seconds):
        assert ready(descriptor, min(seconds, 60)), "a worker hangs"
        return True

    monkeypatch.setattr(pool, "_ready", waited)


@pytest.mark.parametrize(("make", "voxels"), [(pair, "a.img"), (detached, "a.raw")])
def test_a_pipe_in_the_place_of_a_headers_voxels_refuses_the_header(tmp_path, impatient, make, voxels):
    if make is detached:
        pytest.importorskip("SimpleITK")
    folder = make(tmp_path / "scans")
    assert [scan.shape for scan in find_scans(folder).scans] == [(4, 5, 6)]
    become_a_pipe(folder / voxels)
    seen = inspect_scans(folder, read_pixels=True)
    assert not seen.rows
    reasons = {item.name: item.reason for item in seen.refused}
    assert all("no regular file" in reason for reason in reasons.values())
    assert set(reasons) == {voxels, "a.hdr" if make is pair else "a.mhd"}


@pytest.mark.parametrize("make", [pair, packed, detached, series])
def test_files_that_become_pipes_after_they_were_found_are_refused(tmp_path, impatient, make):
    if make is detached:
        pytest.importorskip("SimpleITK")
    (source,) = find_scans(make(tmp_path / "scans")).scans
    for path in source.paths:
        become_a_pipe(path)
    with pytest.raises(ScanRefused, match="regular file"):
        read_scan(source)


def test_files_that_become_pipes_between_the_walk_and_the_look_are_refused(tmp_path, impatient):
    bare = tmp_path / "bare"
    bare.write_bytes(WITHOUT_PREAMBLE)
    os.mkfifo(tmp_path / "pipe")
    found = dict(probe_many([str(bare), str(tmp_path / "pipe")]))
    assert "named pipe" in found[str(tmp_path / "pipe")].refused.what


@pytest.mark.parametrize("read", [open_file, read_file, file_stat, open_regular])
def test_no_way_of_opening_waits_for_a_pipe(tmp_path, read):
    os.mkfifo(tmp_path / "x")
    with pytest.raises(OSError, match="named pipe"):
        read(tmp_path / "x")
    assert exists(tmp_path / "x")
    assert not is_regular(tmp_path / "x")


def test_a_pipe_among_the_keys_of_a_store_holds_nothing(tmp_path):
    (tmp_path / "running").mkdir()
    os.mkfifo(tmp_path / "running" / "1-a.keys")
    (tmp_path / "running" / "1-b.keys").write_bytes(b"\xff\xfe")
    assert held(tmp_path) == set()


STALLING = """
import os
from medcls.scans.probe import probe
from medcls.scans.sandbox import worker

right = probe._probe
def stalled(path):
    if "stall" in os.path.basename(path):
        os.mkfifo(path + ".pipe")
        open(path + ".pipe", "rb")
    return right(path)
probe._probe = stalled
worker.main()
"""


def test_systems_that_cannot_wait_for_a_pipe_end_the_worker_in_time(monkeypatch):
    monkeypatch.delattr(pool.select, "poll")
    worker = pool.Worker()
    assert worker.ask({"job": "look", "paths": []}, 60)["looks"] == []
    os.kill(worker._process.pid, signal.SIGSTOP)
    with pytest.raises(pool.Died) as caught:
        worker.ask({"job": "look", "paths": []}, 0.01)
    assert caught.value.slow


def test_a_file_that_stalls_costs_its_own_patience_once(tmp_path, monkeypatch):
    script, folder = tmp_path / "worker.py", tmp_path / "scans"
    script.write_text(STALLING)
    for number in range(6):
        good = save(instance(SOPInstanceUID=f"1.{number}", SeriesInstanceUID=f"2.{number}"), folder / f"good{number}")
        good.write_bytes(good.read_bytes()[132:])
    for name in ("a_stall", "good3_stall"):
        shutil.copy(folder / "good0", folder / name)
    popen, ready, waited = subprocess.Popen, pool._ready, []

    def start(command, **options):
        return popen([sys.executable, "-P", str(script), *command[4:]], **options)

    def until_it_stalls(descriptor, seconds):
        while not ready(descriptor, 0.02):
            stalled = [path for path in folder.glob("*.pipe") if path not in waited]
            if stalled and not ready(descriptor, 0):
                waited.extend(stalled)
                return False  # as when the time is over
        return True

    monkeypatch.setattr(pool.subprocess, "Popen", start)
    monkeypatch.setattr(pool, "_ready", until_it_stalls)
    pool.workers.end()
    paths = sorted(str(path) for path in folder.iterdir())
    found = dict(probe_many(paths))
    pool.workers.end()
    assert [path.name for path in waited] == ["a_stall.pipe", "good3_stall.pipe"]
    refused = {Path(path).name: probed.refused.what for path, probed in found.items() if probed.refused}
    assert refused == dict.fromkeys(("a_stall", "good3_stall"), "decoding it takes longer than any honest scan")
    assert sum(len(probed.frames) for probed in found.values()) == 6
