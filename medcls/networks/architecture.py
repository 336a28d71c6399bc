"""The shape that every classifier's network has: a backbone, a mean over space, and one linear layer.

Because the linear layer sees nothing but the mean of the last feature map, what each cell of that map adds to a score
is known in closed form (:mod:`medcls.explanation.gradcam`).

Names of the tensors, which saved classifiers rely on:

====================  ===================================================================================
``backbone.*``        the convolutional part, named as in MONAI: ``backbone.conv0.weight`` and
                      ``backbone.denseblock1.denselayer1.layers.norm1.weight`` of a DenseNet,
                      ``backbone.conv1.weight`` and ``backbone.layer1.0.bn1.weight`` of a ResNet
``head.weight``       ``(classes, features)``, the linear layer
``head.bias``         ``(classes,)``
====================  ===================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from medcls.errors import UsageError


class ClassificationNetwork(nn.Module):
    """A convolutional network that ends in a global average and a linear layer.

    Args:
        backbone: Children in the order in which they are applied; the last one gives the tensor that is averaged.
        name: What the settings call it, as ``densenet121``.
        features: ``K``, the channels that the backbone gives.
        dimensions: 2 or 3 spatial axes.
        channels: Channels of the input.
        classes: Outputs: one for each label, for exclusive labels (softmax) and for several at once (sigmoid) alike.
        blocks: The backbone's parts from the input on, each with the names of its children.
        smallest: Fewest voxels an axis of the input may have.
        dropout: Probability of dropping a mean before the linear layer.
    """

    def __init__(
        self,
        backbone: nn.Sequential,
        *,
        name: str,
        features: int,
        dimensions: int,
        channels: int,
        classes: int,
        blocks: Mapping[str, tuple[str, ...]],
        smallest: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.name = name
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, classes)
        nn.init.zeros_(self.head.bias)
        self.dimensions = dimensions
        self.channels = channels
        self.classes = classes
        self.blocks = dict(blocks)
        self.smallest = smallest
        self.frozen: tuple[str, ...] = ()

    def features(self, images: Tensor) -> Tensor:
        """The tensor whose mean over space the linear layer sees: for a DenseNet, after its last norm and ReLU.

        Args:
            images: ``(B, C, *spatial)``.

        Returns:
            ``(B, K, *cells)``.

        Raises:
            UsageError: The images have other channels or axes than the network, or are too small for it.
        """
        self._check(images)
        features: Tensor = self.backbone(images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Scores before softmax or sigmoid.

        Args:
            images: ``(B, C, *spatial)``.

        Returns:
            ``(B, classes)``.
        """
        return self.classify(self.features(images))

    def classify(self, features: Tensor) -> Tensor:
        """Scores ``(B, classes)`` from the feature map ``(B, K, *cells)``."""
        scores: Tensor = self.head(self.dropout(features.mean(dim=tuple(range(2, features.ndim)))))
        return scores

    def train(self, mode: bool = True) -> ClassificationNetwork:
        """Switch between training and evaluation; frozen blocks stay in evaluation, so their statistics do not move."""
        super().train(mode)
        for module in self.frozen_modules():
            module.eval()
        return self

    def frozen_modules(self) -> Iterator[nn.Module]:
        """The backbone's children that lie in frozen blocks."""
        for block in self.frozen:
            for child in self.blocks[block]:
                yield self.backbone.get_submodule(child)

    def _check(self, images: Tensor) -> None:
        given = tuple(images.shape)
        if images.ndim != self.dimensions + 2 or given[1] != self.channels:
            axes = ", ".join("xyz"[: self.dimensions])
            raise UsageError(
                f"the network takes images of shape (batch, {self.channels}, {axes}), not {given}",
                remedy="Prepare the scans with the classifier's own recipe",
            )
        # Comparing sizes would pin them when the network is traced for export.
        if not torch.compiler.is_compiling() and min(given[2:]) < self.smallest:
            raise UsageError(
                f"the network needs at least {self.smallest} voxels along every axis, and the images have {given[2:]}",
                remedy="Set a larger preprocessing size, or choose a ResNet",
            )
