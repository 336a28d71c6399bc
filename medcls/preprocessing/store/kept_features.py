"""What frozen networks make of prepared scans, kept beside their entries: a few kilobytes in place of seconds.

A file is found by its entry and by a digest of what made it, so other weights or another recipe find nothing. It is checked
with the store's own secret, as entries are, and goes with the entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from medcls.bounded import read_bounded
from medcls.files import whole_file
from medcls.preprocessing.store.digest_cache import secret
from medcls.preprocessing.store.entry import StoredPrepared

FEATURES = ".features"
_CHECK_BYTES = 16
_LARGEST = 1 << 24


@dataclass(frozen=True)
class KeptFeatures:
    """The features that one network gives.

    Attributes:
        digest: Hexadecimal, of all that decides them.
    """

    digest: str

    def read(self, entry: StoredPrepared) -> NDArray[np.float32] | None:
        """The features ``(k,)`` of a prepared scan; ``None`` where they are not kept, or damaged."""
        path = self._path(entry)
        try:
            data = read_bounded(path, _LARGEST)
        except OSError:
            return None
        check, values = data[:_CHECK_BYTES], data[_CHECK_BYTES:]
        return np.frombuffer(values, "<f4") if check == _check(path, values) and len(values) % 4 == 0 else None

    def write(self, entry: StoredPrepared, features: NDArray[np.float32]) -> None:
        """Keep the features ``(k,)`` of a prepared scan.

        Raises:
            StorageError: The disk is full or read-only.
        """
        path, values = self._path(entry), np.ascontiguousarray(features, "<f4").tobytes()
        with whole_file(path, private=True) as handle:
            handle.write(_check(path, values) + values)

    def _path(self, entry: StoredPrepared) -> Path:
        return entry.path.with_name(f"{entry.path.stem}-{self.digest[:32]}{FEATURES}")


def _check(path: Path, values: bytes) -> bytes:
    return blake3(path.name.encode() + values, key=secret(path.parent.parent)).digest(length=_CHECK_BYTES)
