"""Where to compute, and in which number format and memory layout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from medcls.config.settings import NetworkName, TrainSettings
from medcls.errors import ConfigError
from medcls.networks.families import family_of

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True)
class Compute:
    """How a network is computed.

    Attributes:
        device: ``cpu`` or ``cuda``.
        precision: Lightning's name of the number format.
        channels_last: Whether channels are innermost in memory.
        tf32: Whether float32 is multiplied with 10 bits of fraction; on CUDA alone.
        compiled: Whether the training step goes through ``torch.compile``.
        fused: Whether the optimiser updates all tensors in one pass.
        float32_layers: Names of the layers that are computed in float32 where the others are not.
    """

    device: Literal["cpu", "cuda"]
    precision: Precision
    channels_last: bool
    tf32: bool = False
    compiled: bool = False
    fused: bool = True
    float32_layers: tuple[str, ...] = ()

    @property
    def mixed(self) -> bool:
        """Whether convolutions and products are computed in a format of fewer bits than float32."""
        return self.precision != "32-true"

    @property
    def is_plain(self) -> bool:
        """Whether the network is computed in float32, operation by operation."""
        return not (self.mixed or self.tf32 or self.compiled)

    def autocast(self) -> torch.autocast:
        """The context of a step, as Lightning's plugin for the precision has it."""
        kind = torch.float16 if self.precision == "16-mixed" else torch.bfloat16
        return torch.autocast(self.device, dtype=kind, enabled=self.mixed)

    def in_float32(self, network: NetworkName, dimensions: int, wanted: bool | None) -> Compute:
        """The same in float32, in the layout that then pays; TF32 stays.

        Args:
            network: Name of the network.
            dimensions: Spatial axes of the network.
            wanted: The layout that the config asks for.
        """
        layout = _channels_last(wanted, self.device, network, dimensions, fast_bf16=False)
        return replace(self, precision="32-true", channels_last=layout, float32_layers=())


def choose_compute(settings: TrainSettings, network: NetworkName, dimensions: int) -> Compute:
    """Resolve ``auto`` in the settings for this machine.

    Whether it may be used says :mod:`medcls.training.numerics.arithmetic`.

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
    return Compute(
        device,
        precision,
        _channels_last(settings.channels_last, device, network, dimensions, fast_bf16=fast_bf16),
        tf32=device == "cuda" and not settings.deterministic,
        compiled=settings.compile,
    )


def _channels_last(wanted: bool | None, device: str, network: NetworkName, dimensions: int, *, fast_bf16: bool) -> bool:
    # With fast bf16 it pays for every network.
    gains = device == "cuda" or fast_bf16 or dimensions in family_of(network).channels_last
    return gains if wanted is None else wanted


def gains_by_bf16(device: str) -> bool:
    """Whether the device has matrix units or dot products for bfloat16."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # A torch that cannot tell answers no, which is only slower.
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(bool(capabilities.get(name)) for name in ("amx_bf16", "avx512_bf16", "bf16"))


def memory_format(dimensions: int, channels_last: bool) -> torch.memory_format:
    """The memory format of a batch of 2-D or 3-D images."""
    if not channels_last:
        return torch.contiguous_format
    return torch.channels_last if dimensions == 2 else torch.channels_last_3d


def lay_out(network: nn.Module, dimensions: int, channels_last: bool) -> nn.Module:
    """Give a network's convolution weights the memory format; not where some are over other axes, as in a network of slices."""
    if any(parameter.ndim in (4, 5) and parameter.ndim != dimensions + 2 for parameter in network.parameters()):
        return network
    return network.to(memory_format=memory_format(dimensions, channels_last))  # type: ignore[call-overload, no-any-return]
