"""What killed processes leave behind, half-written files and temporary folders, is removed by those that come after them.

A living process holds a lock on what it has not finished, which the system gives up when the process ends, however it ends.
So nothing that anybody still writes is taken for left behind, on whatever machine that is. Where a file system has no locks,
nothing is removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from medcls.bounded import open_regular

PART = ".part"
"""Ending of files that are being written; their names begin with a dot."""
_FOLDER, _MARK = "medcls-", ".in-use"
_CLOSED_S = 3600.0
"""On Windows an open file cannot be removed, but one that was closed and has its name still to come can."""


def claim(descriptor: int) -> bool:
    """Lock a new file as long as it is open; whether it is still there, and was not taken for left behind before."""
    if sys.platform == "win32":
        return True
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return os.fstat(descriptor).st_nlink > 0


@contextlib.contextmanager
def if_left(path: Path) -> Iterator[bool]:
    """Whether the process that claimed a file has ended; nobody claims it while the block runs."""
    if sys.platform == "win32":
        yield time.time() - path.stat().st_mtime > _CLOSED_S
        return
    import fcntl

    with open_regular(path) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def sweep(paths: Iterable[Path]) -> None:
    """Remove those of these half-written files whose writers have ended."""
    for path in paths:
        with contextlib.suppress(OSError), if_left(path) as left:
            if left:
                path.unlink()


def new_part(target: Path) -> tuple[int, str]:
    """A new file beside ``target``, open for writing and claimed: its descriptor and its path."""
    while True:
        descriptor, path = tempfile.mkstemp(prefix=f".{target.name}.", suffix=PART, dir=target.parent)
        if claim(descriptor):
            return descriptor, path
        os.close(descriptor)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone when the block ends; those of processes that were killed are removed first."""
    for mark in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*/{_MARK}"):
        with contextlib.suppress(OSError), if_left(mark) as left:
            if left and _is_own(mark.parent):
                shutil.rmtree(mark.parent, ignore_errors=True)
    with contextlib.ExitStack() as stack:
        while True:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_FOLDER, ignore_cleanup_errors=True)))
            if claim(stack.enter_context(open(folder / _MARK, "xb")).fileno()):
                break
        yield folder


def _is_own(folder: Path) -> bool:
    """Whether a folder is no link, and this user's: anybody may put things into the system's temporary folder."""
    return not folder.is_symlink() and (not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid())
