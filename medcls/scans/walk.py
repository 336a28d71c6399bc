"""Walking a folder: every file at any depth, members of archives included, in a settled order."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple


class Entry(NamedTuple):
    """One file.

    Attributes:
        path: Where it is, the root in front.
        size: Bytes.
        changed: Times of the last change of content and of anything, nanoseconds.
        inode: Number of the file in its file system.
        regular: Whether it can be opened without waiting: no pipe, socket or broken link.
    """

    path: str
    size: int
    changed: tuple[int, int]
    inode: int
    regular: bool


def walk(root: str) -> Iterator[Entry]:
    """Files below a folder, each folder once, whatever links lead to it; hidden folders are passed over.

    Args:
        root: The folder; a file gives itself alone.

    Raises:
        OSError: The root cannot be read. Folders below it that cannot be read are passed over.
    """
    state = os.stat(root)
    if not stat.S_ISDIR(state.st_mode):
        yield _entry(root, state)
        return
    yield from _below(root, {(state.st_dev, state.st_ino)}, os.scandir(root))


def is_hidden(folder: str) -> bool:
    """Whether a search passes over folders of this name: copies, trash and resource forks are kept in them."""
    return folder.startswith(".") or folder == "__MACOSX"


def _below(folder: str, seen: set[tuple[int, int]], listing: Iterator[os.DirEntry[str]]) -> Iterator[Entry]:
    folders: list[str] = []
    for found in sorted(listing, key=lambda one: one.name):
        try:
            state = found.stat()
        except OSError:
            yield Entry(found.path, 0, (0, 0), 0, False)
            continue
        if not stat.S_ISDIR(state.st_mode):
            yield _entry(found.path, state)
        elif not is_hidden(found.name):
            # A folder that a link leads to again is passed over, so that a circle of links ends.
            here = (state.st_dev, state.st_ino)
            if here not in seen:
                seen.add(here)
                folders.append(found.path)
    for path in folders:
        try:
            inner = os.scandir(path)
        except OSError:
            continue
        yield from _below(path, seen, inner)


def _entry(path: str, state: os.stat_result) -> Entry:
    changed = (state.st_mtime_ns, state.st_ctime_ns)
    return Entry(path, state.st_size, changed, state.st_ino, stat.S_ISREG(state.st_mode))
