"""The head of transformers: the class token, or the mean over the tokens of patches, and one linear layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from medcls.errors import UsageError


def patches_of(size: Sequence[int], patch: Sequence[int]) -> tuple[int, ...]:
    """How many patches there are along each axis of an image: the nearest to its size, and at least one."""
    return tuple(max(1, (2 * side + each) // (2 * each)) for side, each in zip(size, patch, strict=True))


class TokenHead(nn.Linear):
    """A linear layer over tokens ``(B, N, K)``; see :class:`medcls.networks.heads.Head`.

    Where ``pool`` is ``class``, the other tokens of the last layer do not reach the score: a family then names an earlier layer
    in :attr:`medcls.networks.family.Backbone.explained`, as that before the last attention.

    Args:
        features: ``K``.
        classes: How many scores.
        patch: Voxels of a patch along each axis; the last of the tokens are the patches, the last axis fastest. There are as
            many as :func:`patches_of` says.
        pool: ``class``: the first token; ``mean``: the mean of the patches' tokens.
        extra: Tokens before those of the patches; the first is the class token.
    """

    linear_over_mean = False

    def __init__(
        self,
        features: int,
        classes: int,
        patch: Sequence[int],
        *,
        pool: Literal["class", "mean"] = "class",
        extra: int = 1,
    ) -> None:
        super().__init__(features, classes)
        self.patch, self.of, self.extra = tuple(patch), pool, extra

    def pool(self, features: Tensor) -> Tensor:
        """The class token, or the mean of the patches' tokens."""
        return features[:, 0] if self.of == "class" else features[:, self.extra :].mean(dim=1)

    def maps(self, features: Tensor, size: Sequence[int]) -> Tensor:
        """The patches' tokens on their grid: ``(B, K, *grid)``."""
        grid = patches_of(size, self.patch)
        tokens = features[:, self.extra :]
        if math.prod(grid) != tokens.shape[1]:
            raise UsageError(f"{tokens.shape[1]} tokens do not fill the grid {grid} of patches")
        return tokens.transpose(1, 2).reshape(len(tokens), -1, *grid)

    def extra_repr(self) -> str:
        """What ``print(network)`` shows."""
        return f"{super().extra_repr()}, patch={self.patch}, pool={self.of}, extra={self.extra}"
