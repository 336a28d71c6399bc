"""Prepare many scans: stored ones are found, missing ones computed by all processors, bad ones cost only their own row."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from loky import ProcessPoolExecutor, cpu_count
from loky.backend.context import get_context

from medcls.errors import ScanRefused
from medcls.offspring import end_with
from medcls.preprocessing.recipes.recipe import Recipe
from medcls.preprocessing.store.entry import StoredPrepared
from medcls.preprocessing.store.store import Place, PreparedStore
from medcls.progress import SILENT, Progress
from medcls.scans.core.leniency import STRICT, Leniency
from medcls.scans.core.source import ReadableScan

Outcome = StoredPrepared | ScanRefused
_START_S = 5.0  # what starting a process and importing torch and MONAI takes


def prepare_many(
    sources: Sequence[ReadableScan],
    recipe: Recipe,
    store: PreparedStore,
    *,
    progress: Progress = SILENT,
    processes: int | None = None,
    leniency: Leniency = STRICT,
) -> tuple[Outcome, ...]:
    """Prepare scans, or find them in the store. What is found or prepared stays in it as long as this process lives.

    Args:
        sources: The scans.
        recipe: What to make of them.
        store: Where results are kept.
        progress: Where to show how far it is.
        processes: How many processes compute; 1: this one alone; ``None``: this one alone until the scans that are left
            would take it longer than starting others, few large ones or many small ones, and then all processors.
        leniency: What to do with an irregular series.

    Returns:
        For each source, in order: its stored result, or why it is refused.

    Raises:
        StorageError: The store cannot be written.
    """
    places = list(_places(sources, recipe, store, leniency, progress))
    # Held before they are looked for, so that nobody removes what is found here.
    store.hold([place for place in places if isinstance(place, Place)])
    outcomes: list[Outcome | None] = [store.open(place) if isinstance(place, Place) else place for place in places]
    jobs = {
        index: (sources[index], recipe, store, leniency, place)
        for index, (place, outcome) in enumerate(zip(places, outcomes, strict=True))
        if outcome is None and isinstance(place, Place)
    }
    room = _Room(store, progress) if jobs and store.limit is not None else None
    processes = 1 if recipe.is_of_this_process else processes
    for index, outcome in progress.track(_computed(jobs, processes), "Preparing scans", total=len(jobs)):
        outcomes[index] = outcome
        if room is not None and isinstance(outcome, StoredPrepared):
            room.take(outcome)
    return tuple(outcome for outcome in outcomes if outcome is not None)


_Job = tuple[ReadableScan, Recipe, PreparedStore, Leniency, Place]


class _Room:
    """Keeps a store within its limit while it grows."""

    def __init__(self, store: PreparedStore, progress: Progress) -> None:
        self._store, self._progress, self._limit = store, progress, store.limit or 0
        self._bytes, self._full = store.size().bytes, False

    def take(self, stored: StoredPrepared) -> None:
        """Count a new entry, and make room where it is one too many."""
        self._bytes += stored.path.stat().st_size if stored.path.exists() else 0
        if self._bytes <= self._limit or self._full:
            return
        # A little more than needed, so that the folder is not looked through for every entry.
        self._store.trim(self._limit - self._limit // 50)
        self._bytes = self._store.size().bytes
        self._full = self._bytes > self._limit
        if self._full:
            self._progress.note("The store is above store.limit: running processes need everything that is left in it")


def _places(
    sources: Sequence[ReadableScan], recipe: Recipe, store: PreparedStore, leniency: Leniency, progress: Progress
) -> Iterator[Place | ScanRefused]:
    def look(source: ReadableScan) -> Place | ScanRefused:
        try:
            return store.place(source, recipe, leniency=leniency)
        except ScanRefused as refused:
            return refused

    # Hashing leaves Python's lock, so threads are enough.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from progress.track(pool.map(look, sources), "Looking into the store", total=len(sources))


def _one(job: _Job) -> Outcome:
    source, recipe, store, leniency, place = job
    try:
        # Equal scans have one place, and another process may have been here.
        return store.open(place) or store.prepare(place, source, recipe, leniency=leniency)
    except ScanRefused as refused:
        return refused.with_traceback(None)
    except MemoryError:
        return ScanRefused(
            "too-large",
            "there is not enough memory to prepare this scan",
            where=source.name,
            remedy="Set a larger preprocessing spacing, or use a machine with more memory",
        )


def _computed(jobs: dict[int, _Job], processes: int | None) -> Iterator[tuple[int, Outcome]]:
    if processes is not None and processes > 1 and len(jobs) > 1:
        yield from _together(jobs, min(processes, len(jobs)))
        return
    left = dict(jobs)
    begun = time.perf_counter()
    for index, job in jobs.items():
        yield index, _one(job)
        del left[index]
        each = (time.perf_counter() - begun) / (len(jobs) - len(left))
        if processes is None and len(left) > 1 and _worth_processes(each * len(left)):
            break
    if left:
        yield from _together(left, min(cpu_count(), len(left)))


def _worth_processes(seconds: float) -> bool:
    """Whether work that takes one process so long is done sooner by all, their start included."""
    processors: int = cpu_count()
    return processors > 1 and seconds > _START_S + seconds / processors


def _together(jobs: dict[int, _Job], processes: int) -> Iterator[tuple[int, Outcome]]:
    """Compute in a pool. When a process dies, each scan that is left gets one of its own; the one it dies of is refused."""
    left = dict(jobs)
    try:
        for index, outcome in _pooled(left, processes):
            del left[index]
            yield index, outcome
    except BrokenProcessPool:
        for index, job in list(left.items()):
            try:
                yield from _pooled({index: job}, 1)
            except BrokenProcessPool:
                yield index, _died(job)


def _pooled(jobs: dict[int, _Job], processes: int) -> Iterator[tuple[int, Outcome]]:
    # loky starts clean processes that do not run the user's script again, so no main guard is needed on any system.
    pool = ProcessPoolExecutor(processes, context=get_context("loky"), initializer=_start, initargs=(os.getpid(),))
    try:
        futures: dict[Future[Outcome], int] = {pool.submit(_one, job): index for index, job in jobs.items()}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, kill_workers=True)


def _start(parent: int) -> None:
    end_with(parent)
    import torch

    torch.set_num_threads(1)  # one process a processor already


def _died(job: _Job) -> ScanRefused:
    return ScanRefused(
        "damaged",
        "the process that read this scan died of it",
        where=job[0].name,
        remedy="Export or copy the scan again",
    )
