"""What libraries in C++ need that decode for us: a name to open a file by, and memory for themselves."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from medcls.scans.archive import archive_of, is_packed, open_unpacked
from medcls.scans.core.refusals import RefusalCode, refusal

_AT_ONCE = 1 << 24


def make_room(size: int) -> None:
    """Let this process have ``size`` bytes of address space more: a library weighs more than most scans, and is not one."""
    with contextlib.suppress(ImportError):  # Windows limits no memory
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            more = soft + size
            resource.setrlimit(resource.RLIMIT_AS, (more if hard == resource.RLIM_INFINITY else min(more, hard), hard))


@contextlib.contextmanager
def on_disk(path: Path) -> Iterator[str]:
    """A name under which a library can open a file; what an archive holds, or is packed, gets one in memory.

    Raises:
        ScanRefused: ``unsupported`` where the system has no names for what is in memory.
    """
    if archive_of(path) is None and not is_packed(path):
        yield os.path.abspath(path)
        return
    with open_unpacked(path) as member, in_memory(_chunks(member), path) as name:
        yield name


@contextlib.contextmanager
def in_memory(chunks: Iterable[bytes], where: Path) -> Iterator[str]:
    """A name of a file in memory.

    Args:
        chunks: Its content.
        where: What it is part of, for messages.

    Raises:
        ScanRefused: As :func:`on_disk`.
    """
    if not os.path.isdir("/proc/self/fd"):
        what = "a file within another one, or packed, which this system does not give a name"
        raise refusal(RefusalCode.UNSUPPORTED, what, where=where, remedy="Unpack it first")
    descriptor = os.memfd_create("scan", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as copy:
            for chunk in chunks:
                copy.write(chunk)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _chunks(handle: BinaryIO) -> Iterator[bytes]:
    while chunk := handle.read(_AT_ONCE):
        yield chunk
