"""What has no layers to hold against themselves: a compiled network, and an optimiser that updates all tensors in one pass."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from medcls.config.settings import TrainSettings
from medcls.networks.arithmetic import exact_float32
from medcls.training.device import Compute
from medcls.training.numerics.layer_check import TOLERANCE, Fault, computing, distance, untouched
from medcls.training.optimizers import build_optimizer

_FARTHER = 4.0  # times as far from float32 as operation by operation, or as long
_FUSED = 1e-3  # of a step's length; sums of two orders differ by about 1e-6
_STEPS = 3


def check_compiled(
    network: nn.Module,
    compiled: Callable[[Tensor], Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    compute: Compute,
    images: Tensor,
    targets: Tensor,
) -> Fault | None:
    """The worst gradient of a step through the compiled network, where it is no gradient of the network; else ``None``.

    It must be no more than four times as far from the gradient in float32 as that of the same step without compiling, or
    within the tolerance of :mod:`medcls.training.numerics.layer_check`, and be at most four times as long or as short. Dropout
    is off: a compiled one draws other numbers.
    """
    with untouched(network, compute.device):
        network.train()
        for module in network.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.eval()
        with exact_float32(compute.device):
            exact = _gradients(network, network, loss, images, targets)
        with computing(network, compute):
            with compute.autocast():
                plain = _gradients(network, network, loss, images, targets)
            with compute.autocast():
                found = _gradients(network, compiled, loss, images, targets)
    faults = [_compared(name, found[name], plain[name], exact[name], compute) for name in exact]
    return max((one for one in faults if one is not None), key=lambda one: one.error, default=None)


def _gradients(
    network: nn.Module,
    call: Callable[[Tensor], Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    targets: Tensor,
) -> dict[str, Tensor]:
    network.zero_grad(set_to_none=True)
    with torch.enable_grad():
        loss(call(images), targets).backward()  # type: ignore[no-untyped-call]
    return {name: one.grad for name, one in network.named_parameters() if one.grad is not None}


def _compared(name: str, found: Tensor, plain: Tensor, exact: Tensor, compute: Compute) -> Fault | None:
    usual = distance(plain, exact)
    error = distance(found, exact)
    length, factor = float(plain.norm()), _FARTHER * max(1.0, usual)
    as_long = length / factor <= float(found.norm()) <= length * factor
    if as_long and error <= max(_FARTHER * usual, TOLERANCE[compute.precision]):
        return None
    return Fault(name, "the compiled gradient", error)


def fused_agrees(network: nn.Module, settings: TrainSettings) -> bool:
    """Whether the fused optimiser moves copies of the weights as the plain one does, given the same gradients."""
    moved = []
    for fused in (False, True):
        one = copy.deepcopy(network)
        optimizer = build_optimizer(one, settings, fused=fused)
        generator = torch.Generator().manual_seed(0)
        for _ in range(_STEPS):
            for parameter in one.parameters():
                # In the layout of the weights, as autograd gives it: fused kernels go through memory as it is.
                parameter.grad = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=generator))
            optimizer.step()
        moved.append([(now - old).detach() for now, old in zip(one.parameters(), network.parameters(), strict=True)])
    plain, found = moved
    return all(distance(mine, theirs) <= _FUSED for mine, theirs in zip(found, plain, strict=True))
