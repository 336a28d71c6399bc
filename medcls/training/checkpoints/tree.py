"""Nested Python values as JSON and tensors, and back, every value with its type.

JSON's own types stand for themselves: null, true, false, whole numbers, finite numbers, text and lists. Everything
else is an object with its kind under ``"is"``: ``{"is": "tuple", "of": [...]}``. Nothing is ever made by name from
the file: the kinds are the few below, and a value of another type is refused when it is saved.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medcls.errors import RunError

_KIND = "is"
_PLAIN = (type(None), bool, int, str)
_METADATA = "_metadata"  # torch keeps versions of modules as an attribute of a state dictionary
_LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}


def flatten(value: Any) -> tuple[Any, dict[str, Tensor]]:
    """Part a nested value into what JSON holds and tensors.

    Returns:
        A tree for ``json.dumps``, and the tensors it names: on the CPU, each with storage of its own.

    Raises:
        RunError: Somewhere in it is a value of a type that cannot be kept.
    """
    flattener = _Flattener()
    return flattener.visit(value, ()), flattener.tensors


def restore(tree: Any, tensors: dict[str, Tensor]) -> Any:
    """The value that :func:`flatten` parted.

    Raises:
        ValueError: The tree has a kind that is not known.
        KeyError: A tensor is missing.
    """
    if isinstance(tree, list):
        return [restore(one, tensors) for one in tree]
    if not isinstance(tree, dict):
        return tree
    kind = _KINDS.get(tree[_KIND])
    if kind is None:
        raise ValueError(f"unknown kind {tree[_KIND]}")
    return kind(tree, tensors)


class _Flattener:
    """Visits a nested value, and collects its tensors under the path that leads to them."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._visits: dict[type, Callable[[Any, tuple[str, ...]], Any]] = {
            float: _float,
            list: lambda value, path: [self.visit(one, (*path, str(i))) for i, one in enumerate(value)],
            tuple: lambda value, path: {_KIND: "tuple", "of": self.visit(list(value), path)},
            dict: self._dict,
            OrderedDict: self._ordered,
            Tensor: self._tensor,
            torch.nn.Parameter: self._parameter,
            np.ndarray: self._array,
        }

    def visit(self, value: Any, path: tuple[str, ...]) -> Any:
        if type(value) in _PLAIN:
            return value
        visit = self._visits.get(type(value))
        if visit is not None:
            return visit(value, path)
        if isinstance(value, np.generic) and not value.dtype.hasobject:
            return {_KIND: "scalar", "type": value.dtype.str, "bytes": value.tobytes().hex()}
        if isinstance(value, PurePath):
            return {_KIND: "path", "of": str(value)}
        raise _refusal(value, path)

    def _dict(self, value: dict[Any, Any], path: tuple[str, ...]) -> dict[str, Any]:
        items = [[self.visit(key, path), self.visit(one, (*path, str(key)))] for key, one in value.items()]
        return {_KIND: "dict", "of": items}

    def _ordered(self, value: OrderedDict[Any, Any], path: tuple[str, ...]) -> dict[str, Any]:
        tree = {**self._dict(value, path), _KIND: "ordered"}
        if hasattr(value, _METADATA):
            tree["metadata"] = self.visit(getattr(value, _METADATA), (*path, _METADATA))
        return tree

    def _tensor(self, value: Tensor, path: tuple[str, ...]) -> dict[str, Any]:
        if value.layout != torch.strided or value.is_quantized or value.is_complex():
            raise _refusal(value, path)
        tree = {_KIND: "tensor", "key": self._keep(value, path)}
        layout = _LAYOUTS.get(value.ndim)
        if layout is not None and not value.is_contiguous() and value.is_contiguous(memory_format=layout):
            tree["order"] = "channels_last"
        return tree

    def _parameter(self, value: torch.nn.Parameter, path: tuple[str, ...]) -> dict[str, Any]:
        return {_KIND: "parameter", "of": self._tensor(value, path), "grad": value.requires_grad}

    def _array(self, value: np.ndarray[Any, Any], path: tuple[str, ...]) -> dict[str, Any]:
        if value.dtype.hasobject or value.dtype.names is not None:
            raise _refusal(value, path)
        data = torch.frombuffer(bytearray(value.tobytes()), dtype=torch.uint8) if value.size else torch.empty(0)
        return {_KIND: "array", "key": self._keep(data, path), "type": value.dtype.str, "shape": list(value.shape)}

    def _keep(self, tensor: Tensor, path: tuple[str, ...]) -> str:
        name = key = "/".join(path) or "value"
        while key in self.tensors:
            key = f"{name}#{len(self.tensors)}"
        # A copy, because safetensors takes no two tensors that share their storage.
        self.tensors[key] = tensor.detach().to("cpu", copy=True).contiguous()
        return key


def _float(value: float, path: tuple[str, ...]) -> Any:
    return value if math.isfinite(value) else {_KIND: "float", "of": repr(value)}


def _refusal(value: Any, path: tuple[str, ...]) -> RunError:
    kind = type(value)
    return RunError(
        f"a checkpoint cannot hold a value of the type {kind.__module__}.{kind.__qualname__}",
        where="/".join(path),
        remedy="Keep numbers, text, tensors, lists, tuples and dictionaries in the state of a callback or module",
    )


def _restore_items(tree: dict[str, Any], tensors: dict[str, Tensor]) -> list[tuple[Any, Any]]:
    return [(restore(key, tensors), restore(one, tensors)) for key, one in tree["of"]]


def _restore_ordered(tree: dict[str, Any], tensors: dict[str, Tensor]) -> OrderedDict[Any, Any]:
    value = OrderedDict(_restore_items(tree, tensors))
    if "metadata" in tree:
        setattr(value, _METADATA, restore(tree["metadata"], tensors))
    return value


def _restore_tensor(tree: dict[str, Any], tensors: dict[str, Tensor]) -> Tensor:
    tensor = tensors[tree["key"]]
    return tensor.contiguous(memory_format=_LAYOUTS[tensor.ndim]) if "order" in tree else tensor


def _restore_array(tree: dict[str, Any], tensors: dict[str, Tensor]) -> np.ndarray[Any, Any]:
    data = tensors[tree["key"]].cpu().numpy().tobytes()
    return np.frombuffer(bytearray(data), dtype=np.dtype(tree["type"])).reshape(tree["shape"])


def _restore_scalar(tree: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    return np.frombuffer(bytes.fromhex(tree["bytes"]), dtype=np.dtype(tree["type"]))[0]


_KINDS: dict[str, Callable[[dict[str, Any], dict[str, Tensor]], Any]] = {
    "float": lambda tree, tensors: float(tree["of"]),
    "tuple": lambda tree, tensors: tuple(restore(tree["of"], tensors)),
    "dict": lambda tree, tensors: dict(_restore_items(tree, tensors)),
    "ordered": _restore_ordered,
    "tensor": _restore_tensor,
    "parameter": lambda tree, tensors: torch.nn.Parameter(restore(tree["of"], tensors), requires_grad=tree["grad"]),
    "array": _restore_array,
    "scalar": _restore_scalar,
    "path": lambda tree, tensors: Path(tree["of"]),
}
