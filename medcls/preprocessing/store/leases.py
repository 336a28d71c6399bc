"""Which entries of a store running processes work with, so that nobody makes room by removing them.

Each process has a file with the keys of its entries, locked as long as it lives. The system gives the lock up when the process
ends, however it ends. Where there are no such locks (Windows), an open file cannot be removed, which says the same.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from medcls.bounded import read_bounded
from medcls.leftovers import claim, if_left

_FOLDER, _SUFFIX, _LOCK = "running", ".keys", "store.lock"
_MOST_BYTES = 1 << 30
_MINE: dict[tuple[int, Path], int] = {}
"""Open files of this process, by process and store; never closed by hand."""


def hold(store: Path, keys: Iterable[str]) -> None:
    """Let entries be kept as long as this process lives. The store's folder is there.

    Raises:
        OSError: The store cannot be written.
    """
    text = "".join(f"{key}\n" for key in keys).encode("ascii")
    with locked(store):
        mine = _MINE.get((os.getpid(), store))
        if mine is None:
            mine = _MINE[os.getpid(), store] = _opened(store / _FOLDER)
        while text:
            text = text[os.write(mine, text) :]


def held(store: Path, *, by_this: bool = True) -> set[str]:
    """Keys that running processes hold, this one too if asked; files of processes that ended are removed."""
    keys: set[str] = set()
    folder = store / _FOLDER
    for path in folder.glob(f"*{_SUFFIX}") if folder.is_dir() else ():
        with contextlib.suppress(OSError, ValueError):
            mine = path.name.startswith(f"{os.getpid()}-")
            if (by_this or not mine) and not _removed(path):
                keys.update(read_bounded(path, _MOST_BYTES).decode("ascii").split())
    return keys


@contextlib.contextmanager
def locked(store: Path) -> Iterator[None]:
    """One process at a time: so that nothing is removed between being held and being looked for.

    Where the file system has no locks, nothing is locked.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(store / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _opened(folder: Path) -> int:
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o600)
    claim(handle)
    return handle


def _removed(path: Path) -> bool:
    """Whether the process that wrote a file has ended; its file is then removed."""
    if sys.platform == "win32":
        try:
            path.unlink()
        except OSError:
            return False
        return True
    with if_left(path) as left:
        if left:
            path.unlink(missing_ok=True)
    return left
