"""Where the voxels of a scan are put: ordinary memory, unless a process that decodes for another one provides its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Provider = Callable[[tuple[int, ...], "np.dtype[np.generic]"], NDArray[np.generic]]


def _ordinary(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    return np.empty(shape, dtype=dtype)


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
