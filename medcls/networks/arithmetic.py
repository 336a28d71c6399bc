"""In which number format a network is computed: float32 without shortcuts, or single layers of it within autocast."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

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
        names: As in ``network.named_modules()``; each takes one tensor.
    """
    layers = [network.get_submodule(name) for name in names]
    for layer in layers:
        setattr(layer, "forward", functools.partial(_without_autocast, layer.forward))  # noqa: B010  # the instance's own
    try:
        yield
    finally:
        for layer in layers:
            delattr(layer, "forward")


def _without_autocast(forward: Callable[[Tensor], Tensor], given: Tensor) -> Tensor:
    # Autograd takes the backward pass in the format of what the forward pass kept.
    with torch.autocast(given.device.type, enabled=False):
        return forward(given.float())
