"""SparK: what is masked of an image is drawn in from what is visible.

Tian et al., 'Designing BERT for Convolutional Networks: Sparse and Hierarchical Masked Modeling' (ICLR 2023), section 3. The
decoder is theirs, but lighter: it ends at the finest map, each cell of which gives its own pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from medcls.networks import ClassificationNetwork
from medcls.networks.layers import LAYERS
from medcls.pretraining.learner import Learner
from medcls.pretraining.masking import draw_visible, on_map, patch_grid, visible_maps

_WIDEST, _NARROWEST = 256, 16  # features of the decoder, halved with each finer map
_EPSILON = 1e-6  # the paper's code's, beside a patch's variance


class Decoder(nn.Module):
    """From the maps of a masked network to images.

    Where a map is masked, it is filled with a vector that is learnt (section 3.3 of the paper).

    Args:
        maps: Such maps, from the coarsest on, for their shapes.
        size: Of the images.
        channels: Of the images.
    """

    def __init__(self, maps: Sequence[Tensor], size: Sequence[int], channels: int) -> None:
        super().__init__()
        axes, finest = len(size), maps[-1].shape[2:]
        layers, widest = LAYERS[axes], min(_WIDEST, maps[0].shape[1])
        widths = [max(_NARROWEST, widest >> level) for level in range(len(maps))]
        self.cell = tuple(side // cells for side, cells in zip(size, finest, strict=True))
        self.fillings = nn.ParameterList(nn.Parameter(torch.zeros(1, one.shape[1], *(1,) * axes)) for one in maps)
        for filling in self.fillings:
            nn.init.trunc_normal_(filling, std=0.02)
        self.taken = nn.ModuleList(
            layers.convolution(one.shape[1], width, 3, padding=1) for one, width in zip(maps, widths, strict=True)
        )
        self.finer = nn.ModuleList(
            nn.Sequential(
                *(layers.convolution(before, before, 3, padding=1, bias=False), layers.batch_norm(before), nn.ReLU6()),
                *(layers.convolution(before, width, 3, padding=1, bias=False), layers.batch_norm(width)),
            )
            for before, width in zip(widths, [*widths[1:], widths[-1]], strict=True)
        )
        self.pixels = layers.convolution(widths[-1], channels * int(np.prod(self.cell)), 1)

    def forward(self, maps: Sequence[Tensor], visible: Tensor) -> Tensor:
        """Images ``(B, C, *spatial)`` of maps and of what of them is visible, ``(B, 1, *grid)``."""
        drawn: Tensor | None = None
        for map_, filling, taken, finer in zip(maps, self.fillings, self.taken, self.finer, strict=True):
            shown = on_map(visible, map_.shape[2:])
            filled = taken(map_ if shown is None else torch.where(shown, map_, filling))
            drawn = filled if drawn is None else filled + functional.interpolate(drawn, size=list(map_.shape[2:]))
            drawn = finer(drawn)
        return pixels_of_cells(self.pixels(drawn), self.cell)


class SparK(Learner):
    """A convolutional network, and a decoder.

    Args:
        network: The network.
        size: Of its images.
        share: Part of the patches that is masked.

    Raises:
        ConfigError: As :func:`medcls.pretraining.masking.patch_grid`.
    """

    views = 1

    def __init__(self, network: ClassificationNetwork, size: Sequence[int], share: float) -> None:
        super().__init__(network)
        self.grid, self.share = patch_grid(network, size), share
        training = network.training
        with torch.no_grad():
            visible = draw_visible(self.grid, share, [np.random.default_rng(0)])
            maps = visible_maps(network.eval(), torch.zeros(1, network.channels, *size), visible)
        network.train(training)
        self.decoder = Decoder(maps, size, network.channels)

    def forward(
        self, views: Sequence[Tensor], draws: Sequence[np.random.Generator]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See :class:`Learner`; what is masked is drawn."""
        (images,) = views
        visible = draw_visible(self.grid, self.share, draws).to(images.device)
        drawn = self.decoder(visible_maps(self.network, images, visible), visible)
        return masked_loss(drawn, images, visible), {}

    def doubt(self, last: Mapping[str, float]) -> str:
        """Whether nothing was learnt: each patch drawn as its mean has a loss of 1."""
        if last["loss"] < 1:
            return ""
        return (
            f"pretraining LEARNT NOTHING: masked patches are drawn no better than by their means (loss {last['loss']:.3f}, "
            "and 1 is that); give more epochs or scans, or another pretrain.learning_rate"
        )


def masked_loss(drawn: Tensor, images: Tensor, visible: Tensor) -> Tensor:
    """Mean squared error of the masked patches alone, each patch of the image having mean 0 and variance 1 (section 3.3).

    Args:
        drawn, images: ``(B, C, *spatial)``.
        visible: ``(B, 1, *grid)`` booleans.
    """
    grid = visible.shape[2:]
    wanted = _patches(images, grid)
    mean, variance = wanted.mean(dim=2, keepdim=True), wanted.var(dim=2, keepdim=True, correction=0)
    error = (_patches(drawn, grid) - (wanted - mean) / (variance + _EPSILON).sqrt()).square().mean(dim=2)
    hidden = ~visible.flatten(1)
    return (error * hidden).sum() / hidden.sum()


def _patches(images: Tensor, grid: Sequence[int]) -> Tensor:
    """``(B, patches, values)`` of ``(B, C, *spatial)``, the last axis of the grid fastest."""
    axes = len(grid)
    sides = [part for side, one in zip(images.shape[2:], grid, strict=True) for part in (one, side // one)]
    parted = images.reshape(*images.shape[:2], *sides)
    order = (0, *range(2, 2 + 2 * axes, 2), 1, *range(3, 3 + 2 * axes, 2))
    return parted.permute(order).flatten(1 + axes).flatten(1, axes)


def pixels_of_cells(values: Tensor, cell: Sequence[int]) -> Tensor:
    """Images ``(B, C, *spatial)`` of the pixels that each cell of a map ``(B, C * pixels, *cells)`` gives."""
    axes, cells = len(cell), values.shape[2:]
    parted = values.reshape(values.shape[0], -1, *cell, *cells)
    order = [place for axis in range(axes) for place in (2 + axes + axis, 2 + axis)]
    return parted.permute(0, 1, *order).reshape(
        values.shape[0], -1, *(one * side for one, side in zip(cells, cell, strict=True))
    )
