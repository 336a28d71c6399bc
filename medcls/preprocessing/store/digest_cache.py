"""Known content: which digest a scan's files had when the file system last said the same of them.

So a start on an unchanged cohort asks the file system alone. The file holds pairs of digests, the first of them keyed, and no
name, path, or time. Lines are appended whole. One that was cut short by a crash, written over by another process, or made by
someone who can write here and not read the store's secret, fails its keyed checksum and is not believed: the files are then
hashed again.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import time
from functools import lru_cache
from pathlib import Path

from blake3 import blake3

from medcls.bounded import open_regular, read_bounded, why_unreadable
from medcls.errors import StorageError
from medcls.files import write_bytes
from medcls.preprocessing.store.digests import content_digest, state_digest
from medcls.scans.core.source import ReadableScan

NAME, KEY_NAME = "known.log", "known.key"
_KEY_BYTES, _DIGEST_BYTES, _CHECK_BYTES = 32, 32, 16
_LARGEST_LOG = 1 << 26
_LARGEST_KEY = 4096
_FINE_CLOCK, _COARSE_CLOCK = 50_000_000, 2_100_000_000
"""Nanoseconds within which a file may change unseen: a tick of the kernel's clock, or two seconds of FAT."""


class KnownContent:
    """The digests of files that were hashed before.

    Args:
        folder: Where they are kept; made by the caller.
    """

    def __init__(self, folder: Path) -> None:
        self._log = folder / NAME
        self._key = _key(folder / KEY_NAME)
        self._known = _read(self._log, self._key)

    def state(self, source: ReadableScan) -> bytes:
        """What the file system says of the files now: equal as long as nothing changes.

        Raises:
            ScanRefused: A file cannot be reached.
        """
        return state_digest(source, self._key)[0]

    def content(self, source: ReadableScan) -> tuple[bytes, str]:
        """The state of a scan's files, and the digest of their content, hashed only when the state is new.

        Raises:
            ScanRefused: A file cannot be read.
        """
        now = time.time_ns()
        state, newest = state_digest(source, self._key)
        known = self._known.get(state)
        if known is not None:
            return state, known.hex()
        content = content_digest(source)
        # A file that changed just now may change again within the clock's grain, and nobody would see it.
        margin = _FINE_CLOCK if newest % 1_000_000_000 else _COARSE_CLOCK
        if newest <= now - margin and self.state(source) == state:
            self._keep(state, bytes.fromhex(content))
        return state, content

    def _keep(self, state: bytes, content: bytes) -> None:
        self._known[state] = content
        line = b"\n" + (state + content + _check(state + content, self._key)).hex().encode("ascii")
        with contextlib.suppress(OSError):
            handle = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
            try:
                os.write(handle, line)  # one call, so that lines of several processes do not mix
            finally:
                os.close(handle)


@lru_cache(maxsize=4)
def secret(folder: Path) -> bytes:
    """The secret of the store in a folder; zeros where it has none yet."""
    try:
        return read_bounded(folder / KEY_NAME, _KEY_BYTES).rjust(_KEY_BYTES, b"\0")
    except OSError:
        return bytes(_KEY_BYTES)


def _key(path: Path) -> bytes:
    """The store's own secret, made on first use; of processes that make one at once, the first wins."""
    if not path.exists():
        _make_key(path)
    key = _read_key(path)
    if len(key) != _KEY_BYTES:  # a crash of the system, before it was on the disk
        path.unlink(missing_ok=True)
        _make_key(path)
        key = _read_key(path)
    secret.cache_clear()
    return key


def _read_key(path: Path) -> bytes:
    try:
        return read_bounded(path, _LARGEST_KEY)
    except OSError as error:
        what = f"the store's own key cannot be read: {why_unreadable(error)}"
        raise StorageError(what, where=str(path), remedy="Remove it; a new one is made") from error


def _make_key(path: Path) -> None:
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    write_bytes(beside, secrets.token_bytes(_KEY_BYTES), private=True)
    try:
        with contextlib.suppress(FileExistsError):
            # Both refuse to replace a file; a rename does so on Windows alone.
            (os.rename if sys.platform == "win32" else os.link)(beside, path)
    except OSError:  # a file system without links
        if not path.exists():
            os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _read(log: Path, key: bytes) -> dict[bytes, bytes]:
    try:
        with open_regular(log) as handle:
            lines = handle.read(4 * _LARGEST_LOG).split(b"\n")
    except OSError:
        return {}
    if sum(map(len, lines)) > _LARGEST_LOG:  # mostly files that are no more
        lines = lines[len(lines) // 2 :]
        with contextlib.suppress(Exception):
            write_bytes(log, b"\n".join([b"", *lines]), private=True)
    known = {}
    for line in lines:
        with contextlib.suppress(ValueError):
            data = bytes.fromhex(line.decode("ascii"))
            body, check = data[: 2 * _DIGEST_BYTES], data[2 * _DIGEST_BYTES :]
            if len(body) == 2 * _DIGEST_BYTES and check == _check(body, key):
                known[body[:_DIGEST_BYTES]] = body[_DIGEST_BYTES:]
    return known


def _check(body: bytes, key: bytes) -> bytes:
    return blake3(body, key=key).digest(length=_CHECK_BYTES)
