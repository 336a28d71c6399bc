"""Low-rank adaptation: the backbone stays as it is, and what is added to each of its weights has a low rank.

Hu et al., 'LoRA: Low-Rank Adaptation of Large Language Models' (ICLR 2022), section 4.1. Of a convolution the weight is taken
as a matrix of its outputs by all that each of them sees. What was learnt is added to the weights at the end, so that the
saved network is the plain one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from medcls.errors import ConfigError
from medcls.networks.architecture import ClassificationNetwork

_WEIGHTS = ("weight", "in_proj_weight")  # the second is that of torch's attention


class LowRank(nn.Module):
    """A weight with a product of two narrow matrices added to it, of which the second begins with zeros.

    Args:
        weight: As it is, ``(outputs, …)``.
        rank: Of what is added, at most what the weight can have.
        alpha: What is added counts ``alpha / rank`` times.
        generator: For the first matrix.
    """

    def __init__(self, weight: Tensor, *, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        outputs, inputs = len(weight), weight[0].numel()
        rank = min(rank, outputs, inputs)
        bound = 1 / math.sqrt(inputs)
        first = torch.empty(rank, inputs).uniform_(-bound, bound, generator=generator)
        self.first = nn.Parameter(first.to(weight))
        self.second = nn.Parameter(torch.zeros(outputs, rank).to(weight))
        self.scale = alpha / rank

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with what was learnt, in its own format also under a reduced one."""
        with torch.autocast(weight.device.type, enabled=False):
            added = (self.second @ self.first).view(weight.shape)
            return weight + self.scale * added


def adapt(network: ClassificationNetwork, *, rank: int, alpha: float, seed: int) -> int:
    """Let the backbone learn by low-rank additions alone, in the blocks that are not frozen; the last layer learns as before.

    Args:
        network: The network, where it is to be trained; it is changed in place. It gives the same scores as before.
        rank: Of each addition.
        alpha: See :class:`LowRank`.
        seed: Of the additions.

    Returns:
        How many numbers are trained.

    Raises:
        ConfigError: No weight can be adapted.
    """
    generator = torch.Generator().manual_seed(seed)
    found = list(_weights(network))
    network.backbone.requires_grad_(False)
    for module, name in found:
        addition = LowRank(getattr(module, name).detach(), rank=rank, alpha=alpha, generator=generator)
        parametrize.register_parametrization(module, name, addition)
    if not found:
        raise ConfigError("no layer of the network that is trained has a weight to adapt", where="train.lora")
    network.keeps_statistics = True
    network.train(network.training)
    return sum(one.numel() for one in network.parameters() if one.requires_grad)


def merge(network: nn.Module) -> None:
    """Add what was learnt to the weights: the plain network, with the same scores; one that was not adapted stays as it is."""
    for module in list(network.modules()):
        for name in [name for name in _WEIGHTS if parametrize.is_parametrized(module, name)]:
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)


def _weights(network: ClassificationNetwork) -> Iterator[tuple[nn.Module, str]]:
    for module in network.backbone.modules():
        for name in _WEIGHTS:
            weight = module._parameters.get(name)
            if weight is not None and weight.requires_grad and weight.ndim > 1:
                yield module, name
