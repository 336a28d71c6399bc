"""Names of scans: relative paths that a person can find again, distinct within one search."""

from __future__ import annotations

import operator
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from medcls.scans.core.paths import Paths
from medcls.scans.core.source import Refusal, ScanSource
from medcls.scans.dicom.series.group_series import Stack


def relative_name(path: Path, root: Path) -> str:
    """``path`` relative to ``root`` with forward slashes; the root's own name when they are the same."""
    if path == root:
        return path.name or str(path)
    return path.relative_to(root).as_posix()


def named_stacks(stacks: Sequence[Stack], root: Path) -> list[str]:
    """A name for each stack: its file when it has one, else its folder, with ``#`` and a suffix where several share it.

    Suffixes are the series number and the part (``#s3-echo-2``), and a number where that is not enough. No identifier goes
    into a name.
    """
    bases = [base_name(stack.paths, root) for stack in stacks]
    suffixes = [_suffix(stack) for stack in stacks]
    sharing: dict[str, list[int]] = defaultdict(list)
    for index, base in enumerate(bases):
        sharing[base].append(index)
    names = list(bases)
    for base, indices in sharing.items():
        if len(indices) == 1:
            continue
        taken: dict[str, int] = defaultdict(int)
        for index in sorted(indices, key=lambda i: (suffixes[i], _settled(stacks[i]))):
            suffix = suffixes[index] or "scan"
            taken[suffix] += 1
            names[index] = f"{base}#{suffix}" + (f"-{taken[suffix]}" if taken[suffix] > 1 else "")
    return names


def base_of(item: ScanSource | Refusal, root: Path) -> str:
    """The name of a scan or a refusal without its suffix; of a header and its data file, the header's."""
    return base_name(_told_by(item), root)


def base_name(paths: Sequence[Path], root: Path) -> str:
    """The name of a scan without its suffix: its file when it has one, else the folder that all its files are in."""
    return relative_name(_base(paths), root)


def name_with_root(item: ScanSource | Refusal, root: Path) -> str:
    """The name of a scan or a refusal that was found below ``root``, with ``root`` before it: a path, and maybe a suffix."""
    paths = _told_by(item)
    if paths and _base(paths) == root:  # its name starts with the root's own
        return str(root) + item.name.removeprefix(relative_name(root, root))
    return str(root / item.name)


def _told_by(item: ScanSource | Refusal) -> Sequence[Path]:
    whole = isinstance(item, Refusal) or item.kind == "dicom"
    return item.paths if whole else item.paths[:1]


def _base(paths: Sequence[Path]) -> Path:
    if len(paths) == 1:
        return paths[0]
    names = Paths.of(paths).names
    folder = os.path.dirname(names[0])
    if not all(map(operator.methodcaller("startswith", os.path.join(folder, "")), names)):
        folder = os.path.commonpath([os.path.dirname(name) for name in names])
    return Path(folder)


def _suffix(stack: Stack) -> str:
    series = stack.frames[0].header.series_number if len(stack.paths) > 1 else ""
    parts = [f"s{series}" if series else "", stack.part]
    return re.sub(r"[^a-z0-9.]+", "-", " ".join(filter(None, parts)).lower()).strip("-")


def _settled(stack: Stack) -> tuple[object, ...]:
    first = stack.frames[0]
    identity = first.header.identity
    return (identity.get("series_uid", ""), first.sop_uid, first.path, first.index)
