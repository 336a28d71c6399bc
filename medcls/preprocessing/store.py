"""The prepared store: what recipes made of scans, computed once and kept.

An entry is found by what it was made from, never by name or date: the bytes of the scan's files, how they are read, and the
recipe. So a changed file or recipe is another entry, equal scans are stored once, and cohorts that overlap share entries.
Entries appear whole or not at all, any number of processes may write, and a damaged entry is computed again. They hold patient
data, so only their owner may read them; they hold no name, identifier or path.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

from medcls.errors import ScanRefused
from medcls.files import cache_folder, storage_error
from medcls.preprocessing.recipe import Recipe
from medcls.preprocessing.stored import StoredPrepared, read_entry, write_entry
from medcls.scans.archive import file_stat, open_file
from medcls.scans.leniency import STRICT, Leniency
from medcls.scans.scan import Scan

_CHUNK = 1 << 20
_SUFFIX = ".safetensors"


class ReadableScan(Protocol):
    """What the store needs of a scan that was found: its files in order, and how to read them."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def paths(self) -> Sequence[Path]:
        """The files, in the order that they are read."""

    def read(self, *, leniency: Leniency = STRICT) -> Scan:
        """Read the scan."""


@dataclass(frozen=True)
class StoreSize:
    """How much a store holds."""

    entries: int
    bytes: int


def default_store_folder() -> Path:
    """Where prepared scans lie unless a folder is named: ``prepared`` in :func:`~medcls.files.cache_folder`."""
    return cache_folder("prepared")


@dataclass(frozen=True)
class PreparedStore:
    """A folder of prepared scans.

    Args:
        folder: Where it lies; ``None``: :func:`default_store_folder`. It is made on first use.
    """

    folder: Path

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        object.__setattr__(self, "folder", Path(folder) if folder is not None else default_store_folder())

    def get_or_prepare(self, source: ReadableScan, recipe: Recipe, *, leniency: Leniency = STRICT) -> StoredPrepared:
        """The stored result for a scan, computed now if it is not there.

        Raises:
            ScanRefused: The scan cannot be read rightly, or is not what the recipe is for.
            StorageError: The store cannot be written.
        """
        before = _stamps(source)
        content = content_digest(source)
        path = self._path(content, source, recipe, leniency)
        stored = read_entry(path)
        if stored is not None:
            return stored
        scan = source.read(leniency=leniency)
        try:
            prepared = recipe.prepare(scan)
        except ScanRefused as error:
            raise error.at(source.name) from error
        if _stamps(source) != before:
            raise ScanRefused(
                "changed", "the files changed while they were read", where=source.name, remedy="Search the folder again"
            )
        self._make_folder(path.parent)
        return write_entry(path, prepared, scan, content)

    def find(self, source: ReadableScan, recipe: Recipe, *, leniency: Leniency = STRICT) -> StoredPrepared | None:
        """The stored result for a scan, or ``None``; nothing is computed but a hash of the files.

        Raises:
            ScanRefused: A file cannot be read.
        """
        return read_entry(self._path(content_digest(source), source, recipe, leniency))

    def size(self) -> StoreSize:
        """How many entries there are, and how many bytes they take."""
        lengths = []
        for path in self._entries():
            with contextlib.suppress(OSError):
                lengths.append(path.stat().st_size)
        return StoreSize(len(lengths), sum(lengths))

    def clear(self) -> StoreSize:
        """Remove all entries, and what killed processes left half-written; other files are not touched.

        Returns:
            What the store held.

        Raises:
            StorageError: An entry cannot be removed.
        """
        held = self.size()
        leftovers = self.folder.glob(f"??/.*{_SUFFIX}.*.part") if self.folder.is_dir() else ()
        for path in (*self._entries(), *leftovers):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise storage_error(error, path) from error
        return held

    def _entries(self) -> list[Path]:
        return sorted(self.folder.glob(f"??/*{_SUFFIX}")) if self.folder.is_dir() else []

    def _path(self, content: str, source: ReadableScan, recipe: Recipe, leniency: Leniency) -> Path:
        # One file can hold several scans, and a gap is read in one way or another.
        part = (getattr(source, "part", ""), getattr(source, "frames", ()), getattr(source, "shape", ()))
        text = "\n".join((content, repr(part), repr(leniency), recipe.digest, _reader_version()))
        key = hashlib.sha256(text.encode("utf-8")).hexdigest()
        return self.folder / key[:2] / f"{key}{_SUFFIX}"

    def _make_folder(self, folder: Path) -> None:
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise storage_error(error, folder) from error


def content_digest(source: ReadableScan) -> str:
    """SHA-256 over the lengths and bytes of a scan's files, in order, hexadecimal.

    Raises:
        ScanRefused: A file cannot be read.
    """
    whole = hashlib.sha256()
    try:
        for path in source.paths:
            single = hashlib.sha256()
            with open_file(path) as handle:
                while chunk := handle.read(_CHUNK):
                    single.update(chunk)
            whole.update(single.digest())
    except OSError as error:
        raise _unreadable(source) from error
    return whole.hexdigest()


def _stamps(source: ReadableScan) -> tuple[tuple[int, int], ...]:
    try:
        return tuple(map(file_stat, source.paths))
    except OSError as error:
        raise _unreadable(source) from error


def _unreadable(source: ReadableScan) -> ScanRefused:
    return ScanRefused(
        "unreadable",
        "a file cannot be read",
        where=source.name,
        remedy="Check that it exists, and who may read it",
    )


@lru_cache(maxsize=1)
def _reader_version() -> str:
    """A new release may read scans better, so its entries are its own."""
    try:
        return version("medcls")
    except PackageNotFoundError:
        return "source"
