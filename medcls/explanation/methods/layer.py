"""What a network's explained layer gives, and how the explained score changes with it.

Where the score is ``y = sum_k w_k mean(A_k) + b`` of the last feature maps ``A_k`` of ``N`` cells, every ``dy/dA_k`` is
``w_k / N``, and one forward pass gives both; elsewhere gradients are taken, from the explained layer on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medcls.errors import UsageError
from medcls.explanation.methods.question import Attribution, Question
from medcls.networks import ClassificationNetwork
from medcls.networks.volumes.slice_network import SliceNetwork


@dataclass(frozen=True, eq=False)
class Seen:
    """A layer's output, call by call: a 2-D network over the slices of volumes has a call for each plane.

    Attributes:
        features: ``(N, K, *cells)`` float32 of each call, for ``N`` images or slices.
        slopes: Gradients of the explained score by ``features``: of their shape, or with one cell where all are alike.
        logits: ``(B, classes)`` float32, from the same pass.
    """

    features: tuple[Tensor, ...]
    slopes: tuple[Tensor, ...]
    logits: Tensor


def cam(asked: Question, weigh: Callable[[Tensor, Tensor], Tensor]) -> Attribution:
    """A class activation map: the cells of the explained layer, weighed.

    Args:
        asked: The question.
        weigh: From features ``(N, K, *cells)`` and their slopes (see :class:`Seen`) to ``(N, *cells)``; what is below 0 is cut.
    """
    found = seen(asked)
    maps = [weigh(*pair).relu() for pair in zip(found.features, found.slopes, strict=True)]
    return Attribution(asked.network.as_volumes(maps, len(asked.images)), found.logits)


def over_cells(features: Tensor) -> tuple[int, ...]:
    """The axes of cells in ``(N, K, *cells)``."""
    return tuple(range(2, features.ndim))


def seen(asked: Question) -> Seen:
    """The explained layer's output and slopes.

    Raises:
        UsageError: No layer of the network gives maps.
    """
    network = asked.network
    linear = network.head.linear_over_mean and not isinstance(network, SliceNetwork) and _is_last(asked)
    return _in_closed_form(asked) if linear else _by_gradients(asked)


def _in_closed_form(asked: Question) -> Seen:
    features = asked.network.features(asked.images)
    logits = asked.network.classify(features).float()
    weights = asked.signs @ asked.network.get_parameter("head.weight").float() / math.prod(features.shape[2:])
    return Seen((features.float(),), (weights.reshape(*weights.shape, *(1,) * (features.ndim - 2)),), logits)


def _by_gradients(asked: Question) -> Seen:
    """Where a 2-D network goes over the slices of a volume, each slice is a picture with gradients of its own."""
    network, images = asked.network, asked.images
    layer = network.get_submodule(_name_of_layer(asked))
    given: list[Tensor] = []

    def begin(_layer: nn.Module, _given: object, output: Tensor) -> Tensor:
        torch.set_grad_enabled(True)  # from here on, until the block below ends
        given.append(output.detach().requires_grad_())
        return given[-1].clone()  # what follows may change it in place

    with torch.no_grad():
        hook = layer.register_forward_hook(begin)
        try:
            logits = asked.logits(images)
        finally:
            hook.remove()
        gradients = torch.autograd.grad((logits * asked.signs).sum(), given, allow_unused=True)
    # A layer that is computed twice for one image is explained where it was last, and has no gradient before.
    pairs = [(one.detach(), slopes) for one, slopes in zip(given, gradients, strict=True) if slopes is not None]
    sizes = network.sizes(images.shape[2:])
    view = network.view if network.view is not None and not _is_last(asked) else nn.Identity()
    laid = [
        tuple(network.head.maps(view(one.float()), sizes[number % len(sizes)]) for one in pair)
        for number, pair in enumerate(pairs)
    ]
    return Seen(tuple(one for one, _ in laid), tuple(one for _, one in laid), logits.detach())


def _is_last(asked: Question) -> bool:
    """Whether the last block is explained: at the layer that the network names, which may be before or behind its end."""
    return asked.layer is None or asked.layer == next(reversed(asked.network.blocks), None)


def _name_of_layer(asked: Question) -> str:
    network = asked.network
    if asked.layer is None or _is_last(asked):
        return network.explained or _last_map(network, asked.images[:1])
    return network.end_of_block(asked.layer)


def _last_map(network: ClassificationNetwork, images: Tensor) -> str:
    """Name of the module that computes the last feature map of more than one cell."""
    found: list[str] = []
    axes = 2 + len(network.sizes(images.shape[2:])[0])

    def look(name: str, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == axes and output[0, 0].numel() > 1:
            found.append(name)

    with ExitStack() as hooks:
        for name, module in network.named_modules():
            hook = module.register_forward_hook(lambda _module, _given, output, name=name: look(name, output))
            hooks.callback(hook.remove)
        network(images)
    if not found:
        raise UsageError(
            "no layer of the network gives a map of features to explain it by",
            remedy="Name a submodule in the network's attribute explained_layer",
        )
    return found[-1]
