"""A convolutional network over the visible part of images, as if it were sparse.

Tian et al., 'Designing BERT for Convolutional Networks' (SparK, ICLR 2023), section 3.2: a sparse convolution is that of dense
maps which are masked again after each layer. Here the maps are masked before whatever looks across positions, which is the
same, and norms take their mean and variance over visible positions alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medcls.errors import ConfigError
from medcls.networks import ClassificationNetwork
from medcls.networks.families import family_of
from medcls.networks.layers import SpatialMean

_ACROSS = (nn.Conv2d, nn.Conv3d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool2d, nn.AvgPool3d)
_WHOLE_MEANS = (nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, SpatialMean)
_NORMS = (nn.modules.batchnorm._BatchNorm,)
_OTHER_NORMS = (nn.GroupNorm, nn.modules.instancenorm._InstanceNorm, nn.LocalResponseNorm)
_FEWEST = 7  # patches along the shortest axis where there are that many: the paper's, of 32 pixels in 224


class _Uneven(Exception):
    """A map does not lie on the grid of patches."""


def draw_visible(grid: Sequence[int], share: float, draws: Sequence[np.random.Generator]) -> Tensor:
    """Which patches of each image are visible, ``(B, 1, *grid)`` booleans: as many of each, and at least one.

    Args:
        grid: Patches along each axis, at least two in all.
        share: Part of the patches that is masked.
        draws: A random generator for each image.
    """
    patches = int(np.prod(grid))
    hidden = min(patches - 1, max(1, round(share * patches)))
    visible = np.ones((len(draws), patches), np.bool_)
    for row, draw in zip(visible, draws, strict=True):
        row[draw.permutation(patches)[:hidden]] = False
    return torch.from_numpy(visible).view(len(draws), 1, *grid)


def on_map(visible: Tensor, size: Sequence[int]) -> Tensor | None:
    """The mask ``(B, 1, *grid)`` on a map of this size, whole patches each; ``None`` of what is no map but one cell."""
    grid = visible.shape[2:]
    if all(side == 1 for side in size) and any(side > 1 for side in grid):
        return None
    if len(size) != len(grid) or any(side % one for side, one in zip(size, grid, strict=True)):
        raise _Uneven
    for axis, (side, one) in enumerate(zip(size, grid, strict=True), 2):
        visible = visible.repeat_interleave(side // one, dim=axis)
    return visible


@contextmanager
def visible_alone(backbone: nn.Module, visible: Tensor) -> Iterator[None]:
    """Within, a backbone computes from visible patches alone.

    Args:
        backbone: Of convolutions, poolings and batch norms; as before afterwards.
        visible: ``(B, 1, *grid)`` booleans, of the batch that it is given.
    """

    def cut(_module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        shown = on_map(visible, given[0].shape[2:])
        return given if shown is None else (given[0] * shown, *given[1:])

    def of_visible(_module: nn.Module, _given: tuple[Any, ...], mean: Tensor) -> Tensor:
        share = visible.flatten(1).float().mean(dim=1)
        return mean / share.view(-1, *(1,) * (mean.ndim - 1))

    with ExitStack() as undone:
        for module in backbone.modules():
            if isinstance(module, _NORMS):
                setattr(module, "forward", functools.partial(_norm_visible, module.forward, visible))  # noqa: B010
                undone.callback(delattr, module, "forward")
            elif isinstance(module, (*_ACROSS, *_WHOLE_MEANS)):
                undone.callback(module.register_forward_pre_hook(cut).remove)
                if isinstance(module, _WHOLE_MEANS):
                    undone.callback(module.register_forward_hook(of_visible).remove)
        yield


def visible_maps(network: ClassificationNetwork, images: Tensor, visible: Tensor) -> list[Tensor]:
    """The maps of a network's blocks, the last of each size, from the coarsest on: zero where images are masked.

    Args:
        network: One that :func:`patch_grid` has passed.
        images: ``(B, C, *spatial)``.
        visible: ``(B, 1, *grid)`` booleans.
    """
    maps: dict[tuple[int, ...], Tensor] = {}

    def keep(_module: nn.Module, _given: Any, map_: Tensor) -> None:
        maps[tuple(map_.shape[2:])] = map_

    images = images if network.input is None else network.input(images)
    with ExitStack() as hooks, visible_alone(network.backbone, visible):
        for children in network.blocks.values():
            hook = network.backbone.get_submodule(children[-1]).register_forward_hook(keep)
            hooks.callback(hook.remove)
        keep(network, None, network.backbone(images))
    shown = {size: on_map(visible, size) for size in maps}
    return [maps[size] * mask for size in sorted(maps) if (mask := shown[size]) is not None]


def patch_grid(network: ClassificationNetwork, size: Sequence[int]) -> tuple[int, ...]:
    """Patches along each axis of images of this size, on which every map of the network lies.

    Raises:
        ConfigError: The network cannot be masked: it is no convolutional one, or cuts its maps unevenly at this size.
    """
    if family_of(network.name).kind != "convolutional" or network.weights_dimensions != network.dimensions:
        raise _cannot(network, "it needs a convolutional network of as many axes as the images")
    if any(isinstance(one, _OTHER_NORMS) for one in network.backbone.modules()):
        raise _cannot(network, "its norms are no batch norms")
    training = network.training
    try:
        with torch.no_grad():
            network.eval()
            return _tried(network, size)
    except _Uneven:
        sides = " x ".join(map(str, size))
        why = f"at {sides} its maps cannot be parted into patches"
        raise _cannot(network, why, _size_that_fits(network, size)) from None
    finally:
        network.train(training)


def _size_that_fits(network: ClassificationNetwork, size: Sequence[int]) -> str:
    """The next size of sides that are multiples of 32, two patches at least, where it can be parted."""
    near = [max(64, -(-side // 32) * 32) for side in size]
    try:
        with torch.no_grad():
            _tried(network, near)
    except _Uneven:
        return ""
    return f", or preprocessing.size: [{', '.join(map(str, near))}]"


def _tried(network: ClassificationNetwork, size: Sequence[int]) -> tuple[int, ...]:
    """The grid, after a look whether what is masked is seen after all."""
    random = torch.Generator().manual_seed(0)
    images = torch.rand(2, network.channels, *size, generator=random)
    cells = tuple(network.backbone(images[:1]).shape[2:])
    fits = [n for n in range(1, min(cells) // _FEWEST + 1) if all(side % n == 0 for side in cells)]
    grid = tuple(side // max(fits, default=1) for side in cells)
    if len(grid) != len(size) or int(np.prod(grid)) < 2:
        raise _Uneven
    visible = draw_visible(grid, 0.5, [np.random.default_rng(0)]).expand(2, *(-1,) * (len(grid) + 1))
    shown = on_map(visible, size)
    images = torch.where(shown, images[:1], images) if shown is not None else images
    if any(not torch.equal(one[0], one[1]) for one in visible_maps(network, images, visible)):
        raise _cannot(network, "it sees what is masked")
    return grid


def _cannot(network: ClassificationNetwork, why: str, more: str = "") -> ConfigError:
    return ConfigError(
        f"{network.name} cannot be pretrained by spark: {why}", where="pretrain.method", remedy=f"Choose simsiam{more}"
    )


def _norm_visible(norm: Callable[[Tensor], Tensor], visible: Tensor, map_: Tensor) -> Tensor:
    """A batch norm over visible positions, zero elsewhere."""
    shown = on_map(visible, map_.shape[2:])
    if shown is None:
        return norm(map_)
    rows = map_.movedim(1, -1)
    places = shown[:, 0].expand(rows.shape[:-1])
    normed = norm(rows[places].view(-1, map_.shape[1], *(1,) * (map_.ndim - 2)))
    found = rows.new_zeros(rows.shape)
    found[places] = normed.flatten(1)
    return found.movedim(-1, 1)
