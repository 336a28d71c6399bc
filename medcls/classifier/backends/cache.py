"""Converted networks that are kept in the user's cache folder, so that the next start need not convert.

Each is one file without pickle, named after everything that decides what it holds. It is checked against its own digest before
OpenVINO reads it, is private to the user, and may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medcls.bounded import WEIGHTS_BYTES, parse_json, read_bounded
from medcls.errors import StorageError
from medcls.files import cache_folder, write_bytes
from medcls.leftovers import PART, sweep
from medcls.networks import ClassificationNetwork

FORMAT = 1  # raise it when conversion changes: files of the old one are then never read
LIMIT = 2_000_000_000
"""Bytes that all of them may take; the least recently used go first."""
_ENDING = ".safetensors"


@dataclass(frozen=True)
class Graph:
    """A network in OpenVINO's form.

    Attributes:
        structure: The XML.
        weights: The numbers that it refers to.
    """

    structure: bytes
    weights: bytes


@dataclass(frozen=True)
class Key:
    """What decides a converted network, as 64 hexadecimal digits."""

    digest: str

    @classmethod
    def of(cls, network: ClassificationNetwork, size: tuple[int, ...], weights_sha256: str, version: str) -> Key:
        """The key of a network's conversion.

        Args:
            network: The network; what it is built of shows in its modules, and how it mirrors images does not.
            size: Spatial shape of its input.
            weights_sha256: Of its weights' file.
            version: Of OpenVINO.
        """
        parts = [FORMAT, weights_sha256, version, str(network), network.mirrorings, network.channels, list(size)]
        return cls(hashlib.sha256(json.dumps(parts).encode("utf-8")).hexdigest())

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return cache_folder("engines") / f"{self.digest}{_ENDING}"


def kept(key: Key) -> Graph | None:
    """The network that was kept under a key; ``None`` when there is none, or it is damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        data = read_bounded(key.path, WEIGHTS_BYTES)
        tensors = load(data)
        graph = Graph(*(tensors[name].tobytes() for name in ("structure", "weights")))
        expected = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["sha256"]
        os.utime(key.path)
    except (OSError, StorageError, SafetensorError, LookupError, ValueError, TypeError):
        return None
    return graph if expected == _digest(graph) else None


def keep(key: Key, graph: Graph) -> None:
    """Keep a network; where nothing can be written, nothing is."""
    from safetensors.numpy import save

    tensors = {
        "structure": np.frombuffer(graph.structure, np.uint8),
        "weights": np.frombuffer(graph.weights, np.uint8),
    }
    with contextlib.suppress(OSError, StorageError):
        folder = key.path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sweep(folder.glob(f".*{PART}"))
        write_bytes(key.path, save(tensors, {"sha256": _digest(graph)}), private=True)
        for path in _too_many(folder):
            path.unlink(missing_ok=True)


def _too_many(folder: Path) -> Iterator[Path]:
    """The files beyond :data:`LIMIT`, the newest apart."""
    states = sorted(((path, path.stat()) for path in folder.glob(f"*{_ENDING}")), key=lambda one: -one[1].st_mtime_ns)
    total = 0
    for number, (path, state) in enumerate(states):
        total += state.st_size
        if number and total > LIMIT:
            yield path


def _digest(graph: Graph) -> str:
    return hashlib.sha256(len(graph.structure).to_bytes(8, "big") + graph.structure + graph.weights).hexdigest()
