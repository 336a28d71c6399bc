"""Head: what every end of a network can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Head(Protocol):
    """The end of a network, a ``torch.nn.Module``. Its own ``forward`` takes what it has pooled.

    Attributes:
        linear_over_mean: Whether the scores are linear in the mean of the feature map over space, by ``weight``
            ``(classes, K)``: then what each cell adds is known without gradients.
    """

    linear_over_mean: bool

    def pool(self, features: Tensor) -> Tensor:
        """From the backbone's features to ``(B, K)``."""

    def __call__(self, pooled: Tensor) -> Tensor:
        """From ``(B, K)`` to scores ``(B, classes)``."""

    def maps(self, features: Tensor, size: Sequence[int]) -> Tensor:
        """Features, or anything of their shape, laid out in space: ``(B, K, *cells)``.

        Args:
            features: Of a layer that Grad-CAM looks at.
            size: Spatial shape of the images.
        """
