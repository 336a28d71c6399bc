"""In which number format a network is computed: float32 without shortcuts, or single layers of it within autocast."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def float32_products(*, tf32: bool) -> Iterator[None]:
    """Multiply float32 on CUDA with 10 bits of fraction (TF32), or with all 23; as torch was told before afterwards.

    By torch's own default convolutions are multiplied as TF32, and matrices are not.
    """
    matrices, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matrices)
        torch.backends.cudnn.allow_tf32 = convolutions


@contextmanager
def exact_float32(device: str) -> Iterator[None]:
    """Compute in float32 alone: no autocast, no TF32."""
    with torch.autocast(device, enabled=False), float32_products(tf32=False):
        yield


@contextmanager
def layers_in_float32(network: nn.Module, names: Iterable[str]) -> Iterator[None]:
    """Within autocast, compute the layers of these names in float32, forward and backward.

    Args:
        network: The network; as before afterwards.
        names: As in ``network.named_modules()``.
    """
    layers = [network.get_submodule(name) for name in names]
    for layer in layers:
        setattr(layer, "forward", functools.partial(_without_autocast, layer.forward))  # noqa: B010  # the instance's own
    try:
        yield
    finally:
        for layer in layers:
            delattr(layer, "forward")


def over_floats(value: Any, change: Callable[[Tensor], Tensor], changed: dict[int, Tensor] | None = None) -> Any:
    """The same arguments or results, with every tensor of floats changed; one that stands there twice is changed once.

    Args:
        value: A tensor, or tuples, lists and dictionaries of them and of anything else, which stays.
        change: What is done to a tensor.
        changed: By the identity of a tensor, what it was changed to.
    """
    changed = {} if changed is None else changed
    if isinstance(value, Tensor) and value.is_floating_point():
        if id(value) not in changed:
            changed[id(value)] = change(value)
        return changed[id(value)]
    if type(value) in (tuple, list):
        return type(value)(over_floats(one, change, changed) for one in value)
    if type(value) is dict:
        return {name: over_floats(one, change, changed) for name, one in value.items()}
    return value


def floats_in(value: Any) -> list[Tensor]:
    """The tensors of floats in arguments or results, each once."""
    found: list[Tensor] = []

    def note(one: Tensor) -> Tensor:
        found.append(one)
        return one

    over_floats(value, note)
    return found


def _without_autocast(forward: Callable[..., Any], *given: Any, **named: Any) -> Any:
    # Autograd takes the backward pass in the format of what the forward pass kept.
    given, named = over_floats((given, named), Tensor.float)
    with torch.autocast(floats_in((given, named))[0].device.type, enabled=False):
        return forward(*given, **named)
