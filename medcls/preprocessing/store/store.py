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
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from medcls.config.settings import StoreSettings
from medcls.errors import ScanRefused
from medcls.files import cache_folder, storage_error
from medcls.leftovers import PART, sweep
from medcls.preprocessing.recipes.recipe import Recipe
from medcls.preprocessing.store.digest_cache import NAME, KnownContent
from medcls.preprocessing.store.digests import content_digest
from medcls.preprocessing.store.entry import StoredPrepared, read_entry, write_entry
from medcls.preprocessing.store.ingest import ingest
from medcls.preprocessing.store.kept_features import FEATURES
from medcls.preprocessing.store.leases import held, hold, locked
from medcls.scans.core.leniency import STRICT, Leniency
from medcls.scans.core.source import ReadableScan

__all__ = ["Place", "PreparedStore", "StoreSize", "content_digest", "default_store_folder"]

_MAKING = threading.Lock()
_SUFFIX = ".safetensors"
_USED_AGAIN_S = 3600.0  # an entry's time of use is written at most so often


@dataclass(frozen=True)
class StoreSize:
    """How much a store holds, or held.

    Attributes:
        entries: Prepared scans.
        bytes: What they take.
        kept: How many of them could not be removed, because a running process works with them.
    """

    entries: int
    bytes: int
    kept: int = 0


@dataclass(frozen=True)
class Place:
    """Where the result for a scan is or will be.

    Attributes:
        path: The entry.
        content: Digest of the scan's files.
        state: What the file system said of them.
    """

    path: Path
    content: str
    state: bytes


def default_store_folder() -> Path:
    """Where prepared scans are unless a folder is named: ``prepared`` in :func:`~medcls.files.cache_folder`."""
    return cache_folder("prepared")


