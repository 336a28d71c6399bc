"""Named sources of pretrained weights: which file, from where, with which hash, and where it is on this machine.

* ``imagenet``: torchvision's ImageNet-1k weights (version 1), 2-D. The eight digits in a file's name begin its SHA-256.
* ``medicalnet``: Tencent's MedicalNet (Chen et al., 'Med3D', arXiv 1904.00625), 3-D, one channel, trained on 23 data
  sets where there is such a file. No hash is published with them; the report says the hash of what was loaded, so
  that a config can hold to it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from medcls.errors import WeightsError
from medcls.files import cache_folder, whole_file
from medcls.progress import SILENT, Progress

WEIGHTS_VARIABLE = "MEDCLS_WEIGHTS"
_TIMEOUT_SECONDS = 30.0
_PIECE = 1 << 20


@dataclass(frozen=True)
class Source:
    """One published file.

    Attributes:
        file: Its name.
        url: Where it is published.
        sha256: The first digits of its hash, or nothing where none are published.
    """

    file: str
    url: str
    sha256: str = ""


def torchvision(file: str) -> Source:
    """One of torchvision's files: its name ends in the digits that its hash begins with."""
    return Source(file, f"https://download.pytorch.org/models/{file}", Path(file).stem.rpartition("-")[2])


DIMENSIONS = {"imagenet": 2, "medicalnet": 3}
"""The named sources, with the spatial axes of their networks."""


def find_source(source: str, published: Mapping[str, Mapping[str, Source]], *, name: str, dimensions: int) -> Source:
    """The published file of a named source for a network.

    Args:
        source: One of :data:`DIMENSIONS`.
        published: Named source to network to file.
        name: The network, as the settings call it.
        dimensions: 2 or 3.

    Raises:
        WeightsError: The source has no weights for it.
    """
    files = published[source]
    if DIMENSIONS[source] != dimensions:
        other = next((one for one, axes in DIMENSIONS.items() if axes == dimensions and name in published[one]), None)
        raise WeightsError(
            f"the {source} weights are {DIMENSIONS[source]}-D, and this network is {dimensions}-D",
            where="model.weights",
            remedy=f"Choose {other}" if other else "Leave out model.weights, or name a file",
        )
    if name not in files:
        raise WeightsError(
            f"there are no {source} weights for {name}",
            where="model.weights",
            remedy=f"There are for {', '.join(files)}",
        )
    return files[name]


def weights_folder() -> Path:
    """Where weights are: ``$MEDCLS_WEIGHTS``, else ``weights`` in the user's cache folder."""
    named = os.environ.get(WEIGHTS_VARIABLE)
    if named:
        return Path(named)
    return cache_folder("weights")


def fetch(source: Source, *, folder: Path | None = None, progress: Progress = SILENT) -> Path:
    """The path of a published file on this machine, after a download when it is not there yet.

    Raises:
        WeightsError: It is not there and cannot be downloaded, or what came is not what was published.
        StorageError: The disk is full, or the folder may not be written to.
    """
    target = (folder or weights_folder()) / source.file
    if target.exists():
        return target
    progress.begin(f"Downloading {source.url}")
    try:
        with contextlib.closing(_open(source.url)) as response:
            _save(response, source, target)
    except (OSError, HTTPException, ValueError) as error:
        raise WeightsError(
            f"the weights {source.file} are not on this machine and cannot be downloaded",
            remedy=f"Put {source.url} into {target.parent}",
        ) from error
    return target


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
