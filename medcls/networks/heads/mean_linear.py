"""The head of convolutional networks: the mean over space, and one linear layer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class MeanLinearHead(nn.Linear):
    """A linear layer over the mean of the feature map ``(B, K, *cells)``; see :class:`medcls.networks.heads.Head`."""

    linear_over_mean = True

    def pool(self, features: Tensor) -> Tensor:
        """The mean over space."""
        return features.mean(dim=tuple(range(2, features.ndim)))

    def maps(self, features: Tensor, size: Sequence[int]) -> Tensor:
        """The feature map as it is."""
        return features
