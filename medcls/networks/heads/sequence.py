"""The head of networks that see a volume slice by slice: features pooled over the slices, and one linear layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn


class SequenceHead(nn.Linear):
    """A linear layer over features of slices ``(B, S, K)``; see :class:`medcls.networks.heads.Head`.

    Gated attention: Ilse et al., 'Attention-based Deep Multiple Instance Learning' (ICML 2018), equation 9.

    Args:
        features: ``K``.
        classes: How many scores.
        pool: Over slices the mean, the maximum of each feature, or the mean weighted by gated attention.
        hidden: Units of the attention.
    """

    linear_over_mean = False

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        pool: Literal["mean", "max", "attention"] = "attention",
        hidden: int = 128,
    ) -> None:
        super().__init__(features, classes)
        self.of = pool
        if pool == "attention":
            self.content, self.gate = nn.Linear(features, hidden), nn.Linear(features, hidden)
            self.attention = nn.Linear(hidden, 1)

    def pool(self, features: Tensor) -> Tensor:
        """The features of all slices as one: ``(B, K)``."""
        if self.of == "max":
            return features.amax(dim=1)
        return torch.einsum("bs,bsk->bk", self.slice_weights(features), features)

    def slice_weights(self, features: Tensor) -> Tensor:
        """How much each slice counts: ``(B, S)``, of sum 1; of the maximum, the part of the features that it gives."""
        if self.of == "attention":
            hidden = self.content(features).tanh() * self.gate(features).sigmoid()
            weights: Tensor = self.attention(hidden).squeeze(2).softmax(dim=1)
            return weights
        slices = features.shape[1]
        if self.of == "max":
            return nn.functional.one_hot(features.argmax(dim=1), slices).to(features.dtype).mean(dim=1)
        return features.new_full(features.shape[:2], 1 / slices)

    def maps(self, features: Tensor, size: Sequence[int]) -> Tensor:
        """One cell for each slice, along the last axis: ``(B, K, 1, 1, S)``."""
        return features.transpose(1, 2).reshape(len(features), -1, *(1,) * (len(size) - 1), features.shape[1])

    def extra_repr(self) -> str:
        """What ``print(network)`` shows."""
        return f"{super().extra_repr()}, pool={self.of}"
