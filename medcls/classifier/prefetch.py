"""Work ahead: threads make the next results ready while the caller is busy with one."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
_MOST_READERS = 4


def readers() -> int:
    """How many threads read scans: one for every two processors, which the network needs too."""
    given = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MOST_READERS, given // 2))


def ahead(work: Callable[[T], R], items: Iterable[T], threads: int) -> Generator[R, None, None]:
    """``map(work, items)`` with the same results in the same order, worked out ahead by threads.

    At most ``threads`` results wait or are being made besides the one that was given last: memory does not depend on how many
    items there are. An error of ``work`` is raised where its result would have stood. When the caller stops, or breaks
    off, what has begun is finished and the rest never begun.

    Args:
        work: What to do with each item; called from several threads.
        items: Taken one by one, by the caller's thread.
        threads: How many work.
    """
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="medcls-ahead") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
