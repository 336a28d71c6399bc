"""Processor and wall time of a call, the worker processes that live on behind it included."""

from __future__ import annotations

import gc
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_QUIET_S = 0.001
_LONGEST_TAIL_S = 0.2  # of processor time: on a busy machine a tail takes longer, not more
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Sample:
    """One measurement, in seconds."""

    cpu: float
    wall: float


@dataclass(frozen=True)
class Timed:
    """A call to measure, and what is made ready before each call, off the clock."""

    call: Callable[[], Any]
    before: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of several measurements."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        given = sorted(values)
        return cls(statistics.median(given), given[0], given[-1])

    def scaled(self, factor: float) -> Spread:
        return Spread(self.median * factor, self.low * factor, self.high * factor)


def descendants(pid: int) -> list[int]:
    """Processes below ``pid`` that are there now."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    below: list[int] = []
    waiting = [pid]
    while waiting:
        found = children.get(waiting.pop(), [])
        below += found
        waiting += found
    return below


def _stat(pid: int) -> list[str]:
    """Fields of ``/proc/PID/stat`` from the third on (state, parent, …); none where the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _of_other(pid: int) -> float:
    """Processor time of a live process and of its children that ended, seconds."""
    fields = _stat(pid)
    if not fields:
        return 0.0
    ended = (int(fields[13]) + int(fields[14])) * _TICK
    try:
        # The processor clock of another process (clock_getcpuclockid): nanoseconds, where stat has 10 ms ticks.
        return time.clock_gettime((~pid << 3) | 2) + ended
    except OSError:
        return (int(fields[11]) + int(fields[12])) * _TICK + ended


def _of_this() -> float:
    own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def measure(timed: Timed) -> tuple[Sample, Any]:
    """Call once.

    Time of worker processes counts, also what they still do after the answer, so that none of it is booked on the next
    reader. Looking at the workers is off the clock.

    Returns:
        The times, and what the call returned.
    """
    timed.before()
    gc.collect()
    others = sum(map(_of_other, descendants(os.getpid())))
    own, start = _of_this(), time.perf_counter()
    result = timed.call()
    wall, own = time.perf_counter() - start, _of_this() - own
    return Sample(own + _settled() - others, wall), result


def _settled() -> float:
    """Processor time of all workers once they rest: none is running, and none's clock moves."""
    pids = descendants(os.getpid())
    start = before = sum(map(_of_other, pids))
    end = time.monotonic() + _PATIENCE_S
    while pids and before - start < _LONGEST_TAIL_S and time.monotonic() < end:
        time.sleep(_QUIET_S)
        running = any(_stat(pid)[:1] == ["R"] for pid in pids)
        now = sum(map(_of_other, pids))
        if now == before and not running:
            break
        before = now
    return before


def interleaved(cases: Mapping[str, Timed], repeats: int) -> dict[str, list[Sample]]:
    """Measure all cases in turn, ``repeats`` times (A, B, A, B, …), so that a drift of the machine hits all alike.

    Each case should have been called before (caches warm, modules imported, workers started).
    """
    gc.collect()
    gc.freeze()  # the objects of a dozen imported libraries are no burden of the reader that is measured
    samples: dict[str, list[Sample]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, timed in cases.items():
            sample, result = measure(timed)
            del result
            samples[name].append(sample)
    gc.unfreeze()
    return samples
