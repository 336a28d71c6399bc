"""The index of a large folder: what a search found, so that a second look at an unchanged folder need not read again.

It is in the user's cache folder, and holds header attributes that name nobody, the numbers of files in the order of the walk,
and a digest of the folder's listing. No file name, path, or identifier is in it: names come from the walk, and identifiers
from the files when they are asked for.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from medcls import plugins
from medcls.bounded import read_bounded
from medcls.errors import StorageError
from medcls.files import cache_folder, write_bytes
from medcls.leftovers import PART, sweep
from medcls.scans.archive.walk import Entry
from medcls.scans.core.leniency import Leniency
from medcls.scans.core.paths import Paths
from medcls.scans.core.source import Found, Refusal, ScanSource
from medcls.scans.formats.installed import installed
from medcls.scans.probe.probe import Probed
from medcls.scans.search.naming import base_of
from medcls.scans.search.probe_many import probe_many

_LOOKS_ONLY: ContextVar[bool] = ContextVar("looks_only", default=False)
_FORMAT = 2
_WORTH_KEEPING = 256
_MOST_INDICES = 200
_MOST_BYTES = 1 << 30
_FINE_CLOCK, _COARSE_CLOCK = 50_000_000, 2_100_000_000
"""Nanoseconds within which a file may change unseen: a tick of the kernel's clock, or two seconds of FAT."""


@contextlib.contextmanager
def looking_only() -> Iterator[None]:
    """Keep no index of what is found within: nothing is written."""
    token = _LOOKS_ONLY.set(True)
    try:
        yield
    finally:
        _LOOKS_ONLY.reset(token)


def open_index(root: Path, entries: Sequence[Entry], leniency: Leniency) -> Index | None:
    """The index of a folder; ``None`` for a small one, which is as quickly looked at, and where there is no cache."""
    if len(entries) < _WORTH_KEEPING or not root.is_dir():
        return None
    try:
        state = os.stat(root)
        file = cache_folder("index") / f"{state.st_dev:x}-{state.st_ino:x}.json"
    except (OSError, StorageError):  # without a place to keep it, the folder is looked at each time
        return None
    return Index(file, root, tuple(entries), _digest(root, entries, leniency), time.time_ns())


@dataclass(frozen=True)
class Index:
    """What is known of one folder.

    Attributes:
        file: Where it is kept.
        root: The folder.
        entries: Its files, as walked.
        digest: Of their names, sizes and times, and of how the search was asked.
        opened: When, nanoseconds.
    """

    file: Path
    root: Path
    entries: tuple[Entry, ...] = field(repr=False)
    digest: str
    opened: int

    def found(self) -> Found | None:
        """What the last search found; ``None`` if it has changed since, or was never kept."""
        try:
            data = json.loads(read_bounded(self.file, _MOST_BYTES))
            if data["format"] != _FORMAT or data["digest"] != self.digest:
                return None
            return self._found(data)
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            return None

    def keep(self, found: Found) -> None:
        """Keep what a search found. A folder that changed just now is not kept: its next change might go unseen."""
        if _LOOKS_ONLY.get():
            return
        newest = max((max(entry.written, entry.changed) for entry in self.entries), default=0)
        margin = _FINE_CLOCK if newest % 1_000_000_000 else _COARSE_CLOCK
        if newest > self.opened - margin:
            return
        numbers = {entry.path: number for number, entry in enumerate(self.entries)}
        try:
            data = self._data(found, numbers)
        except KeyError:
            return  # members of archives have no number
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_room(self.file.parent)
            write_bytes(self.file, json.dumps(data, separators=(",", ":")).encode("utf-8"), private=True)

    def _data(self, found: Found, numbers: Mapping[str, int]) -> dict[str, Any]:
        def numbered(paths: Sequence[Path]) -> list[int]:
            return [numbers[name] for name in Paths.of(paths).names]

        return {
            "format": _FORMAT,
            "digest": self.digest,
            "scans": [
                {
                    **{name: getattr(scan, name) for name in _PLAIN},
                    "facts": dict(scan.attributes),
                    "files": numbered(scan.paths),
                    "suffix": self._suffix(scan),
                }
                for scan in found.scans
            ],
            "refused": [
                [item.code, item.reason, item.remedy, numbered(item.paths), self._suffix(item)]
                for item in found.refused
            ],
            "ignored": numbered(found.ignored),
        }

    def _suffix(self, item: ScanSource | Refusal) -> str:
        return item.name.removeprefix(base_of(item, self.root))

    def _found(self, data: dict[str, Any]) -> Found:
        def numbered(numbers: Sequence[int]) -> Paths:
            return Paths(self.entries[number].path for number in numbers)

        scans = tuple(self._scan(one, numbered(one["files"])) for one in data["scans"])
        refused = []
        for code, reason, remedy, files, suffix in data["refused"]:
            named = numbered(files)
            item = Refusal("", code, reason, remedy, named, HeaderIdentity(named))
            refused.append(replace(item, name=base_of(item, self.root) + suffix))
        return Found(scans, tuple(refused), numbered(data["ignored"]))

    def _scan(self, one: dict[str, Any], paths: Paths) -> ScanSource:
        values = {name: one[name] for name in _PLAIN}
        for name in ("shape", "spacing", "notes", "times"):
            values[name] = tuple(values[name])
        values["frames"] = tuple(tuple(frames) for frames in values["frames"])
        identity = HeaderIdentity(paths) if values["kind"] == "dicom" else {}
        source = ScanSource(name="", paths=paths, attributes=one["facts"], identity=identity, **values)
        return replace(source, name=base_of(source, self.root) + one["suffix"])


