"""Where a published file is on this machine: in the weights folder, in installed packages, or nowhere yet.

Of a package only its metadata and its files are looked at; its code is never imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Literal

from medcls.config.site_weights import weights_folder
from medcls.errors import WeightsError
from medcls.files import whole_file
from medcls.networks.sources import Packaged, Source
from medcls.progress import SILENT, Progress

_TIMEOUT_SECONDS = 30.0
_PIECE = 1 << 20


@dataclass(frozen=True)
class Found:
    """A file on this machine.

    Attributes:
        paths: Its parts in their order; mostly one.
        kind: Whether it is in the weights folder, or in installed packages.
        place: The same for people, without a path: names and versions of the packages.
    """

    paths: tuple[Path, ...]
    kind: Literal["folder", "package"]
    place: str

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(path.stat().st_size for path in self.paths)


def find(source: Source, *, folder: Path | None = None) -> Found | None:
    """Where a file is on this machine: the weights folder comes before packages; ``None``: nowhere.

    Args:
        source: The file.
        folder: In place of :func:`medcls.config.site_weights.weights_folder`.
    """
    path = (folder or weights_folder()) / source.file
    if os.path.lexists(path):
        return Found((path,), "folder", "the weights folder")
    return None if source.packaged is None else _in_packages(source.packaged)


def fetch(source: Source, *, folder: Path | None = None, progress: Progress = SILENT) -> Found:
    """The file on this machine, after a download when it is nowhere yet.

    Raises:
        WeightsError: It is not here and cannot be downloaded, or what came is not what was published.
        StorageError: The disk is full, or the folder may not be written to.
    """
    folder = folder or weights_folder()
    found = find(source, folder=folder)
    if found is not None:
        return found
    if not source.url:
        raise WeightsError(f"the weights {source.file} are not on this machine", remedy=_how_to_get(source, folder))
    target = folder / source.file
    progress.begin(f"Downloading {source.url}")
    try:
        with contextlib.closing(_open(source.url)) as response:
            _save(response, source, target)
    except (OSError, HTTPException, ValueError) as error:
        raise WeightsError(
            f"the weights {source.file} are not on this machine and cannot be downloaded",
            remedy=_how_to_get(source, folder),
        ) from error
    return Found((target,), "folder", "the weights folder")


def _in_packages(packaged: Packaged) -> Found | None:
    paths, names = [], []
    for name, part in packaged.parts:
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            return None
        path = Path(str(installed.locate_file(part)))
        if not path.is_file():
            return None
        paths.append(path)
        names.append(f"{installed.name} {installed.version}")
    return Found(tuple(paths), "package", f"the package {', '.join(names)}")


def _how_to_get(source: Source, folder: Path) -> str:
    put = f"ut {source.url or f'the file {source.file}'} into {folder}"
    if source.page:
        put += f"; it is given at {source.page}"
    return f"P{put}" if source.packaged is None else f"pip install 'medcls[{source.packaged.extra}]', or p{put}"


def _open(url: str) -> Any:
    response = urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS)
    # A redirect to plain http could be answered by anyone on the way.
    if not response.geturl().startswith("https://"):
        response.close()
        raise ValueError("redirected to an address that is not https")
    return response


def _save(response: Any, source: Source, target: Path) -> None:
    expected = response.headers.get("Content-Length")
    digest = hashlib.sha256()
    size = 0
    with whole_file(target) as handle:
        while piece := response.read(_PIECE):
            handle.write(piece)
            digest.update(piece)
            size += len(piece)
        # http.client ends a broken connection like a finished one when it is read in pieces.
        if expected is not None and size != int(expected):
            raise ValueError(f"the connection ended after {size} of {expected} bytes")
        if not digest.hexdigest().startswith(source.sha256):
            raise WeightsError(
                "the downloaded file is not the published one: its hash differs",
                where=source.url,
                remedy=f"Fetch {source.file} another way and put it into {target.parent}",
            )
