"""Asking workers: to look at files, to read scans."""

from __future__ import annotations

import atexit
import contextlib
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

from medcls.scans.codes import RefusalCode, refusal
from medcls.scans.leniency import Leniency
from medcls.scans.limits import LOOK_SECONDS, read_seconds
from medcls.scans.look import Look
from medcls.scans.sandbox import codec
from medcls.scans.scan import Scan
from medcls.scans.source import ScanSource
from medcls.wire import exactly, receive, send

_PATIENCE = 20
"""A worker whose processor time the system does not limit, or who waits for a disk, gets so many times its limit."""


class _Forks:
    """How often this process was forked. The voxels that were there at the time may live on in the child."""

    def __init__(self) -> None:
        self.count = 0
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._one_more)

    def _one_more(self) -> None:
        self.count += 1


_forks = _Forks()


class Died(Exception):
    """A worker ended in the middle of a job.

    Attributes:
        reason: The refusal that this is for the file it was busy with.
    """

    def __init__(self, code: RefusalCode, what: str) -> None:
        super().__init__(what)
        self.reason = refusal(code, what)


def look_apart(paths: Sequence[str]) -> list[Look]:
    """Look at files in a worker; a file that it dies of is refused."""
    with workers.one() as worker:
        try:
            answer = worker.ask({"job": "look", "paths": list(paths)}, LOOK_SECONDS * len(paths))
            return codec.looks_from_json(answer, paths)
        except Died as death:
            if len(paths) == 1:
                return [Look(refused=death.reason)]
    return [look for path in paths for look in look_apart([path])]


def read_apart(source: ScanSource, leniency: Leniency) -> Scan:
    """Read a scan in a worker.

    Raises:
        ScanRefused: As the reader says, or the worker died of it.
    """
    job: dict[str, Any] = {"job": "read", "source": codec.source_to_json(source), "leniency": vars(leniency)}
    with workers.one() as worker:
        try:
            answer = worker.ask({**job, "again": worker.voxels_are_gone}, read_seconds(source.shape, source.channels))
            if "scan" in answer:
                return codec.scan_from_json(answer["scan"], worker.voxels(answer["offset"], answer["bytes"]))
        except Died as death:
            raise death.reason.at(source.name) from death
    raise codec.refused_from_json(answer["refused"])


