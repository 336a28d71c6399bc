"""The shape that every classifier's network has: a backbone, and a head that turns its features into scores.

Where the head is one linear layer over the mean of the last feature map, what each cell of that map adds to a score is known in
closed form (:mod:`medcls.explanation.methods.layer`).

Names of the tensors, which saved classifiers rely on:

====================  ===================================================================================
``backbone.*``        all but the head; the shipped ones are named as in MONAI or torchvision: ``backbone.conv0.weight`` and
                      ``backbone.denseblock1.denselayer1.layers.norm1.weight`` of a DenseNet,
                      ``backbone.conv1.weight`` and ``backbone.layer1.0.bn1.weight`` of a ResNet
``head.weight``       ``(classes, features)``, the linear layer
``head.bias``         ``(classes,)``
``input.*``           ``(channels,)``, where images are normalised for pretrained weights first
``pooling.*``         what joins slices, where a 2-D network goes over those of a volume (:mod:`medcls.networks.volumes`)
====================  ===================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from medcls.errors import UsageError
from medcls.nearest import one_of
from medcls.networks.depths import AllDepths
from medcls.networks.heads import Head
from medcls.networks.input_normalisation import InputNormalisation
from medcls.networks.pretrained.report import WeightsReport


class ClassificationNetwork(nn.Module):
    """A network of a backbone and a head.

    Args:
        backbone: From images to features.
        head: From features to scores.
        name: What the settings call it.
        dimensions: 2 or 3 spatial axes.
        channels: Channels of the input.
        classes: Outputs: one for each label, for exclusive labels (softmax) and for several at once (sigmoid) alike.
        blocks: The backbone's parts from the input on, each with the names of its children.
        smallest: Fewest voxels an axis of the input may have.
        dropout: Probability of dropping a pooled feature before the linear layer.
        explained: Name of the module whose output Grad-CAM looks at where the head is not linear over the mean; ``None``: the
            last feature map that is computed.
        mirror: Axes along which images are also mirrored in evaluation, the scores being averaged over all mirrorings. In 2-D,
            ``x`` mirrors left and right, ``y`` up and down.
        depths: What joins the feature maps of all blocks; ``None``: the head sees the last alone.
        weights_dimensions: Spatial axes of the networks whose weights fit; ``None``: as many as the images have.
        view: From the output of a block to its map over the axes of the images; ``None``: it is that.

    Attributes:
        frozen: Names of the blocks that are not trained.
        keeps_statistics: Whether batch norms keep their statistics in training.
        input: What images pass first, where the weights that it started from want other values; ``None``: nothing.
        started_from: Which weights it started from; ``None``: random ones, or it is not known.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        *,
        name: str,
        dimensions: int,
        channels: int,
        classes: int,
        blocks: Mapping[str, tuple[str, ...]],
        smallest: int = 1,
        dropout: float = 0.0,
        explained: str | None = "backbone",
        mirror: Sequence[str] = (),
        depths: AllDepths | None = None,
        weights_dimensions: int | None = None,
        view: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.backbone = backbone
        self.depths = depths
        self.dropout = nn.Dropout(dropout)
        self.head: Head = head
        if isinstance(head, nn.Linear):
            nn.init.zeros_(head.bias)
        self.dimensions = dimensions
        self.weights_dimensions = weights_dimensions or dimensions
        self.channels = channels
        self.classes = classes
        self.blocks = dict(blocks)
        self.smallest = smallest
        self.explained = explained
        self.view = view
        self.frozen: tuple[str, ...] = ()
        self.keeps_statistics = False
        self.input: InputNormalisation | None = None
        self.started_from: WeightsReport | None = None
        self.mirrorings = _mirrorings(mirror, dimensions)

    def features(self, images: Tensor) -> Tensor:
        """The tensor that the head takes: of a convolutional network, the last feature map after its norm and ReLU.

        Args:
            images: ``(B, C, *spatial)``.

        Returns:
            ``(B, K, *cells)``, or ``(B, N, K)`` for a head over tokens or slices.

        Raises:
            UsageError: The images have other channels or axes than the network, or are too small for it.
        """
        self._check(images)
        return self._seen(images if self.input is None else self.input(images))

    def pooled(self, images: Tensor) -> Tensor:
        """What the head pools of the features, ``(B, K)``; in evaluation the mean over the mirrorings.

        Of a head that is one linear layer, the scores of this mean are the mean of the scores.
        """
        pooled = self.pool(self.features(images))
        if self.training:
            return pooled
        for axes in self.mirrorings[1:]:
            pooled = pooled + self.pool(self.features(images.flip(axes)))
        return pooled / len(self.mirrorings)

    def forward(self, images: Tensor) -> Tensor:
        """Scores before softmax or sigmoid; in evaluation the mean over the mirrorings.

        Args:
            images: ``(B, C, *spatial)``.

        Returns:
            ``(B, classes)``.
        """
        if self.training or len(self.mirrorings) == 1:
            return self.classify(self.features(images))
        scores = self.classify(self.features(images))
        for axes in self.mirrorings[1:]:
            scores = scores + self.classify(self.features(images.flip(axes)))
        return scores / len(self.mirrorings)

    def classify(self, features: Tensor) -> Tensor:
        """Scores ``(B, classes)`` from the features."""
        return self.head(self.dropout(self.pool(features)))

    def pool(self, features: Tensor) -> Tensor:
        """What the head's last layer takes, ``(B, K)``, from the features."""
        return self.head.pool(features)

    def sizes(self, size: Sequence[int]) -> list[tuple[int, ...]]:
        """Spatial shapes of what the backbone sees of images of this one, in the order in which it sees them."""
        return [tuple(size)]

    def as_volumes(self, maps: Sequence[Tensor], count: int) -> Tensor:
        """Maps ``(N, *cells)`` of what the backbone saw, call by call, as those of so many images: ``(count, *cells)``."""
        return maps[-1]

    def train(self, mode: bool = True) -> ClassificationNetwork:
        """Switch between training and evaluation; frozen blocks stay in evaluation, so their statistics do not move.

        With ``keeps_statistics`` all batch norms do: the features in training are then those in evaluation.
        """
        super().train(mode)
        for module in self.frozen_modules():
            module.eval()
        for module in self.modules() if self.keeps_statistics else ():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def frozen_modules(self) -> Iterator[nn.Module]:
        """The backbone's children that are in frozen blocks."""
        for block in self.frozen:
            yield from self.block_modules(block)

    def block_modules(self, block: str) -> Iterator[nn.Module]:
        """The backbone's children that make up a block."""
        for child in self.blocks[block]:
            yield self.backbone.get_submodule(child)

    def end_of_block(self, block: str) -> str:
        """Name of the module that a block ends with.

        Raises:
            UsageError: There is no such block.
        """
        if block not in self.blocks:
            raise UsageError(
                f"the network has no block '{block}'",
                where="explanation.layer",
                remedy=one_of(block, self.blocks, "Blocks") if self.blocks else "Leave it out",
            )
        return f"backbone.{self.blocks[block][-1]}"

    def _check(self, images: Tensor) -> None:
        given = tuple(images.shape)
        if images.ndim != self.dimensions + 2 or given[1] != self.channels:
            axes = ", ".join("xyz"[: self.dimensions])
            raise UsageError(
                f"the network takes images of shape (batch, {self.channels}, {axes}), not {given}",
                remedy="Prepare the scans with the classifier's own recipe",
            )
        # Comparing sizes would pin them when the network is traced for export.
        if not torch.compiler.is_compiling() and self._shortest(given[2:]) < self.smallest:
            raise UsageError(
                f"the network needs at least {self.smallest} voxels along every axis, and the images have {given[2:]}",
                remedy="Set a larger preprocessing.size, or choose another network",
            )

    def _seen(self, images: Tensor) -> Tensor:
        """The features of images that are normalised."""
        features: Tensor = self.backbone(images) if self.depths is None else self.depths(self.backbone, images)
        return features

    def _shortest(self, size: Sequence[int]) -> int:
        return min(side for seen in self.sizes(size) for side in seen)


def _mirrorings(mirror: Sequence[str], dimensions: int) -> tuple[tuple[int, ...], ...]:
    """Every choice among the axes, as those of a batch of images; first none."""
    places = {"y": 2, "x": 3} if dimensions == 2 else {"x": 2, "y": 3, "z": 4}
    if not set(mirror) <= places.keys():
        raise UsageError("a 2-D image has no z axis to mirror", where="model.mirror", remedy="Allowed: x, y")
    axes = [places[name] for name in mirror]
    return tuple(chosen for count in range(len(axes) + 1) for chosen in combinations(axes, count))
