"""Runs broken scans through child processes, and counts which promises held."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzzing.mutations import mutant
from tests.fuzzing.seeds import Seed, project_seeds

REPOSITORY = Path(__file__).resolve().parent.parent.parent
TIMES_DECLARED = 4
FLOOR = 64 * 2**20
"""Growth below this is not evaluated: allocators and caches take that much whatever is read."""


@dataclass(frozen=True)
class Answer:
    """What came of reading one folder.

    Attributes:
        number: Which.
        outcomes: ``read`` or the code of the refusal, for each scan and file.
        broken: Promises that were broken, in words.
        declared: Bytes of the largest scan by its header, or as read.
        grown: Bytes by which the memory of the user's process grew at most.
        workers: Bytes by which a process that it started grew at most; a new one counts from what one weighs idle.
        renewed: Whether it started a process, which has not yet loaded what others have.
        seconds: How long it took.
        fatal: ``death`` or ``hang`` when the user's process did not survive it.
    """

    number: int
    outcomes: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    declared: int = 0
    grown: int = 0
    workers: int = 0
    renewed: bool = False
    seconds: float = 0.0
    fatal: str = ""

    @property
    def allowed(self) -> int:
        """Bytes that the memory may grow by."""
        return max(FLOOR, TIMES_DECLARED * self.declared)

    def failures(self) -> tuple[str, ...]:
        """Every broken promise, memory included."""
        more = []
        if self.grown > self.allowed:
            more.append(f"the process grew by {self.grown >> 20} MiB for {self.declared >> 20} MiB declared")
        if self.workers > self.allowed:
            more.append(f"a worker grew by {self.workers >> 20} MiB for {self.declared >> 20} MiB declared")
        return (*self.broken, *more)


@dataclass
class ReaderProcess:
    """A child process that plays the user's, started anew when it dies; a context manager.

    Attributes:
        patience: Seconds after which it is taken to hang; ``None`` waits for ever.
    """

    patience: float | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _home: Path | None = field(default=None, repr=False)
    _left: bytes = field(default=b"", repr=False)
    _warm: bool = field(default=False, repr=False)

    def __enter__(self) -> ReaderProcess:
        self._home = Path(tempfile.mkdtemp(prefix="medcls-fuzz-home-"))
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)

    @property
    def pid(self) -> int | None:
        """Of the child, while it runs."""
        return self._process.pid if self._process else None

    def read(self, folder: Path, number: int = 0, *, whole: bool = True) -> Answer:
        """Let it find and read everything in a folder; ``whole`` calls ``read_scan`` on it too."""
        if self._process is None:
            self._start()
        if not self._warm:
            self._warm_up()
        prediction = self._ask(folder, number, whole=whole)
        self._warm = not (prediction.renewed or prediction.fatal)
        return prediction

    def _ask(self, folder: Path, number: int, *, whole: bool) -> Answer:
        request = {"number": number, "folder": str(folder), "whole": whole}
        process = self._process
        if process is None or process.stdin is None:
            raise RuntimeError("the reader does not run")
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        line, hung = self._line(process)
        if line:
            given: dict[str, Any] = json.loads(line)
            return Answer(**{**given, "outcomes": tuple(given["outcomes"]), "broken": tuple(given["broken"])})
        code = self._stop()
        words = f"no answer after {self.patience:g} s" if hung else f"the process ended: {_ending(code)}"
        return Answer(number, broken=(words,), fatal="hang" if hung else "death")

    def _line(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bool]:
        """One line, or nothing, and whether patience ended."""
        if process.stdout is None:
            return b"", False
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._left:
                if not selector.select(self.patience):
                    return b"", True
                more = os.read(process.stdout.fileno(), 65536)
                if not more:
                    return b"", False
                self._left += more
        line, _, self._left = self._left.partition(b"\n")
        return line, False

    def _start(self) -> None:
        home = str(self._home)
        own = {"PYTHONPATH": str(REPOSITORY), "MEDCLS_CACHE": home, "HOME": home, "OMP_NUM_THREADS": "1"}
        self._left = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzzing.reader"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self._home,
            env={**os.environ, **own},
            start_new_session=True,
        )

    def _warm_up(self) -> None:
        """Read one of every kind, so that what is loaded once is not counted as memory of the first broken file."""
        with tempfile.TemporaryDirectory(prefix="medcls-fuzz-") as folder:
            for number, seed in enumerate(project_seeds()):
                write(Path(folder, str(number)), ((seed.file, seed.data), *seed.beside))
            self._ask(Path(folder), -1, whole=False)

    def _stop(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            # The group: workers of a killed process go with it. One that ended by itself has no group of readers left.
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        if process.stdout is not None:
            process.stdout.close()
        return code


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def write(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write files into a new folder."""
    folder.mkdir(parents=True)
    for name, data in files:
        (folder / name).write_bytes(data)


def unbroken(seeds: Sequence[Seed], patience: float | None = None) -> dict[str, Answer]:
    """What comes of the seeds as they are, by name: a reader that refuses everything keeps every other promise."""
    predictions = {}
    with ReaderProcess(patience) as reader, tempfile.TemporaryDirectory(prefix="medcls-fuzz-") as folder:
        for number, seed in enumerate(seeds):
            here = Path(folder, str(number))
            write(here, ((seed.file, seed.data), *seed.beside))
            predictions[seed.name] = reader.read(here, number)
    return predictions


def trials(
    seeds: Sequence[Seed],
    numbers: Iterable[int],
    *,
    seed: int = 0,
    jobs: int = 1,
    patience: float | None = None,
    answered: Callable[[Answer], object] = lambda prediction: None,
) -> None:
    """Read mutations of these numbers in ``jobs`` processes; ``answered`` is called with each prediction as it comes."""
    left, lock = iter(numbers), threading.Lock()

    def one_after_another() -> None:
        with ReaderProcess(patience) as reader, tempfile.TemporaryDirectory(prefix="medcls-fuzz-") as folder:
            for number in _shared(left, lock):
                here = Path(folder, str(number))
                write(here, mutant(seeds, number, seed).files)
                prediction = reader.read(here, number, whole=number % 8 == 0)
                shutil.rmtree(here)
                with lock:
                    answered(prediction)

    threads = [_Raising(one_after_another) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.finish()


def _shared(numbers: Iterator[int], lock: threading.Lock) -> Iterator[int]:
    while True:
        with lock:
            number = next(numbers, None)
        if number is None:
            return
        yield number


class _Raising(threading.Thread):
    """A thread whose error is raised where it is waited for."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._error = error

    def finish(self) -> None:
        """Wait for the end."""
        self.join()
        if self._error is not None:
            raise self._error


@dataclass
class Tally:
    """What all predictions came to.

    Attributes:
        count: Mutations that were read.
        outcomes: How often each outcome came, ``read`` and codes.
        broken: Answers with a broken promise.
        grown, worker, slowest: The predictions with the largest growth, the largest worker and the longest time.
    """

    count: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    broken: list[Answer] = field(default_factory=list)
    grown: Answer = field(default_factory=lambda: Answer(-1))
    worker: Answer = field(default_factory=lambda: Answer(-1))
    slowest: Answer = field(default_factory=lambda: Answer(-1))

    def add(self, prediction: Answer) -> None:
        """Count one more."""
        self.count += 1
        self.outcomes.update(prediction.outcomes)
        if prediction.failures():
            self.broken.append(prediction)
        self.grown = max(self.grown, prediction, key=lambda one: one.grown)
        self.worker = max(self.worker, prediction, key=lambda one: one.workers)
        self.slowest = max(self.slowest, prediction, key=lambda one: one.seconds)
