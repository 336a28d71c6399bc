"""Lightning's checkpoints as one file without pickle, whole or not at all.

Lightning's own are pickles, which run what they hold, and are written in place. Here a checkpoint is a safetensors
file: its tensors under readable names, and everything else as JSON in the file's metadata
(:mod:`medcls.training.checkpoints.tree`). A SHA-256 over both is kept beside them, so that a file with one wrong bit
is refused and not resumed from.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from lightning.fabric.plugins import CheckpointIO
from torch import Tensor

from medcls.bounded import WEIGHTS_BYTES, parse_json, read_bounded, why_unreadable
from medcls.errors import RunError
from medcls.files import write_bytes
from medcls.training.checkpoints.tree import flatten, restore

FORMAT = "medcls-checkpoint-1"


class SafeCheckpointIO(CheckpointIO):  # type: ignore[misc]  # lightning is not typed here
    """Saves and loads the nested dictionary that Lightning calls a checkpoint; for ``Trainer(plugins=[...])``."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a checkpoint. A crash at any moment leaves the old file or the new one.

        Raises:
            RunError: It holds something that no checkpoint of ours can hold.
            StorageError: The disk is full, or the folder may not be written to.
        """
        if storage_options is not None:
            raise RunError("storage options are not known", where=str(path))
        tree, tensors = flatten(checkpoint)
        text = json.dumps(tree, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        metadata = {"format": FORMAT, "tree": text, "sha256": _digest(text, tensors)}
        write_bytes(path, safetensors.torch.save(tensors, metadata))

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint back, every value with its type.

        Args:
            path: The file.
            map_location: A device for the tensors; a function, as torch's pickles take, means the CPU here.
            weights_only: Without effect: nothing here can run.

        Raises:
            RunError: The file is missing, damaged, or no checkpoint of ours.
        """
        text, tensors = _read(Path(path))
        if isinstance(map_location, str | torch.device):
            tensors = {key: tensor.to(map_location) for key, tensor in tensors.items()}
        try:
            checkpoint = restore(parse_json(text), tensors)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise _damaged(Path(path)) from error
        if not isinstance(checkpoint, dict):
            raise _damaged(Path(path))
        return checkpoint

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Delete a checkpoint; one that is already gone is no error."""
        with contextlib.suppress(FileNotFoundError):
            Path(path).unlink()


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    # The whole file is read at once, and not mapped into memory: a mapped file cannot be replaced on Windows.
    try:
        data = read_bounded(path, WEIGHTS_BYTES)
    except OSError as error:
        what = f"the checkpoint cannot be read: {why_unreadable(error)}"
        raise RunError(what, where=str(path), remedy="Start the run afresh") from error
    try:
        tensors = safetensors.torch.load(data)
        metadata = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        text, digest, kind = metadata["tree"], metadata["sha256"], metadata["format"]
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path) from error
    if kind != FORMAT:
        raise RunError(f"the checkpoint is of the format {kind}, not {FORMAT}", where=str(path))
    if _digest(text, tensors) != digest:
        raise _damaged(path)
    return text, tensors


def _digest(text: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode("ascii"))
    for key in sorted(tensors):
        digest.update(key.encode("utf-8"))
        digest.update(tensors[key].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _damaged(path: Path) -> RunError:
    return RunError(
        "the checkpoint is damaged, or none of ours", where=str(path), remedy="Delete it and resume from an earlier one"
    )
