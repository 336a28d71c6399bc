"""Workers: processes that wait for a job, are asked, and end with whoever asks them.

What they do is said in :mod:`medcls.scans.sandbox.worker`.
"""

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
import time
import weakref
from collections.abc import Iterator
from typing import Any

from medcls import offspring
from medcls.scans.core.limits import LOOK_SECONDS
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.wire import check_memory, exactly, new_memory, receive, send

_PATIENCE = 5
"""A worker that waits for a disk, or for its turn, gets so many times the processor time that a file may take."""


_NONSENSE = "its content makes the decoder answer nonsense"


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
        at: Which piece of the job that was, from 0.
        slow: Whether it had all its time.
    """

    def __init__(self, code: RefusalCode, what: str, at: int, *, slow: bool = False) -> None:
        super().__init__(what)
        self.reason, self.at, self.slow = refusal(code, what), at, slow


@contextlib.contextmanager
def believing_nothing() -> Iterator[None]:
    """A file may have taken its worker over: an answer that is none is the end of it."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Died(RefusalCode.DAMAGED, _NONSENSE, 0) from error


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
            self._channel.settimeout(LOOK_SECONDS * _PATIENCE)
        # Modules come from where this process has them, and never from the folder that it happens to stand in.
        command = [sys.executable, "-P", "-m", "medcls.scans.sandbox"]
        modules = os.pathsep.join(filter(None, sys.path))
        environment = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1"), "PYTHONPATH": modules}
        self._process = offspring.start(
            [*command, str(os.getpid()), *([str(theirs.fileno())] if theirs else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()] if theirs else [],
            env=environment,
        )
        self._answers = _Patient(self._process)
        self._at = 0
        if theirs:
            theirs.close()

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return not self._spent and self._process.poll() is None

    def ask(self, job: dict[str, Any], seconds: float, memory: int | None = None, *, pieces: int = 1) -> dict[str, Any]:
        """Send a job, and wait for its answer.

        Args:
            job: What to do.
            seconds: Processor time that each piece of it may take.
            memory: Descriptor of memory that the job is about.
            pieces: How many pieces it has. The worker says when it begins one, so that the piece that it dies of is known.

        Raises:
            Died: The worker ended, or said nothing in :data:`_PATIENCE` times ``seconds``.
        """
        self._at = 0
        try:
            if memory is not None and self._channel is not None:
                socket.send_fds(self._channel, [b"m"], [memory])
            send(self._process.stdin, {**job, "folder": _folder()})  # type: ignore[arg-type]
            while "at" in (answer := self._answered(seconds)):
                if answer["at"] not in range(self._at + 1, pieces):
                    raise EOFError
                self._at = answer["at"]
            self._spent = bool(answer.get("spent"))
            return answer
        except (EOFError, OSError) as error:
            raise self._obituary() from error

    def _answered(self, seconds: float) -> dict[str, Any]:
        self._answers.until = time.monotonic() + seconds * _PATIENCE
        return receive(self._answers)  # type: ignore[arg-type]

    def shared(self, size: int, seconds: float) -> mmap.mmap:
        """Memory of ``size`` bytes or more that both processes see: that of the last call, where it is large enough.

        Raises:
            Died: As :meth:`ask`.
        """
        if self._shared is None or len(self._shared) < size:
            descriptor = new_memory("frames", size)
            try:
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
                return bytearray(exactly(self._answers, count))  # type: ignore[arg-type]
            _, descriptors, _, _ = socket.recv_fds(self._channel, 1, 1)
            if not descriptors:
                raise EOFError
            try:
                check_memory(descriptors[0], max(1, offset + count))
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
        if self._answers.late or code == -getattr(signal, "SIGPROF", 0):
            return Died(RefusalCode.DAMAGED, "decoding it takes longer than any honest scan", self._at, slow=True)
        if code is None:
            return Died(RefusalCode.DAMAGED, _NONSENSE, self._at)
        if code == -getattr(signal, "SIGKILL", 0):
            return Died(RefusalCode.TOO_LARGE, "decoding it takes more memory than there is", self._at)
        return Died(RefusalCode.DAMAGED, "its content makes the decoder crash", self._at)


def _folder() -> str:
    """Where paths of this process begin, which may have changed since a worker began."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return os.sep


class _Patient:
    """What a worker writes, waited for until a time.

    Attributes:
        until: The time, of ``time.monotonic()``.
        late: Whether it was over.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.until, self.late = 0.0, False
        self._process = process
        self._descriptor = process.stdout.fileno()  # type: ignore[union-attr]

    def read(self, count: int) -> bytes:
        """Up to ``count`` bytes; none at the end, or when the time is over."""
        seconds = max(0.0, self.until - time.monotonic())
        if hasattr(select, "poll"):
            self.late = not _ready(self._descriptor, seconds)
            return b"" if self.late else os.read(self._descriptor, count)
        clock = threading.Timer(seconds, self._end)  # Windows cannot wait for a pipe
        clock.start()
        try:
            return os.read(self._descriptor, count)
        finally:
            clock.cancel()

    def _end(self) -> None:
        self.late = True
        self._process.kill()


def _ready(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


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
