"""A worker: takes jobs from its standard input, answers on its standard output, until the input ends.

Before each file it limits its own processor time and memory, so that the system ends it when a decoder runs wild.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import signal
import socket
import sys
import weakref
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from medcls.errors import ScanRefused
from medcls.offspring import end_with
from medcls.scans.core.guard import refusing
from medcls.scans.core.leniency import Leniency
from medcls.scans.core.limits import LOOK_BYTES, LOOK_SECONDS, read_bytes, read_seconds
from medcls.scans.core.refusals import refusal_to_json
from medcls.scans.core.voxel_memory import providing
from medcls.scans.sandbox import codec
from medcls.wire import new_memory, receive, send

Voxels = NDArray[np.generic]
_SPENT_BYTES = 400 * 2**20

_MOST_KEPT = 2**27
"""Bytes of voxels whose memory is kept for the next scan."""


def main() -> None:
    """Serve until the other side is gone."""
    end_with(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the user's Ctrl-C is for the process that asked
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # what decoders print would garble the answers
        os.dup2(nowhere, descriptor)
    channel = socket.socket(fileno=int(sys.argv[2])) if len(sys.argv) > 2 else None
    jobs = sys.stdin.buffer
    memory, last = None, None
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            job = receive(jobs)
            with contextlib.suppress(OSError):
                os.chdir(job["folder"])  # paths may be relative
            if job["job"] == "look":
                send(answers, _probe(job["paths"], answers))
            elif job["job"] == "share":
                memory = _given(channel, job["bytes"]) if channel is not None and job["bytes"] else None
                send(answers, {"spent": _is_spent()})
            elif job["job"] == "decode" and memory is not None:
                send(answers, _decode(job, memory, answers))
            else:
                last = _read(job, answers, channel, last)


def _given(channel: socket.socket, size: int) -> mmap.mmap:
    """The memory that the other side shares."""
    _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    if not descriptors:
        raise EOFError
    try:
        return mmap.mmap(descriptors[0], size)
    finally:
        os.close(descriptors[0])


def _at(number: int, answers: BinaryIO) -> None:
    """Say which piece of a job begins; nothing is to be said of the first."""
    if number:
        send(answers, {"at": number})


def _decode(job: dict[str, Any], memory: mmap.mmap, answers: BinaryIO) -> dict[str, Any]:
    """Decode the codestreams of frames with one header from shared memory into shared memory."""
    from medcls.scans.dicom.frame import header_from_json
    from medcls.scans.dicom.pixels.decode import decode_stored, stored_dtype

    header, data = header_from_json(job["header"]), memoryview(memory)
    streams = [data[start : start + length] for start, length in job["streams"]]
    shape = (len(streams), header.rows, header.columns)
    done = 0
    try:
        with _limited(len(streams) * read_seconds(shape[1:], 1), read_bytes(shape[1:], 1)), refusing(""):
            stored = np.frombuffer(memory, stored_dtype(header), math.prod(shape), job["places"]).reshape(shape)
            for _ in decode_stored(streams, header, stored):
                done += 1
                _at(done % len(streams), answers)
    except ScanRefused as error:
        return {"refused": refusal_to_json(error), "number": done}
    return {"spent": _is_spent()}


def _probe(paths: list[str], answers: BinaryIO) -> dict[str, Any]:
    from medcls.scans.probe.probe import probe, probe_plain

    found = []
    for number, path in enumerate(paths):
        _at(number, answers)
        plain = probe_plain(path)  # needs no guard
        if plain is None:
            with _limited(LOOK_SECONDS, LOOK_BYTES):
                plain = probe(path)
        found.append(plain)
    return {**codec.probed_to_json(found), "spent": _is_spent()}


def _read(job: dict[str, Any], answers: BinaryIO, channel: socket.socket | None, last: _Pages | None) -> _Pages | None:
    """Read a scan; the memory that its voxels were given in, or that of the ``last`` where it is still free."""
    from medcls.scans.probe.readers import read_here

    source = codec.source_from_json(job["source"])
    shared = _Shared(last if job["again"] else None)
    try:
        limits = _limited(read_seconds(source.walked, source.channels), read_bytes(source.shape, source.channels))
        with limits, refusing(source.name), providing(shared.empty):
            scan = read_here(source, Leniency(**job["leniency"]))
    except ScanRefused as error:
        send(answers, {"refused": refusal_to_json(error)})
        return shared.free
    dense = scan.array.transpose(codec.memory_order(scan.array))
    answer = {"scan": codec.scan_to_json(scan), "offset": 0, "bytes": dense.nbytes, "spent": _is_spent()}
    if channel is None:
        send(answers, answer)
        answers.write(np.ascontiguousarray(dense).tobytes())
        answers.flush()
        return None
    pages, offset = shared.holding(dense)
    send(answers, {**answer, "offset": offset})
    socket.send_fds(channel, [b"v"], [pages.descriptor])
    return pages if len(pages.memory) <= _MOST_KEPT else None


class _Pages:
    """An anonymous file in memory, which another process can be given."""

    def __init__(self, size: int) -> None:
        self.descriptor = new_memory("scan", size)
        self.memory = mmap.mmap(self.descriptor, size)
        weakref.finalize(self, os.close, self.descriptor)


class _Shared:
    """Memory that another process can be given.

    Args:
        free: Memory that the other process has no more use for. It is used again, as new pages are slow to get.
    """

    def __init__(self, free: _Pages | None) -> None:
        self.free = free
        self._used: list[tuple[_Pages, Voxels]] = []

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Voxels:
        """As :func:`medcls.scans.core.voxel_memory.empty`."""
        if not hasattr(os, "memfd_create"):
            return np.empty(shape, dtype=dtype)
        size = max(1, math.prod(shape) * dtype.itemsize)
        pages, self.free = self.free, None
        if pages is None or not size <= len(pages.memory) <= 2 * size:
            pages = _Pages(size)
        array = np.frombuffer(pages.memory, dtype=dtype, count=size // dtype.itemsize).reshape(shape)
        self._used.append((pages, array))
        return array

    def holding(self, dense: Voxels) -> tuple[_Pages, int]:
        """The file that the voxels of ``dense`` are in, made if there is none, and from which byte on."""
        found = [(pages, dense.ctypes.data - array.ctypes.data, array.nbytes) for pages, array in self._used]
        within = [(pages, start) for pages, start, size in found if 0 <= start <= size - dense.nbytes]
        if within and dense.flags.c_contiguous:
            return within[0]
        self.empty(dense.shape, dense.dtype)[...] = dense
        return self._used[-1][0], 0


@contextlib.contextmanager
def _limited(seconds: float, more_bytes: int) -> Iterator[None]:
    """Let the system end this process when the block takes more processor time, and refuse it more memory.

    Where the system knows no such limits (Windows), only the patience of the process that asked remains.
    """
    if not hasattr(signal, "setitimer"):
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    held = _address_space()
    if held and (before[1] == resource.RLIM_INFINITY or held + more_bytes <= before[1]):
        resource.setrlimit(resource.RLIMIT_AS, (held + more_bytes, before[1]))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, before)


def _is_spent() -> bool:
    """Whether this process holds so much memory that a new one should take its place."""
    return _pages(1) > _SPENT_BYTES


def _address_space() -> int:
    return _pages(0)


def _pages(field: int) -> int:
    """Bytes of virtual (0) or resident (1) memory of this process; 0 where the system does not say.

    The peak that the system keeps would not do: a process starts with that of the one it was forked from.
    """
    try:
        with open("/proc/self/statm", "rb") as handle:
            return int(handle.read().split()[field]) * mmap.PAGESIZE
    except OSError:
        return 0
