"""Files of tensors, read without running anything that stands in them.

``.safetensors`` holds nothing but numbers. ``.pth`` and ``.pt`` are pickles, and are read through torch's restricted
reader (``weights_only=True``), which makes tensors and plain containers and refuses everything else.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from medcls.bounded import WEIGHTS_BYTES, read_bounded, why_unreadable
from medcls.errors import WeightsError

_SUFFIXES = (".safetensors", ".pth", ".pt")
_NESTED = ("state_dict", "model_state_dict", "model")


@dataclass(frozen=True)
class TensorFile:
    """The tensors of a file, and its hash.

    Attributes:
        name: The file's name, without its folder.
        sha256: Hash of the very bytes that the tensors were read from.
        tensors: By name, on the CPU.
        metadata: Texts in the header of a ``.safetensors`` file.
    """

    name: str
    sha256: str
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_tensors(path: Path, *further: Path, name: str = "", sha256: str | None = None) -> TensorFile:
    """Read all tensors of a file.

    Args:
        path: A ``.safetensors``, ``.pth`` or ``.pt`` file, or its first part.
        further: Its other parts, in their order.
        name: The file's name, where those of its parts are others.
        sha256: Hexadecimal digits that the file's hash must begin with; nothing is parsed when it does not.

    Raises:
        WeightsError: The file cannot be read, has another hash, or holds no tensors or more than tensors.
    """
    name = name or path.name
    if Path(name).suffix.lower() not in _SUFFIXES:
        raise WeightsError("this is not a weights file", where=str(path), remedy=f"Give one of {', '.join(_SUFFIXES)}")
    data = read_whole(path, *further)
    digest = hashlib.sha256(data).hexdigest()
    if sha256 and not digest.startswith(sha256.strip().lower()):
        raise WeightsError(
            f"the file's SHA-256 is {digest[:16]}…, not {sha256.strip().lower()[:16]}…",
            where=str(path),
            remedy="Delete it and fetch it again, or correct model.weights_sha256",
        )
    suffix = Path(name).suffix.lower()
    tensors = _parse(data, path, suffix)
    if not tensors:
        raise WeightsError("the file holds no weights", where=str(path))
    return TensorFile(name, digest, tensors, _metadata(data) if suffix == ".safetensors" else {})


def read_whole(*paths: Path) -> bytes:
    """The bytes of a file of weights, of all its parts.

    Raises:
        WeightsError: It cannot be read.
    """
    parts, left = [], WEIGHTS_BYTES
    for path in paths:
        try:
            parts.append(read_bounded(path, left))
        except OSError as error:
            what = f"the file cannot be read: {why_unreadable(error)}"
            raise WeightsError(what, where=str(path), remedy="Give a file that you may read") from error
        left -= len(parts[-1])
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _parse(data: bytes, path: Path, suffix: str) -> dict[str, Tensor]:
    try:
        if suffix == ".safetensors":
            return safetensors.torch.load(data)
        _check_unpacked(data)
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file can make the readers raise anything
        raise WeightsError(
            "the file is damaged, or holds more than weights, and is not read",
            where=str(path),
            remedy="Fetch it again, or have it saved as .safetensors",
        ) from error
    return _only_tensors(content)


def _metadata(data: bytes) -> dict[str, str]:
    """The texts in the header of a safetensors file, which its own reader has passed."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return dict(header.get("__metadata__") or {})


def _check_unpacked(data: bytes) -> None:
    """torch packs nothing that it saves, so what unpacks to more than the file is made to fill the memory."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > len(data):
                raise ValueError("more than the file's size is in it")


def _only_tensors(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        return {}
    for name in _NESTED:
        if isinstance(content.get(name), Mapping):
            return _only_tensors(content[name])
    return {str(key): value for key, value in content.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not value.is_quantized
        and not value.is_complex()
    )
