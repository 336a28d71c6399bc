"""Formats that installed packages add: asked only where no shipped format matches, and only in a worker of the sandbox."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

from medcls import plugins
from medcls.errors import ScanRefused, UsageError
from medcls.scans.core.libraries import make_room
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ScanSource
from medcls.scans.formats import FORMATS
from medcls.scans.formats.format import Format

GROUP = "medcls.readers"
"""Entry points of installed packages: from the name of a format to its :class:`Format`."""
_LIBRARY_BYTES = 2**30


def installed() -> Mapping[str, EntryPoint]:
    """The entry points by name; nothing is imported."""
    return _installed(tuple(sys.path))


@functools.lru_cache(maxsize=1)
def _installed(_: tuple[str, ...]) -> Mapping[str, EntryPoint]:
    return plugins.installed(GROUP)


def maker(kind: str) -> str:
    """The distribution that adds a format; empty for those of medcls."""
    entry = None if kind == "dicom" or kind in FORMATS else installed().get(kind)
    return "" if entry is None else plugins.distribution_of(entry)


def matching(head: bytes) -> Format | None:
    """The format of a file that begins with these bytes; ``None`` where no package knows it.

    Raises:
        ScanRefused: None knows it, and one cannot be used.
    """
    broken: ScanRefused | None = None
    for name in sorted(installed()):
        try:
            found = named(name)
            if found.matches(head):
                return found
        except ScanRefused as error:
            broken = broken or error
    if broken is not None:
        raise broken
    return None


@functools.cache
def named(name: str) -> Format:
    """The format of a name, whose errors name the package that it is of.

    Raises:
        ScanRefused: ``unsupported``: no installed package has it, or the one that has it is broken.
    """
    make_room(_LIBRARY_BYTES)  # what it imports is no part of a scan
    try:
        given = plugins.load(GROUP, name)
        entry = installed()[name]
        if not isinstance(given, Format) or given.name != name or name in (*FORMATS, "dicom"):
            raise plugins.broken(entry, f"it gives no Format that is called '{name}', or medcls has one of this name")
    except UsageError as error:
        raise refusal(RefusalCode.UNSUPPORTED, error.what, remedy=error.remedy) from error
    return _blamed(given, entry)


def _blamed(given: Format, entry: EntryPoint) -> Format:
    def matches(head: bytes) -> bool:
        with _blaming(entry):
            return bool(given.matches(head))

    def find(path: Path) -> ScanSource:
        with _blaming(entry):
            return replace(given.find(path), kind=given.name)

    def read(source: ScanSource) -> Scan:
        with _blaming(entry):
            return replace(given.read(source), kind=given.name)

    return replace(given, matches=matches, find=find, read=read)


@contextlib.contextmanager
def _blaming(entry: EntryPoint) -> Iterator[None]:
    """Let errors of the block name the package: refusals and those of the system say enough."""
    try:
        yield
    except (ScanRefused, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        what = f"the plug-in '{entry.name}' of the package {plugins.distribution_of(entry)} fails on this file"
        remedy = "Export the file again, or tell whoever keeps the package"
        raise refusal(RefusalCode.DAMAGED, what, remedy=remedy) from error