@dataclass(frozen=True)
class PreparedStore:
    """A folder of prepared scans.

    Args:
        folder: Where it is; ``None``: :func:`default_store_folder`. It is made on first use.
        limit: Bytes that it may take; the entries that were used longest ago make room. ``None``: no limit.
    """

    folder: Path
    limit: int | None

    def __init__(self, folder: str | os.PathLike[str] | None = None, limit: int | None = None) -> None:
        object.__setattr__(self, "folder", Path(folder) if folder is not None else default_store_folder())
        object.__setattr__(self, "limit", limit)

    @classmethod
    def of(cls, settings: StoreSettings) -> PreparedStore:
        """The store that a config names."""
        return cls(settings.folder, settings.limit_bytes)

    def get_or_prepare(self, source: ReadableScan, recipe: Recipe, *, leniency: Leniency = STRICT) -> StoredPrepared:
        """The stored result for a scan, computed now if it is not there.

        Raises:
            ScanRefused: The scan cannot be read correctly, or is not what the recipe is for.
            StorageError: The store cannot be written.
        """
        place = self.place(source, recipe, leniency=leniency)
        self.hold([place])
        return self.open(place) or self.prepare(place, source, recipe, leniency=leniency)

    def find(self, source: ReadableScan, recipe: Recipe, *, leniency: Leniency = STRICT) -> StoredPrepared | None:
        """The stored result for a scan, or ``None``; at most the files are hashed.

        Raises:
            ScanRefused: A file cannot be read.
            StorageError: The store cannot be written.
        """
        return self.open(self.place(source, recipe, leniency=leniency))

    def place(self, source: ReadableScan, recipe: Recipe, *, leniency: Leniency = STRICT) -> Place:
        """Where the result for a scan is: its files are hashed, unless the file system says that they were before.

        Raises:
            ScanRefused: A file cannot be read.
            StorageError: The store cannot be written.
        """
        state, content = self._known().content(source)
        # One file can hold several scans, and a gap is read in one way or another.
        part = (getattr(source, "part", ""), getattr(source, "frames", ()), getattr(source, "shape", ()))
        text = "\n".join((content, repr(part), repr(leniency), recipe.digest, _reader_version()))
        key = hashlib.sha256(text.encode("utf-8")).hexdigest()
        return Place(self.folder / key[:2] / f"{key}{_SUFFIX}", content, state)

    def open(self, place: Place) -> StoredPrepared | None:
        """The entry at a place; ``None`` when it is missing or damaged. It counts as used now."""
        stored = read_entry(place.path)
        if stored is not None and stored.content != place.content:
            return None
        if stored is not None:
            with contextlib.suppress(OSError):
                if time.time() - place.path.stat().st_mtime > _USED_AGAIN_S:
                    os.utime(place.path)
        return stored

    def prepare(
        self, place: Place, source: ReadableScan, recipe: Recipe, *, leniency: Leniency = STRICT
    ) -> StoredPrepared:
        """Compute the entry of a place.

        Raises:
            ScanRefused, StorageError: As :meth:`get_or_prepare`.
        """
        made = ingest(source, recipe, leniency)
        if self._known().state(source) != place.state:
            raise ScanRefused(
                "changed", "the files changed while they were read", where=source.name, remedy="Search the folder again"
            )
        _make_private(place.path.parent)
        return write_entry(place.path, made, place.content)

    def hold(self, places: Collection[Place]) -> None:
        """Let nobody remove these entries, there or still to come, as long as this process lives.

        Raises:
            StorageError: The store cannot be written.
        """
        if places:
            self._make_folder()
            _sweep_once(self)
            try:
                hold(self.folder, [place.path.stem for place in places])
            except OSError as error:
                raise storage_error(error, self.folder) from error

    def size(self) -> StoreSize:
        """How many entries there are, and how many bytes they take."""
        found = list(self._entries())
        entries = sum(path.suffix == _SUFFIX for path, _ in found)
        return StoreSize(entries, sum(status.st_size for _, status in found))

    def trim(self, limit: int | None = None) -> StoreSize:
        """Remove the entries that were used longest ago until the rest fits; those that a running process holds stay.

        Args:
            limit: Bytes; ``None``: the store's own limit.

        Returns:
            What was removed, and how many entries would have been, were they not held.

        Raises:
            StorageError: An entry cannot be removed.
        """
        limit = self.limit if limit is None else limit
        if limit is None or not self.folder.is_dir():
            return StoreSize(0, 0)
        with locked(self.folder):
            entries = sorted(self._entries(), key=lambda entry: entry[1].st_mtime_ns)
            much = sum(status.st_size for _, status in entries) - limit
            return self._remove(entries, much, held(self.folder))

    def clear(self) -> StoreSize:
        """Remove all entries but those that another running process works with, and everything known of files.

        Half-written files of killed processes go too; other files are not touched.

        Returns:
            What was removed, and how many entries stay.

        Raises:
            StorageError: An entry cannot be removed.
        """
        if not self.folder.is_dir():
            return StoreSize(0, 0)
        with locked(self.folder):
            removed = self._remove(list(self._entries()), None, held(self.folder, by_this=False))
            self._sweep()
            _unlink(self.folder / NAME)
        _known.cache_clear()
        return removed

    def _remove(
        self, entries: Sequence[tuple[Path, os.stat_result]], wanted: int | None, used: Collection[str]
    ) -> StoreSize:
        """Remove entries that are not used, in their order, until ``wanted`` bytes are gone; all where that is ``None``."""
        count = gone = kept = 0
        for path, status in entries:
            if wanted is not None and gone >= wanted:
                break
            entry = path.suffix == _SUFFIX
            if path.stem.partition("-")[0] in used:
                kept += entry
                continue
            _unlink(path)
            count, gone = count + entry, gone + status.st_size
        return StoreSize(count, gone, kept)

    def _entries(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Every file that is kept: the entries, and the features of networks."""
        for suffix in (_SUFFIX, FEATURES) if self.folder.is_dir() else ():
            for path in self.folder.glob(f"??/*{suffix}"):
                with contextlib.suppress(OSError):
                    yield path, path.stat()

    def _sweep(self) -> None:
        parts = [f"??/.*{_SUFFIX}.*{PART}", f"??/.*{FEATURES}.*{PART}", f".known.*{PART}"]
        sweep(path for pattern in parts for path in self.folder.glob(pattern))

    def _known(self) -> KnownContent:
        with _MAKING:  # threads that come first all at once shall share one
            self._make_folder()
            return _known(self.folder, os.getpid())

    def _make_folder(self) -> None:
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, self.folder) from error
        _make_private(self.folder)


@lru_cache(maxsize=4)
def _sweep_once(store: PreparedStore) -> None:
    """Remove what killed processes left half-written; once, as a large store takes long to look through."""
    store._sweep()


@lru_cache(maxsize=4)
def _known(folder: Path, process: int) -> KnownContent:
    return KnownContent(folder)


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise storage_error(error, folder) from error


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(error, path) from error


@lru_cache(maxsize=1)
def _reader_version() -> str:
    """A new release may read scans better, so its entries are its own."""
    try:
        return version("medcls")
    except PackageNotFoundError:
        return "source"
