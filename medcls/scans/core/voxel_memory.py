"""Where the voxels of a scan are put: ordinary memory, unless a process that decodes for another one provides its own.

The memory of a large scan that was let go of is used for the next one. Every page of new memory is filled with zeros by the
system first, which takes a fifth of the time of reading an uncompressed series.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import weakref
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Provider = Callable[[tuple[int, ...], "np.dtype[np.generic]"], NDArray[np.generic]]

_LARGE = 1 << 25
"""Bytes from which the system's allocator gives memory back at once; below, it uses it again itself."""

_MOST_KEPT = 1 << 28

_kept: deque[mmap.mmap] = deque(maxlen=1)
"""What the last large scan left behind. The system may take it back whenever it needs it."""


def _ordinary(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    size = math.prod(shape) * dtype.itemsize
    if not _LARGE <= size <= _MOST_KEPT or not (hasattr(mmap, "MADV_FREE") and hasattr(mmap, "MADV_HUGEPAGE")):
        return np.empty(shape, dtype=dtype)
    pages = _left(size) or _new(size)
    owner = np.frombuffer(pages, np.uint8)
    weakref.finalize(owner, _leave, pages).atexit = False  # once no array, view or tensor shares them any more
    return owner[:size].view(dtype).reshape(shape)


def _left(size: int) -> mmap.mmap | None:
    """Memory that an earlier scan left behind, if it is of about this size."""
    with contextlib.suppress(IndexError):
        pages = _kept.pop()
        if size <= len(pages) <= 2 * size:
            return pages
    return None


def _new(size: int) -> mmap.mmap:
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return pages


def _leave(pages: mmap.mmap) -> None:
    with contextlib.suppress(OSError):
        pages.madvise(mmap.MADV_FREE)
        _kept.append(pages)


def give_back() -> None:
    """Give the memory that a large scan left behind back to the system."""
    _kept.clear()


_provider: Provider = _ordinary


def empty(shape: tuple[int, ...], dtype: np.dtype[np.generic] | type[np.generic] | str) -> NDArray[np.generic]:
    """An array of undefined content, C-contiguous."""
    return _provider(shape, np.dtype(dtype))


@contextlib.contextmanager
def providing(provider: Provider) -> Iterator[None]:
    """Let ``provider`` make the arrays while the block runs. For processes of one thread."""
    global _provider
    before, _provider = _provider, provider
    try:
        yield
    finally:
        _provider = before
