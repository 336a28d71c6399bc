"""One entry of the prepared store: a safetensors file with the views of one scan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medcls.files import whole_file
from medcls.preprocessing.prepared import Prepared
from medcls.scans.scan import Scan

_FORMAT = "medcls-prepared-1"


@dataclass(frozen=True)
class StoredPrepared:
    """What a recipe made of one scan, on disk: light, and safe to send to another process.

    Attributes:
        path: The safetensors file.
        views: Number of views.
        shape: Shape of one view: ``(C, rows, columns)`` or ``(C, x, y, z)``.
        content: SHA-256 of the scan's files, hexadecimal; equal for copies of the same files.
        pixels: SHA-256 of the scan's voxels and shape, hexadecimal; equal for the same image in another file.
        modality: As :attr:`medcls.scans.Scan.modality`.
        facts: As :attr:`medcls.scans.Scan.facts`: they name nobody.
        notes: What reading and recipe decided about this scan.
    """

    path: Path = field(repr=False)
    views: int
    shape: tuple[int, ...]
    content: str
    pixels: str
    modality: str = "OT"
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def view(self, index: int) -> NDArray[np.float16]:
        """One view ``(C, …)``; only its own bytes are read, through a memory map."""
        from safetensors import safe_open

        with safe_open(self.path, framework="np") as entry:
            image: NDArray[np.float16] = entry.get_slice("images")[index]
        return image

    def read(self) -> Prepared:
        """All views and their affines."""
        from safetensors import safe_open

        with safe_open(self.path, framework="np") as entry:
            images, affines = entry.get_tensor("images"), entry.get_tensor("affines")
        return Prepared(images, affines, self.notes)


def write_entry(path: Path, prepared: Prepared, scan: Scan, content: str) -> StoredPrepared:
    """Write an entry as a whole file that only its owner may read.

    Raises:
        StorageError: The disk is full or read-only.
    """
    from safetensors.numpy import save

    stored = StoredPrepared(
        path=path,
        views=len(prepared.images),
        shape=prepared.images.shape[1:],
        content=content,
        pixels=_pixel_digest(scan),
        modality=scan.modality,
        facts=dict(scan.facts),
        notes=(*scan.notes, *prepared.notes),
    )
    metadata = {
        "format": _FORMAT,
        "key": path.stem,
        "check": _check(prepared.images, prepared.affines),
        "content": stored.content,
        "pixels": stored.pixels,
        "modality": stored.modality,
        "facts": json.dumps(dict(stored.facts)),
        "notes": json.dumps(list(stored.notes)),
    }
    with whole_file(path, private=True) as handle:
        handle.write(save({"images": prepared.images, "affines": prepared.affines}, metadata=metadata))
    return stored


def read_entry(path: Path) -> StoredPrepared | None:
    """The entry at ``path`` when it is there and whole; ``None`` when it is missing or damaged in any way."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as entry:
            metadata = entry.metadata() or {}
            images, affines = entry.get_tensor("images"), entry.get_tensor("affines")
        if metadata["format"] != _FORMAT or metadata["key"] != path.stem:
            return None
        if images.dtype != np.float16 or metadata["check"] != _check(images, affines):
            return None
        return StoredPrepared(
            path=path,
            views=len(images),
            shape=tuple(images.shape[1:]),
            content=metadata["content"],
            pixels=metadata["pixels"],
            modality=metadata["modality"],
            facts=json.loads(metadata["facts"]),
            notes=tuple(json.loads(metadata["notes"])),
        )
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        return None


def _check(images: NDArray[np.float16], affines: NDArray[np.float64]) -> str:
    digest = hashlib.sha256(repr((images.shape, affines.shape)).encode("ascii"))
    digest.update(np.ascontiguousarray(images).data)
    digest.update(np.ascontiguousarray(affines).data)
    return digest.hexdigest()


def _pixel_digest(scan: Scan) -> str:
    digest = hashlib.sha256(repr((scan.array.shape, scan.array.dtype.str)).encode("ascii"))
    digest.update(np.ascontiguousarray(scan.array).data)
    return digest.hexdigest()