_PLAIN = ("kind", "modality", "shape", "spacing", "axes", "channels", "part", "syntax", "frames", "notes", "times")


class HeaderIdentity(Mapping[str, str]):
    """Identifiers of a scan, read from its files when they are asked for.

    Args:
        paths: The scan's files.
    """

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._series: dict[str, str] | None = None
        self._whole: dict[str, str] | None = None

    def __getitem__(self, key: str) -> str:
        return self._all()[key] if key == "sop_uids" else self._of_series()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _of_series(self) -> dict[str, str]:
        if self._series is None:
            first = _probe(self._paths[:1])[0]
            self._series = dict(first.frames[0].header.identity if first.frames else first.identity)
        return self._series

    def _all(self) -> dict[str, str]:
        if self._whole is None:
            found = _probe(self._paths)
            uids = dict.fromkeys(frame.sop_uid for probed in found for frame in probed.frames if frame.sop_uid)
            uids |= dict.fromkeys(probed.identity["sop_uids"] for probed in found if "sop_uids" in probed.identity)
            self._whole = {**self._of_series(), **({"sop_uids": " ".join(uids)} if uids else {})}
        return self._whole


def _probe(paths: Paths) -> list[Probed]:
    found = dict(probe_many(paths.names))
    return [found[name] for name in paths.names]


def _digest(root: Path, entries: Sequence[Entry], leniency: Leniency) -> str:
    digest = hashlib.blake2b(f"{_FORMAT} {_code()} {asdict(leniency)}\n".encode(), digest_size=32)
    start = len(str(root))
    paths, *states = zip(*entries, strict=True)
    digest.update("\0".join([path[start:] for path in paths]).encode("utf-8", "surrogateescape"))
    for column in states:
        digest.update(_as_bytes(column))
    return digest.hexdigest()


def _as_bytes(numbers: tuple[int, ...]) -> bytes:
    try:
        return np.array(numbers, np.int64).tobytes()
    except OverflowError:  # some file systems have inode numbers beyond
        return repr(numbers).encode("ascii")


@functools.cache
def _code() -> str:
    """Which reader this is, with what it could use: another one may find more, or other things."""
    states = [(file.name, file.stat()) for file in sorted(Path(__file__).parent.parent.rglob("*.py"))]
    files = [(name, state.st_size, state.st_mtime_ns) for name, state in states]
    libraries = [find_spec(name) is not None for name in ("SimpleITK", "cv2")]
    return hashlib.blake2b(
        repr([files, libraries, sorted(map(plugins.distribution_of, installed().values()))]).encode()
    ).hexdigest()


def _make_room(folder: Path) -> None:
    """Drop the oldest indices when there are many, and what is half-written and nobody writes."""
    sweep(folder.glob(f".*{PART}"))
    files = sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    for file in files[: max(0, len(files) - _MOST_INDICES + 1)]:
        file.unlink(missing_ok=True)
