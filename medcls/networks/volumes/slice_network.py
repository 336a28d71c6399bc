"""A 2-D network over the slices of a volume.

The tensors of the backbone and of the head have the names of the 2-D network, so that its weights fit; those of the pooling
are called ``pooling.*``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from medcls.config.sections.slices import SliceSettings
from medcls.networks.architecture import ClassificationNetwork
from medcls.networks.heads import Head
from medcls.networks.volumes.planes import AXES, added, cut, joined
from medcls.networks.volumes.pooling import MeanOverSlices, pooling_of


class SliceNetwork(ClassificationNetwork):
    """A backbone that sees slices, a pooling over what the head takes of each, and the head's linear layer.

    The slices of a volume are folded into the batch. Where nothing is learned, one volume is computed after the other, so that
    memory does not grow with the batch.

    Args:
        backbone: From slices ``(N, C', rows, columns)`` to features.
        head: Of the 2-D network.
        slices: Which slices, and what joins them.
        features: That the head's linear layer takes.
        named: As :class:`medcls.networks.architecture.ClassificationNetwork` takes them.

    Attributes:
        slices: As given.
        axes: The axes of the volume that slices are cut across.
        pooling: From ``(B, S, K)`` to ``(B, K)``.
    """

    def __init__(self, backbone: nn.Module, head: Head, slices: SliceSettings, *, features: int, **named: Any) -> None:
        super().__init__(backbone, head, dimensions=3, weights_dimensions=2, **named)
        self.axes = tuple(range(3)) if slices.plane == "three" else (AXES.index(slices.plane),)
        self.slices = slices
        self.pooling: MeanOverSlices = pooling_of(slices.pooling, features)

    def features(self, images: Tensor) -> Tensor:
        """What the head takes of each slice, ``(B, S, K)``; the slices across x come before those across y, then z.

        Args:
            images: ``(B, C, x, y, z)``.

        Raises:
            UsageError: The images have other channels or axes than the network, or slices are too small for it.
        """
        self._check(images)
        images = images if self.input is None else self.input(images)
        if torch.is_grad_enabled() or len(images) == 1:
            return self._features(images)
        return torch.cat([self._features(one) for one in images.split(1)])

    def pool(self, features: Tensor) -> Tensor:
        """What the linear layer takes: ``(B, K)``."""
        return self.pooling(features)  # type: ignore[no-any-return]

    def shares(self, images: Tensor, signs: Tensor) -> Tensor:
        """How much each slice counted in a score: ``(B, S)``, never below 0 and of sum 1, or 0 where nothing spoke for it.

        Attention says it by its weights (Ilse et al. 2018, section 2.4), whatever the score, and the maximum by the part of the
        features that a slice gives. Of all others it is gradient times input (Shrikumar et al., 'Not Just a Black Box', arXiv
        1605.01713), summed over a slice's features, negative sums cut to zero: of the mean exactly the part of the score that
        a slice adds.

        Args:
            images: ``(B, C, x, y, z)``, as they are: nothing is mirrored.
            signs: ``(B, classes)``, how much each score counts in the one that is asked for.
        """
        with torch.no_grad():
            features = self.features(images)
            known = self.pooling.shares(features)
        if known is None:
            with torch.enable_grad():
                seen = features.detach().requires_grad_()
                (gradient,) = torch.autograd.grad((self.classify(seen) * signs).sum(), seen)
            known = (gradient * features).sum(dim=2).relu()
        return known / known.sum(dim=1, keepdim=True).clamp_min(torch.finfo(known.dtype).tiny)

    def sizes(self, size: Sequence[int]) -> list[tuple[int, ...]]:
        """Rows and columns of the slices across each of :attr:`axes`."""
        return [tuple(size[axis] for axis in (2, 1, 0) if axis != across) for across in self.axes]

    def as_volumes(self, maps: Sequence[Tensor], count: int) -> Tensor:
        """The maps of slices as maps of volumes, ``(count, *cells)``; those of several planes are added up."""
        planes = len(self.axes)
        return added(
            [joined(torch.cat(list(maps[place::planes])), axis, count) for place, axis in enumerate(self.axes)]
        )

    def extra_repr(self) -> str:
        """What ``print(network)`` shows."""
        return str(self.slices)

    def _features(self, images: Tensor) -> Tensor:
        """Of images that are normalised."""
        return torch.cat([self._across(images, axis) for axis in self.axes], dim=1)

    def _across(self, images: Tensor, axis: int) -> Tensor:
        vectors = self.head.pool(self._seen(cut(images, axis, self.slices.neighbours)))
        return vectors.reshape(images.shape[0], -1, vectors.shape[1])
