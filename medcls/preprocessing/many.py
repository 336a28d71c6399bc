"""Prepare many scans: stored ones are found, missing ones computed by all processors, bad ones cost only their own row."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from loky import ProcessPoolExecutor, cpu_count
from loky.backend.context import get_context

from medcls.errors import ScanRefused
from medcls.preprocessing.recipe import Recipe
from medcls.preprocessing.store import PreparedStore, ReadableScan
from medcls.preprocessing.stored import StoredPrepared
from medcls.progress import SILENT, Progress
from medcls.scans.leniency import STRICT, Leniency

Outcome = StoredPrepared | ScanRefused
_WORTH_PROCESSES = 32  # starting a process and importing torch takes as long as preparing a few dozen scans


def prepare_many(
    sources: Sequence[ReadableScan],
    recipe: Recipe,
    store: PreparedStore,
    *,
    progress: Progress = SILENT,
    processes: int | None = None,
    leniency: Leniency = STRICT,
) -> tuple[Outcome, ...]:
    """Prepare scans, or find them in the store.

    Args:
        sources: The scans.
        recipe: What to make of them.
        store: Where results are kept.
        progress: Where to show how far it is.
        processes: How many processes compute; 1: this one alone; ``None``: all processors when more than 32 scans are
            missing from the store, else this process alone.
        leniency: What to do with an irregular series.

    Returns:
        For each source, in order: its stored result, or why it is refused.

    Raises:
        StorageError: The store cannot be written.
    """
    outcomes: list[Outcome | None] = list(_found(sources, recipe, store, leniency, progress))
    missing = [index for index, outcome in enumerate(outcomes) if outcome is None]
    if processes is None:
        processes = cpu_count() if len(missing) > _WORTH_PROCESSES else 1
    processes = min(processes, len(missing))
    jobs = {index: (sources[index], recipe, store, leniency) for index in missing}
    results = _alone(jobs) if processes <= 1 else _together(jobs, processes)
    for index, outcome in progress.track(results, "Preparing scans", total=len(missing)):
        outcomes[index] = outcome
    return tuple(outcome for outcome in outcomes if outcome is not None)


_Job = tuple[ReadableScan, Recipe, PreparedStore, Leniency]


def _found(
    sources: Sequence[ReadableScan], recipe: Recipe, store: PreparedStore, leniency: Leniency, progress: Progress
) -> Iterator[Outcome | None]:
    def look(source: ReadableScan) -> Outcome | None:
        try:
            return store.find(source, recipe, leniency=leniency)
        except ScanRefused as refused:
            return refused

    # Hashing leaves Python's lock, so threads are enough.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from progress.track(pool.map(look, sources), "Looking into the store", total=len(sources))


def _one(job: _Job) -> Outcome:
    source, recipe, store, leniency = job
    try:
        return store.get_or_prepare(source, recipe, leniency=leniency)
    except ScanRefused as refused:
        return refused.with_traceback(None)
    except MemoryError:
        return ScanRefused(
            "too-large",
            "there is not enough memory to prepare this scan",
            where=source.name,
            remedy="Set a larger preprocessing spacing, or use a machine with more memory",
        )


def _alone(jobs: dict[int, _Job]) -> Iterator[tuple[int, Outcome]]:
    for index, job in jobs.items():
        yield index, _one(job)


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
    pool = ProcessPoolExecutor(processes, context=get_context("loky"), initializer=_start)
    try:
        futures: dict[Future[Outcome], int] = {pool.submit(_one, job): index for index, job in jobs.items()}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, kill_workers=True)


def _start() -> None:
    import torch

    torch.set_num_threads(1)  # one process a processor already


def _died(job: _Job) -> ScanRefused:
    return ScanRefused(
        "damaged",
        "the process that read this scan died of it",
        where=job[0].name,
        remedy="Export or copy the scan again",
    )
