"""Walking a folder: every file at any depth, members of archives included, in a settled order."""

from __future__ import annotations

import contextlib
import gc
import os
import stat
from collections.abc import Iterator
from operator import attrgetter
from typing import NamedTuple


class Entry(NamedTuple):
    """One file.

    Attributes:
        path: Where it is, the root in front.
        size: Bytes.
        written, changed: When its content last changed, and when anything of it did, nanoseconds.
        inode: Number of the file in its file system.
        regular: Whether it can be opened without waiting: no pipe, socket, broken link or closed folder.
    """

    path: str
    size: int
    written: int
    changed: int
    inode: int
    regular: bool


def walk(root: str) -> list[Entry]:
    """Files below a folder, each folder once, whatever links lead to it; hidden folders are passed over.

    Args:
        root: The folder; a file gives itself alone.

    Raises:
        OSError: The root cannot be read. A folder below it that cannot be read is an entry that is not regular.
    """
    state = os.stat(root)
    if not stat.S_ISDIR(state.st_mode):
        return [_entry(root, state)]
    with _uncollected():
        return _walked(root, state)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Let the garbage collector wait: it would look through all memory again and again as the entries become many."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _walked(root: str, state: os.stat_result) -> list[Entry]:
    entries: list[Entry] = []
    seen, left = {(state.st_dev, state.st_ino)}, [os.scandir(root)]
    while left:
        inner = _list(left.pop(), entries, seen)
        for folder in reversed(inner):
            try:
                left.append(os.scandir(folder))
            except OSError:
                entries.append(Entry(folder, 0, 0, 0, 0, False))
    return entries


def is_hidden(folder: str) -> bool:
    """Whether a search passes over folders of this name: copies, trash and resource forks are kept in them."""
    return folder.startswith(".") or folder == "__MACOSX"


def _list(listing: Iterator[os.DirEntry[str]], entries: list[Entry], seen: set[tuple[int, int]]) -> list[str]:
    """Add the files of a folder to ``entries``; its folders that were not seen yet."""
    folders = []
    for found in sorted(listing, key=attrgetter("name")):
        try:
            state = found.stat()
        except OSError:
            entries.append(Entry(found.path, 0, 0, 0, 0, False))
            continue
        if not stat.S_ISDIR(state.st_mode):
            entries.append(_entry(found.path, state))
        elif not is_hidden(found.name):
            # A folder that a link leads to again is passed over, so that a circle of links ends.
            here = (state.st_dev, state.st_ino)
            if here not in seen:
                seen.add(here)
                folders.append(found.path)
    return folders


def _entry(path: str, state: os.stat_result) -> Entry:
    regular = stat.S_ISREG(state.st_mode)
    return Entry(path, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino, regular)
