"""AllDepths: the feature maps of every block as one, on the grid of the last, so that a linear head sees texture too.

The last map of a network that was trained on photographs says what things are; texture, which tells many diseases apart, is in
the earlier maps. Features of all depths for a linear layer: Evci et al., 'Head2Toe' (ICML 2022), section 3. Here each map is
brought to the grid of the last by its mean, and by its standard deviation, in every cell: the head stays linear in the mean
over cells, and Grad-CAM in closed form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn


class AllDepths(nn.Module):
    """The maps of several modules beside the last one.

    Args:
        backbone: From images ``(B, C, *spatial)`` to the last feature map ``(B, K, *cells)``; it is not kept.
        layers: Names of its submodules whose outputs ``(B, K_i, *cells_i)`` join, from the input on.
        channels: Channels of the images.
        dimensions: 2 or 3 spatial axes.
        size: Voxels an axis of an image that it can take.
        view: From an output of such a layer to its map over the axes of the images; ``None``: it is that.

    Attributes:
        finer: Of each layer, whether its map has more cells than the last.
        last: ``K``, the features of the last map, which come first.
        features: Of what comes out: ``K``, and of each map ``2 K_i`` where it is finer, else ``K_i``.
    """

    def __init__(
        self,
        backbone: nn.Module,
        layers: Sequence[str],
        *,
        channels: int,
        dimensions: int,
        size: int,
        view: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.view = view or nn.Identity()
        self.layers, self.dimensions = tuple(layers), dimensions
        training = backbone.training
        with torch.no_grad():
            last, maps = self._maps(backbone.eval(), torch.zeros(1, channels, *(size,) * dimensions))
        backbone.train(training)
        self.finer = tuple(one[0, 0].numel() > last[0, 0].numel() for one in maps)
        self.last = last.shape[1]
        self.features = self.last + sum(one.shape[1] * (1 + finer) for one, finer in zip(maps, self.finer, strict=True))

    def forward(self, backbone: nn.Module, images: Tensor) -> Tensor:
        """``(B, features, *cells)`` of images ``(B, C, *spatial)``."""
        last, maps = self._maps(backbone, images)
        joined = [self._on_grid(one, last, finer) for one, finer in zip(maps, self.finer, strict=True)]
        return torch.cat([last, *joined], dim=1)

    def _maps(self, backbone: nn.Module, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        maps: list[Tensor] = []
        with ExitStack() as hooks:  # not kept, since a copied network would go on filling the list of the first
            for name in self.layers:
                hook = backbone.get_submodule(name).register_forward_hook(
                    lambda _layer, _given, map_: maps.append(self.view(map_))
                )
                hooks.callback(hook.remove)
            last: Tensor = backbone(images)
        return last, maps

    def _on_grid(self, map_: Tensor, last: Tensor, finer: bool) -> Tensor:
        pool: Callable[[Tensor, Sequence[int]], Tensor] = getattr(nn.functional, f"adaptive_avg_pool{self.dimensions}d")
        grid = list(last.shape[2:])
        map_ = map_.float()  # the difference of squares needs the digits
        mean = pool(map_, grid)
        if not finer:
            return mean.to(last.dtype)
        # Away from zero, where a root has no slope; what is below is rounding.
        spread = (pool(map_ * map_, grid) - mean * mean).clamp_min(1e-8).sqrt()
        return torch.cat([mean, spread], dim=1).to(last.dtype)

    def extra_repr(self) -> str:
        """What ``print(network)`` shows."""
        return ", ".join(self.layers)
