"""Grad-CAM: in closed form where a network ends in a mean over space and a linear layer, by gradients elsewhere.

Selvaraju et al., 'Grad-CAM' (arXiv 1610.02391), equations 1 and 2: with ``A_k`` the feature maps of ``N`` cells and
``y`` the score, ``alpha_k = 1/N sum_cells dy/dA_k`` and ``L = ReLU(sum_k alpha_k A_k)``. Where ``y = sum_k w_k
mean(A_k) + b``, every ``dy/dA_k`` is ``w_k / N`` and so is their mean: one forward pass gives scores and maps, with no
gradient at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medcls.errors import UsageError
from medcls.networks import ClassificationNetwork
from medcls.networks.arithmetic import exact_float32
from medcls.networks.volumes.slice_network import SliceNetwork


@dataclass(frozen=True, eq=False)
class CamResult:
    """Maps and scores of a batch.

    Attributes:
        maps: ``(B, *cells)`` float32, on the network's device: how much each cell of the explained feature map adds to the
            target's score, never below 0. They are raw: no map is scaled to its own maximum, so a map of zeros says that
            nothing spoke for the target.
        logits: ``(B, classes)`` float32, before softmax or sigmoid, from the same pass.
    """

    maps: Tensor
    logits: Tensor


def gradcam(
    network: ClassificationNetwork, images: Tensor, targets: Tensor | list[int], *, multilabel: bool = False
) -> CamResult:
    """Where the network looked for a target.

    The score that is explained is the target's before softmax or sigmoid; of two exclusive labels it is the
    difference from the other's, because softmax sees nothing else: what counts against the other label counts for
    this one.

    Autocast is off within, and the network in evaluation, so that the map does not depend on how the call came about.

    Args:
        network: The network; its mode is restored afterwards.
        images: ``(B, C, *spatial)``.
        targets: For each image the index of the label to explain.
        multilabel: Whether labels do not exclude each other.

    Raises:
        UsageError: There is not one target an image, a target is no label, or no layer of the network gives maps.
    """
    chosen = torch.as_tensor(targets, dtype=torch.long, device=images.device)
    if chosen.shape != images.shape[:1]:
        raise UsageError(f"{len(images)} images need as many targets, not {tuple(chosen.shape)}")
    if bool(((chosen < 0) | (chosen >= network.classes)).any()):
        raise UsageError(f"a target is outside the network's {network.classes} labels")
    signs = signs_of(network, chosen, multilabel=multilabel)
    images = images.to(next(network.parameters()).dtype)
    with torch.no_grad(), exact_float32(images.device.type), evaluating(network):
        linear = network.head.linear_over_mean and not isinstance(network, SliceNetwork)
        return (in_closed_form if linear else by_gradients)(network, images, signs)


def in_closed_form(network: ClassificationNetwork, images: Tensor, signs: Tensor) -> CamResult:
    """For a head that is linear over the mean of the feature map.

    Args:
        network: In evaluation.
        images: ``(B, C, *spatial)``.
        signs: ``(B, classes)``, how much each score counts in the one that is explained.
    """
    features = network.features(images)
    logits = network.classify(features).float()
    weights = signs @ network.get_parameter("head.weight").float()
    cells = features[0, 0].numel() if len(features) else 1
    return CamResult(_weigh(features.float(), weights / cells), logits)


def by_gradients(network: ClassificationNetwork, images: Tensor, signs: Tensor) -> CamResult:
    """For any head, at the layer that the network names. Arguments as for :func:`in_closed_form`.

    Where a 2-D network goes over the slices of a volume, each slice is a picture with gradients of its own.
    """
    layer = network.get_submodule(network.explained or _last_map(network, images[:1]))
    seen: list[Tensor] = []

    def begin(_layer: nn.Module, _given: object, output: Tensor) -> Tensor:
        torch.set_grad_enabled(True)  # from here on, until the block below ends
        seen.append(output.detach().requires_grad_())
        return seen[-1].clone()  # what follows may change it in place

    with torch.inference_mode(False), torch.no_grad():
        hook = layer.register_forward_hook(begin)
        try:
            logits = network.classify(network.features(images.clone()))
        finally:
            hook.remove()
        gradients = torch.autograd.grad((logits * signs.clone()).sum(), seen, allow_unused=True)
    # A layer that is computed twice for one image is explained where it was last, and has no gradient before.
    pairs = [(one.detach(), gradient) for one, gradient in zip(seen, gradients, strict=True) if gradient is not None]
    sizes, maps = network.sizes(images.shape[2:]), []
    for number, pair in enumerate(pairs):
        features, slopes = (network.head.maps(one.float(), sizes[number % len(sizes)]) for one in pair)
        maps.append(_weigh(features, slopes.flatten(2).mean(dim=2)))
    return CamResult(network.as_volumes(maps, len(images)), logits.detach().float())


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


def signs_of(network: ClassificationNetwork, targets: Tensor, *, multilabel: bool) -> Tensor:
    """How much each score counts in the explained one: ``(B, classes)``."""
    signs = nn.functional.one_hot(targets, network.classes).float()
    return signs - signs.flip(1) if network.classes == 2 and not multilabel else signs


def _weigh(features: Tensor, weights: Tensor) -> Tensor:
    return torch.einsum("bk...,bk->b...", features, weights).relu()


@contextmanager
def evaluating(network: ClassificationNetwork) -> Iterator[None]:
    """Within, the network is in evaluation."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
