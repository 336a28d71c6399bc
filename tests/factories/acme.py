"""A format of scans that medcls does not read, and the package of a third party that does."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from medcls.scans.workers import pool
from tests.factories.packages import install

READER = """
import struct
import numpy as np
from medcls.scans import Format, Scan, ScanSource
from medcls.scans.archive import open_unpacked

def find(path):
    with open_unpacked(path) as file:
        _, columns, rows = struct.unpack("<4s2H", file.read(8))
    return ScanSource(name="", paths=(path,), kind="acme", modality="OT", shape=(columns, rows), spacing=(1.0, 1.0))

def read(source):
    with open_unpacked(source.paths[0]) as file:
        pixels = np.frombuffer(file.read()[8:], np.uint8).reshape(source.shape[::-1])
    return Scan(array=pixels.T[None].copy(), affine=np.eye(4), has_geometry=False, paths=source.paths)

FORMAT = Format("acme", matches=lambda head: head.startswith(b"ACME"), find=find, read=read)
"""


def install_reader(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str = READER, *, name: str = "acme") -> None:
    """Install the package, for this process and for workers that start from now on."""
    module = f"{folder.name.replace('-', '_')}_reader"
    install(folder, monkeypatch, module, "medcls.readers", {name: f"{module}:FORMAT"}, source)
    pool.workers.end()


def acme_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """A file of ``(rows, columns)``."""
    return struct.pack("<4s2H", b"ACME", *pixels.shape[::-1]) + pixels.tobytes()