class Worker:
    """One process of the sandbox."""

    def __init__(self) -> None:
        self._spent = False
        self._given: tuple[weakref.ref[mmap.mmap], int] | None = None
        self._shared: mmap.mmap | None = None
        theirs: socket.socket | None = None
        self._channel: socket.socket | None = None
        if hasattr(os, "memfd_create"):
            self._channel, theirs = socket.socketpair()
        # Modules come from where this process has them, and never from the folder that it happens to stand in.
        command = [sys.executable, "-P", "-m", "medcls.scans.sandbox"]
        modules = os.pathsep.join(filter(None, sys.path))
        environment = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1"), "PYTHONPATH": modules}
        self._process = subprocess.Popen(
            [*command, *([str(theirs.fileno())] if theirs else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()] if theirs else [],
            env=environment,
        )
        if theirs:
            theirs.close()

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return not self._spent and self._process.poll() is None

    def ask(self, job: dict[str, Any], seconds: float, memory: int | None = None) -> dict[str, Any]:
        """Send a job, and wait for its answer.

        Args:
            job: What to do.
            seconds: Processor time that it may take.
            memory: Descriptor of memory that the job is about.

        Raises:
            Died: The worker ended, or did not answer in :data:`_PATIENCE` times ``seconds``.
        """
        try:
            if memory is not None and self._channel is not None:
                socket.send_fds(self._channel, [b"m"], [memory])
            send(self._process.stdin, job)  # type: ignore[arg-type]
            if os.name == "posix" and not _ready(self._process.stdout, seconds * _PATIENCE):
                raise EOFError
            answer = receive(self._process.stdout)  # type: ignore[arg-type]
            self._spent = bool(answer.get("spent"))
            return answer
        except (EOFError, OSError) as error:
            raise self._obituary() from error

    def shared(self, size: int, seconds: float) -> mmap.mmap:
        """Memory of ``size`` bytes or more that both processes see: that of the last call, where it is large enough.

        Raises:
            Died: As :meth:`ask`.
        """
        if self._shared is None or len(self._shared) < size:
            descriptor = os.memfd_create("frames", os.MFD_CLOEXEC)
            try:
                os.ftruncate(descriptor, size)
                self.ask({"job": "share", "bytes": size}, seconds, descriptor)
                self._shared = mmap.mmap(descriptor, size)
            finally:
                os.close(descriptor)
        return self._shared

    def unshare(self, most: int, seconds: float) -> None:
        """Give the shared memory back to the system when there are more than ``most`` bytes of it.

        Raises:
            Died: As :meth:`ask`.
        """
        if self._shared is not None and len(self._shared) > most:
            self._shared = None
            self.ask({"job": "share", "bytes": 0}, seconds)

    @property
    def voxels_are_gone(self) -> bool:
        """Whether nobody has the last :meth:`voxels` any more, not even a process that was forked since."""
        return self._given is None or (self._given[0]() is None and self._given[1] == _forks.count)

    def voxels(self, offset: int, count: int) -> Any:
        """Memory that begins with the ``count`` bytes that follow the last answer, ``offset`` bytes behind its start."""
        try:
            if self._channel is None:
                return bytearray(exactly(self._process.stdout, count))  # type: ignore[arg-type]
            _, descriptors, _, _ = socket.recv_fds(self._channel, 1, 1)
            if not descriptors:
                raise EOFError
            try:
                memory = mmap.mmap(descriptors[0], max(1, offset + count))
                self._given = weakref.ref(memory), _forks.count
                return memoryview(memory)[offset:]
            finally:
                os.close(descriptors[0])
        except (EOFError, OSError, ValueError) as error:
            raise self._obituary() from error

    def end(self) -> None:
        """Stop it, at once."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._channel):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _obituary(self) -> Died:
        code = self._process.poll()
        if code is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(1)
        self.end()
        if code is None or code == -getattr(signal, "SIGPROF", 0):
            return Died(RefusalCode.DAMAGED, "decoding it takes longer than any honest scan")
        if code == -getattr(signal, "SIGKILL", 0):
            return Died(RefusalCode.TOO_LARGE, "decoding it takes more memory than there is")
        return Died(RefusalCode.DAMAGED, "its content makes the decoder crash")


def _ready(stream: Any, seconds: float) -> bool:
    return bool(select.select([stream], [], [], seconds)[0])


_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class _Workers:
    """Workers that wait for a job. A forked process starts its own."""

    def __init__(self) -> None:
        self._idle: list[Worker] = []
        self._lock = threading.Lock()
        self._owner = os.getpid()

    @contextlib.contextmanager
    def one(self) -> Iterator[Worker]:
        """A worker for one job; it goes back to the others unless it died."""
        worker = self.take()
        try:
            yield worker
        except BaseException:
            worker.end()
            raise
        self.give_back(worker)

    def take(self) -> Worker:
        """A worker that waits, or a new one."""
        if self._owner != os.getpid():
            self._idle, self._lock, self._owner = [], threading.Lock(), os.getpid()
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        return worker if worker is not None and worker.alive else Worker()

    def give_back(self, worker: Worker) -> None:
        """Let a worker wait for the next job, unless it died or is spent."""
        if worker.alive:
            with self._lock:
                self._idle.append(worker)
        else:
            worker.end()

    def end(self) -> None:
        """Stop those that wait, unless they belong to a parent process."""
        if self._owner == os.getpid():
            while self._idle:
                self._idle.pop().end()


workers = _Workers()
atexit.register(workers.end)
