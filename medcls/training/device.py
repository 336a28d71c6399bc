"""Where to compute, and in which number format and memory layout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from medcls.config.settings import NetworkName, TrainSettings
from medcls.errors import ConfigError

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True)
class Compute:
    """How a network is computed.

    Attributes:
        device: ``cpu`` or ``cuda``.
        precision: Lightning's name of the number format.
        channels_last: Whether channels are innermost in memory.
    """

    device: Literal["cpu", "cuda"]
    precision: Precision
    channels_last: bool


def choose_compute(settings: TrainSettings, network: NetworkName, dimensions: int) -> Compute:
    """Resolve ``auto`` in the settings for this machine.

    Args:
        settings: The config's section.
        network: Name of the network.
        dimensions: Spatial axes of the network.

    Raises:
        ConfigError: CUDA is asked for and not there.
    """
    has_cuda = torch.cuda.is_available()
    if settings.device == "cuda" and not has_cuda:
        raise ConfigError("'train.device: cuda', but torch sees no CUDA device", remedy="Use auto or cpu")
    device: Literal["cpu", "cuda"] = "cuda" if has_cuda and settings.device != "cpu" else "cpu"
    fast_bf16 = gains_by_bf16(device)
    named: dict[str, Precision] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
    precision = named.get(settings.precision, "bf16-mixed" if fast_bf16 else "32-true")
    if device == "cpu" and precision == "16-mixed":
        raise ConfigError("'train.precision: 16' needs a CUDA device", remedy="Use auto, bf16 or 32")
    # On a CPU in float32 channels-last pays for every network but the 3-D DenseNets; with fast bf16 for those too.
    gains = device == "cuda" or fast_bf16 or not (dimensions == 3 and network.startswith("densenet"))
    channels_last = gains if settings.channels_last is None else settings.channels_last
    return Compute(device, precision, channels_last)


def gains_by_bf16(device: str) -> bool:
    """Whether the device has matrix units or dot products for bfloat16."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # A torch that cannot tell answers no, which is only slower.
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(bool(capabilities.get(name)) for name in ("amx_bf16", "avx512_bf16", "bf16"))


@contextmanager
def fast_arithmetic(compute: Compute, *, deterministic: bool) -> Iterator[None]:
    """Multiply float32 matrices as TF32 (10 bits of fraction) on CUDA, and as torch was told before afterwards.

    Convolutions do so by torch's own default. Where results must repeat bit by bit, nothing is changed.
    """
    before = torch.get_float32_matmul_precision()
    if compute.device == "cuda" and not deterministic:
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def memory_format(dimensions: int, channels_last: bool) -> torch.memory_format:
    """The memory format of a batch of 2-D or 3-D images."""
    if not channels_last:
        return torch.contiguous_format
    return torch.channels_last if dimensions == 2 else torch.channels_last_3d


def lay_out(network: nn.Module, dimensions: int, channels_last: bool) -> nn.Module:
    """Give a network's convolution weights the memory format."""
    return network.to(memory_format=memory_format(dimensions, channels_last))  # type: ignore[call-overload, no-any-return]
