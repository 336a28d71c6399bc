"""What every method is asked and answers: which score of which images, and a map of what argued for it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from medcls.errors import UsageError
from medcls.networks import ClassificationNetwork
from medcls.networks.arithmetic import exact_float32
from medcls.progress import SILENT, Progress

_VOXELS = (
    2**22
)  # of all images of one pass, so that memory does not grow with the images; twice that is kept for gradients
_MOST = 16  # images of one pass


@dataclass(frozen=True, eq=False)
class Attribution:
    """Maps and scores of a batch.

    Attributes:
        maps: ``(B, *cells)`` float32, on the network's device: what each cell does for the explained score, as the method has
            it, never below 0. They are raw: no map is scaled to its own maximum.
        logits: ``(B, classes)`` float32, before softmax or sigmoid, of the images as they are: nothing is mirrored.
    """

    maps: Tensor
    logits: Tensor


@dataclass(frozen=True, eq=False)
class Question:
    """Which score of which images is explained.

    Attributes:
        network: In evaluation.
        images: ``(B, C, *spatial)``.
        signs: ``(B, classes)``, how much each score counts in the one that is explained.
        layer: One of the network's blocks, whose output is explained; ``None``: the last.
        progress: Where to say how far it is.
    """

    network: ClassificationNetwork
    images: Tensor
    signs: Tensor
    layer: str | None
    progress: Progress

    @property
    def hidden(self) -> Tensor:
        """The images with nothing to see in them: each channel at its own mean, ``(B, C, 1…)``.

        The mean is within what the network knows, where zero can be air, bone or neither.
        """
        return self.images.mean(dim=tuple(range(2, self.images.ndim)), keepdim=True)

    def logits(self, images: Tensor) -> Tensor:
        """Scores ``(N, classes)`` of images as they are, without mirroring."""
        return self.network.classify(self.network.features(images)).float()

    def scores(self, images: Tensor) -> Tensor:
        """The explained score ``(N,)`` of variants ``(N, C, *spatial)`` of the one image."""
        return (self.logits(images) * self.signs).sum(dim=1)

    def slopes(self, images: Tensor) -> Tensor:
        """The gradient of :meth:`scores` by the images, of their shape."""
        with torch.enable_grad():
            varied = images.detach().requires_grad_()
            # A network may change in place what it is given.
            (slopes,) = torch.autograd.grad(self.scores(varied.clone()).sum(), varied)
        return slopes

    def parts(self, count: int, what: str, *, gradients: bool = False) -> Iterator[range]:
        """So many variants of an image in parts that are computed at once, with progress."""
        most = max(1, min(_MOST, _VOXELS // (1 + gradients) // math.prod(self.images.shape[2:])))
        yield from self.progress.track([range(at, min(at + most, count)) for at in range(0, count, most)], what)


class Method(Protocol):
    """A method: from a network and its images to maps of what argued for a label of each."""

    def __call__(
        self,
        network: ClassificationNetwork,
        images: Tensor,
        targets: Tensor | list[int],
        *,
        multilabel: bool = False,
        layer: str | None = None,
        progress: Progress = SILENT,
    ) -> Attribution:
        """Explain the target's score before softmax or sigmoid.

        Of two exclusive labels it is the difference from the other's, because softmax sees nothing else: what counts against
        the other label counts for this one. Autocast is off within, and the network in evaluation, so that the map does not
        depend on how the call came about; nor does it on the other images of the batch.

        Args:
            network: The network; its mode is restored afterwards.
            images: ``(B, C, *spatial)``.
            targets: For each image the index of the label to explain.
            multilabel: Whether labels do not exclude each other.
            layer: One of the network's ``blocks``, to explain its output; ``None``: the last. Methods that look at the image
                alone leave it aside.
            progress: Where to say how far it is.

        Raises:
            UsageError: There is not one target an image, a target is no label, there is no such block, or no layer of the
                network gives maps.
        """


def method(formula: Callable[[Question], Attribution]) -> Method:
    """A method of a formula."""

    @functools.wraps(formula)
    def explain(
        network: ClassificationNetwork,
        images: Tensor,
        targets: Tensor | list[int],
        *,
        multilabel: bool = False,
        layer: str | None = None,
        progress: Progress = SILENT,
    ) -> Attribution:
        chosen = torch.as_tensor(targets, dtype=torch.long, device=images.device)
        if chosen.shape != images.shape[:1]:
            raise UsageError(f"{len(images)} images need as many targets, not {tuple(chosen.shape)}")
        if bool(((chosen < 0) | (chosen >= network.classes)).any()):
            raise UsageError(f"a target is outside the network's {network.classes} labels")
        with torch.inference_mode(False), torch.no_grad(), exact_float32(images.device.type), evaluating(network):
            images = images.to(next(network.parameters()).dtype)
            images = images.clone() if images.is_inference() else images
            signs = signs_of(network, chosen.clone(), multilabel=multilabel)
            return formula(Question(network, images, signs, layer, progress))

    return explain


def one_by_one(formula: Callable[[Question], Attribution]) -> Callable[[Question], Attribution]:
    """A formula of a batch of one, for batches of any size."""

    @functools.wraps(formula)
    def explain(asked: Question) -> Attribution:
        found = [
            formula(replace(asked, images=image[None], signs=signs[None]))
            for image, signs in zip(asked.images, asked.signs, strict=True)
        ]
        return Attribution(torch.cat([one.maps for one in found]), torch.cat([one.logits for one in found]))

    return explain


def signs_of(network: ClassificationNetwork, targets: Tensor, *, multilabel: bool) -> Tensor:
    """How much each score counts in the explained one: ``(B, classes)``."""
    signs = nn.functional.one_hot(targets, network.classes).float()
    return signs - signs.flip(1) if network.classes == 2 and not multilabel else signs


@contextmanager
def evaluating(network: ClassificationNetwork) -> Iterator[None]:
    """Within, the network is in evaluation."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
