"""How much memory this process may still take: what the machine has free, and what its container allows."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_UNKNOWN = 4 * 2**30
"""Assumed where the system does not say: what an ordinary laptop has free."""


def available_memory(root: Path = Path("/")) -> int:
    """Bytes that can be taken before the machine swaps or the container ends the process.

    On Linux the least of what ``/proc/meminfo`` calls available and of what each control group above this process has
    left (version 2: ``memory.max``; version 1: ``memory.limit_in_bytes``; files that are cached and not in use count as
    free). Elsewhere half of the machine's memory.

    Args:
        root: Where ``proc`` and ``sys`` are.
    """
    rooms = [*_of_machine(root), *_of_groups(root)]
    if rooms:
        return max(0, min(rooms))
    with contextlib.suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return _UNKNOWN


def _of_machine(root: Path) -> list[int]:
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return [int(line.split()[1]) * 1024]
    return []


def _of_groups(root: Path) -> list[int]:
    rooms = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            base, limit, usage = root / "sys/fs/cgroup", "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            base, limit, usage = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        here = base / path.strip("/")
        # A group's limit holds for all below it; inside a container the path may not exist, but the top does.
        for folder in (here, *here.parents):
            allowed, used = _number(folder / limit), _number(folder / usage)
            if allowed is not None and used is not None:
                rooms.append(allowed - used + _cached(folder / "memory.stat"))
            if folder == base:
                break
    return rooms


def _cached(path: Path) -> int:
    for line in _read(path).splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file") and value.isdigit():
            return int(value)
    return 0


def _number(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None  # 'max': no limit


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
