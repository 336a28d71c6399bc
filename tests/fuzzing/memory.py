"""Peak memory of this process and of the processes that it started, from Linux's own books; zeros elsewhere."""

from __future__ import annotations

import os
import resource
from pathlib import Path

_PROC = Path("/proc")


def reset_peak(pid: int | None = None) -> int:
    """Set a process's peak to what it holds now (proc(5), clear_refs), and tell that, in bytes."""
    pid = pid or os.getpid()
    try:
        (_PROC / str(pid) / "clear_refs").write_text("5")
    except OSError:
        return 0
    return _field(pid, "VmRSS")


def peak(pid: int | None = None) -> int:
    """The most bytes that a process has held since :func:`reset_peak`; zero when it is gone."""
    return _field(pid or os.getpid(), "VmHWM")


def _field(pid: int, name: str) -> int:
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


def descendants(pid: int | None = None) -> list[int]:
    """Every process that this one, or one of its children, started and that still runs."""
    parents: dict[int, int] = {}
    for entry in os.listdir(_PROC) if _PROC.is_dir() else ():
        if entry.isdigit():
            try:
                stat = (_PROC / entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    found, front = [], {pid or os.getpid()}
    while front:
        front = {child for child, parent in parents.items() if parent in front}
        found.extend(front)
    return found


def peak_of_the_dead() -> int:
    """The largest peak of any child that has ended and was waited for, bytes."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
