"""The ResNet shortcut that has no weights.

He et al., 'Deep Residual Learning for Image Recognition' (CVPR 2016), section 3.3, option A: where a block halves the
map and widens it, the shortcut takes every second cell and fills the new channels with zeros.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class PaddedShortcut(nn.Module):
    """Every ``stride``-th cell, and zeros for the channels that are new.

    MONAI has it as a function that reads ``tensor.data``, through which no gradient flows back; here it does.

    Args:
        channels: Channels that come out.
        stride: Step between the cells that are kept, along every axis.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels = channels
        self.stride = stride

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, K, *cells)`` to ``(B, channels, *cells / stride)``."""
        steps = (slice(None), slice(None), *(slice(None, None, self.stride),) * (features.ndim - 2))
        kept = features[steps]
        spatial = (0, 0) * (features.ndim - 2)
        return functional.pad(kept, (*spatial, 0, self.channels - features.shape[1]))

    def extra_repr(self) -> str:
        """What ``print(network)`` shows."""
        return f"channels={self.channels}, stride={self.stride}"
