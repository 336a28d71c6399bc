"""Voxels that a worker hands over stay as they are for as long as anybody has them; then their memory is used again."""

from __future__ import annotations

import gc
import os
import socket

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcls import wire
from medcls.errors import ScanRefused
from medcls.scans import find_scans, read_scan
from medcls.scans.sandbox import worker
from medcls.scans.workers import pool

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the system cannot share memory in this way")

SHAPES = [(30, 40, 5), (30, 40, 5), (31, 40, 5), (30, 40, 9), (4, 5, 6)]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Packed volumes, each filled with its own number; the last one's file is damaged."""
    folder = tmp_path_factory.mktemp("packed")
    for number, shape in enumerate([*SHAPES, (30, 40, 5)]):
        volume = np.full(shape, number + 1, np.int16)
        nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), folder / f"{number}.nii.gz")
    found = list(find_scans(folder).scans)
    path = folder / f"{len(SHAPES)}.nii.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + b"x" + whole[-8:])
    return found


@pytest.fixture(autouse=True)
def new_workers():
    pool.workers.end()
    yield
    pool.workers.end()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SHAPES)), st.integers(0, 3)), min_size=2, max_size=12))
def test_whatever_is_kept_and_let_go_of(sources, steps):
    held = []
    for number, letting_go in steps:
        if number < len(SHAPES):
            array = read_scan(sources[number]).array
            assert array.shape[1:] == SHAPES[number]
            held.append((array[:, 1:], number + 1))  # a view alone keeps its memory
            del array
        else:
            with pytest.raises(ScanRefused, match="damaged"):
                read_scan(sources[number])
        del held[:letting_go]
        for view, value in held:
            assert (view == value).all()


def test_the_memory_of_voxels_that_are_gone_is_used_again(sources, monkeypatch):
    files = []
    receive = socket.recv_fds

    def recorded(*arguments):
        answer = receive(*arguments)
        files.extend(os.fstat(descriptor).st_ino for descriptor in answer[1])
        return answer

    monkeypatch.setattr(pool.socket, "recv_fds", recorded)
    kept = read_scan(sources[0])
    read_scan(sources[1])
    read_scan(sources[0])
    with pytest.raises(ScanRefused):
        read_scan(sources[-1])
    other = read_scan(sources[2])
    assert (kept.array == 1).all()
    assert (other.array == 3).all()
    assert len(files) == 4
    assert files[0] not in files[1:]
    assert files[1] == files[2]


def test_what_a_forked_process_still_has_is_left_to_it(sources):
    array = read_scan(sources[0]).array
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        os.read(told, 1)
        os._exit(0 if (array == 1).all() else 1)
    del array
    gc.collect()
    assert (read_scan(sources[1]).array == 2).all()
    os.write(tell, b"!")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for descriptor in (told, tell):
        os.close(descriptor)


def test_free_memory_serves_one_array_only():
    shared = worker._Shared(worker._Pages(1000))
    arrays = [shared.empty((size,), np.dtype(np.uint8)) for size in (900, 900, 1000)]
    for number, array in enumerate(arrays):
        array[:] = number
    assert [int(array.max()) for array in arrays] == [0, 1, 2]
    assert shared.free is None


TAKEN_OVER = """
import mmap, os, sys, tempfile
from medcls.scans.sandbox import codec, worker

def unsealed(name, size):
    descriptor = os.memfd_create(name)
    os.ftruncate(descriptor, size)
    return descriptor

def a_file(name, size):
    descriptor = tempfile.mkstemp()[0]
    os.ftruncate(descriptor, size)
    return descriptor

real_send, real_memory, real_scan = worker.socket.send_fds, worker.new_memory, codec.scan_to_json
def too_small(channel, data, descriptors):
    return real_send(channel, data, [real_memory("small", 1)])

deed = sys.argv.pop()
if deed == "unsealed": worker.new_memory = unsealed
if deed == "a file": worker.new_memory = a_file
if deed == "too small": worker.socket.send_fds = too_small
if deed == "nothing": worker.socket.send_fds = lambda channel, data, descriptors: channel.send(b"v")
if deed == "no scan": codec.scan_to_json = lambda scan: {}
if deed == "objects": codec.scan_to_json = lambda scan: {**real_scan(scan), "dtype": "|O"}
if deed == "a huge shape": codec.scan_to_json = lambda scan: {**real_scan(scan), "shape": [1, 1 << 40, 2, 2]}
worker.main()
"""


@pytest.mark.parametrize("deed", ["unsealed", "a file", "too small", "nothing", "no scan", "objects", "a huge shape"])
def test_what_a_worker_that_was_taken_over_hands_over_costs_its_own_scan(sources, tmp_path, monkeypatch, deed):
    script = tmp_path / "worker.py"
    script.write_text(TAKEN_OVER)
    popen = pool.subprocess.Popen

    def start(command, **options):
        return popen([command[0], "-P", str(script), *command[4:], deed], **options)

    with monkeypatch.context() as patched:
        patched.setattr(pool.subprocess, "Popen", start)
        with pytest.raises(ScanRefused, match="makes the decoder answer nonsense") as caught:
            read_scan(sources[0])
    assert (caught.value.code, caught.value.where) == ("damaged", sources[0].name)
    assert (read_scan(sources[0]).array == 1).all()


def test_neither_side_can_take_shared_memory_away():
    given = wire.new_memory("x", 1000)
    try:
        for size in (10, 2000):
            with pytest.raises(PermissionError):
                os.ftruncate(given, size)
        wire.check_memory(given, 1000)
        with pytest.raises(OSError, match="taken away"):
            wire.check_memory(given, 1001)
    finally:
        os.close(given)


def test_the_memory_that_codestreams_go_through_is_sealed(monkeypatch):
    made = []
    monkeypatch.setattr(pool, "new_memory", lambda *one: made.append(os.dup(wire.new_memory(*one))) or os.dup(made[-1]))
    with pool.workers.one() as one:
        one.shared(5000, 60)
    wire.check_memory(made[0], 5000)
    os.close(made[0])
