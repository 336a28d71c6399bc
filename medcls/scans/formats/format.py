"""Format: everything that medcls must know of a format of scans, in one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ScanSource

HEAD = 1024
"""First bytes of a file that :attr:`Format.matches` gets; a shorter file is seen whole."""


@dataclass(frozen=True)
class Format:
    """Files of one kind, each of which is a scan of its own. ``find`` and ``read`` run in the sandbox.

    Attributes:
        name: What :attr:`ScanSource.kind` says.
        matches: Whether a file that begins with these bytes is of this format; cheap, as every file is asked.
        find: The source of a file, from its header; :attr:`ScanSource.name` is given by the search. The path may be that of a
            member of an archive: :func:`medcls.scans.archive.open_unpacked` opens both. Raises
            :class:`medcls.errors.ScanRefused`, as :func:`medcls.scans.core.refusals.refusal` makes it.
        read: The scan of a source; raises as ``find``.
        endings: Of its files' names, in small letters. They decide nothing: files are told by content.
        packed: Whether files are packed by gzip as a rule, so that ``matches`` gets what is inside.
        voxels: Endings of files that hold nothing but voxels, each with that of the header beside it.
        title: What people call it; empty: its name.
    """

    name: str
    matches: Callable[[bytes], bool]
    find: Callable[[Path], ScanSource]
    read: Callable[[ScanSource], Scan]
    endings: tuple[str, ...] = ()
    packed: bool = False
    voxels: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
