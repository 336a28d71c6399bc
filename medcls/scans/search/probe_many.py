"""Looking at many files: plain ones here, others in the sandbox, large folders with all processors."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from queue import SimpleQueue

from medcls.scans.probe.probe import Probed, probe_plain
from medcls.scans.sandbox import probe_apart

_BATCH = 256
_WORTH_PROCESSES = 2000
"""Files that take as long to look at as a process takes to start."""

Batch = list[str]
Done = tuple[Batch, list[Probed] | BaseException]


def probe_many(paths: Sequence[str]) -> Iterator[tuple[str, Probed]]:
    """A look at each file, in no settled order.

    This process looks at plain files itself and leaves the others to a worker. In large folders each further processor has a
    worker that takes batches from the end of the list, while this process begins at its start.
    """
    batches = deque(list(paths[start : start + _BATCH]) for start in range(0, len(paths), _BATCH))
    done: SimpleQueue[Done] = SimpleQueue()
    helpers = _helpers(batches, done) if len(paths) >= _WORTH_PROCESSES else []
    rest: Batch = []
    try:
        while batch := _next(batches.popleft):
            yield from _here(batch, rest)
            while not done.empty():
                yield from _taken(done)
        for start in range(0, len(rest), _BATCH):
            part = rest[start : start + _BATCH]
            yield from zip(part, probe_apart(part), strict=True)
    finally:
        batches.clear()
        for helper in helpers:
            helper.join()
    while not done.empty():
        yield from _taken(done)


def _here(batch: Batch, rest: Batch) -> Iterator[tuple[str, Probed]]:
    """Looks at the plain files of a batch; the others are added to ``rest``."""
    for path in batch:
        probed = probe_plain(path)
        if probed is None:
            rest.append(path)
        else:
            yield path, probed


def _helpers(batches: deque[Batch], done: SimpleQueue[Done]) -> list[threading.Thread]:
    def help_out() -> None:
        while batch := _next(batches.pop):
            try:
                done.put((batch, probe_apart(batch)))
            except BaseException as error:
                done.put((batch, error))

    helpers = [threading.Thread(target=help_out, daemon=True) for _ in range(processors() - 1)]
    for helper in helpers:
        helper.start()
    return helpers


def _next(take: object) -> Batch:
    with contextlib.suppress(IndexError):
        batch: Batch = take()  # type: ignore[operator]
        return batch
    return []


def _taken(done: SimpleQueue[Done]) -> Iterator[tuple[str, Probed]]:
    batch, answer = done.get()
    if isinstance(answer, BaseException):
        raise answer
    yield from zip(batch, answer, strict=True)


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
