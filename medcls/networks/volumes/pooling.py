"""What joins the features of slices, ``(B, S, K)``, into those of a volume, ``(B, K)``."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_HIDDEN = 128
_HEADS = 4


class MeanOverSlices(nn.Module):
    """The mean over the slices; each way of pooling stands on it."""

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, S, K)`` to ``(B, K)``."""
        return features.mean(dim=1)

    def shares(self, features: Tensor) -> Tensor | None:
        """How much each slice counts, ``(B, S)`` of sum 1, where the pooling says so itself, whatever the label."""
        return None


class MaximumOverSlices(MeanOverSlices):
    """The maximum of each feature over the slices; a slice's share is the part of the features that it gives."""

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, S, K)`` to ``(B, K)``."""
        return features.amax(dim=1)

    def shares(self, features: Tensor) -> Tensor:
        """``(B, S)``; of slices that are equally high, the first gives the feature."""
        places = nn.functional.one_hot(features.argmax(dim=1), features.shape[1])
        return places.to(features.dtype).mean(dim=1)


class GatedAttention(MeanOverSlices):
    """The mean weighted by gated attention; a slice's share is its weight.

    Ilse et al., 'Attention-based Deep Multiple Instance Learning' (ICML 2018), equations 7 and 9.

    Args:
        features: ``K``.
        hidden: Units of the attention.
    """

    def __init__(self, features: int, hidden: int = _HIDDEN) -> None:
        super().__init__()
        self.content, self.gate = nn.Linear(features, hidden), nn.Linear(features, hidden)
        self.attention = nn.Linear(hidden, 1)

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, S, K)`` to ``(B, K)``."""
        return (self.shares(features)[:, None] @ features).squeeze(1)

    def shares(self, features: Tensor) -> Tensor:
        """``(B, S)``."""
        hidden = self.content(features).tanh() * self.gate(features).sigmoid()
        weights: Tensor = self.attention(hidden).squeeze(2).softmax(dim=1)
        return weights


class RecurrentPooling(MeanOverSlices):
    """The mean over the slices, and added to it what a recurrent layer, run from both ends, holds at the other end.

    Cho et al., 'Learning Phrase Representations using RNN Encoder-Decoder' (EMNLP 2014), for GRU; Hochreiter and
    Schmidhuber, 'Long Short-Term Memory' (Neural Computation 1997), for LSTM. The layer works on few numbers a slice, and
    stands beside the mean, so that few cases can train it.

    Args:
        features: ``K``.
        layer: ``torch.nn.GRU`` or ``torch.nn.LSTM``.
        hidden: Units in each direction.
    """

    def __init__(self, features: int, layer: type[nn.GRU] | type[nn.LSTM], hidden: int = _HIDDEN) -> None:
        super().__init__()
        self.narrow, self.widen = nn.Linear(features, hidden), nn.Linear(2 * hidden, features)
        self.layer = layer(hidden, hidden, batch_first=True, bidirectional=True)

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, S, K)`` to ``(B, K)``."""
        # cuDNN gives gradients of recurrent layers in training alone, and maps take them in evaluation.
        with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled and self.training):
            states, _ = self.layer(self.narrow(features))
        forth, back = states.chunk(2, dim=2)
        added: Tensor = self.widen(torch.cat([forth[:, -1], back[:, 0]], dim=1))
        return super().forward(features) + added


class TransformerPooling(MeanOverSlices):
    """The mean over the slices, and added to it the mean of what an encoder layer makes of them and of their places.

    Vaswani et al., 'Attention Is All You Need' (NeurIPS 2017), sections 3.1 and 3.5, with the norms before the layers.

    Args:
        features: ``K``.
        hidden: Numbers of a slice within.
    """

    def __init__(self, features: int, hidden: int = _HIDDEN) -> None:
        super().__init__()
        self.narrow, self.widen = nn.Linear(features, hidden), nn.Linear(hidden, features)
        self.layer = nn.TransformerEncoderLayer(hidden, _HEADS, 2 * hidden, batch_first=True, norm_first=True)

    def forward(self, features: Tensor) -> Tensor:
        """From ``(B, S, K)`` to ``(B, K)``."""
        narrow = self.narrow(features)
        encoded = self.layer(narrow + places_of(narrow))
        added: Tensor = self.widen(super().forward(encoded))
        return super().forward(features) + added


def places_of(slices: Tensor) -> Tensor:
    """The sines and cosines that tell ``(B, S, hidden)`` where each slice is: ``(S, hidden)``, section 3.5."""
    count, hidden = slices.shape[1:]
    rates = torch.exp(torch.arange(0, hidden, 2, device=slices.device) * (-math.log(10_000.0) / hidden))
    angles = torch.arange(count, device=slices.device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1).to(slices.dtype)


def pooling_of(name: str, features: int) -> MeanOverSlices:
    """The pooling of a name, as ``model.slices.pooling`` has it."""
    match name:
        case "attention":
            return GatedAttention(features)
        case "gru":
            return RecurrentPooling(features, nn.GRU)
        case "lstm":
            return RecurrentPooling(features, nn.LSTM)
        case "transformer":
            return TransformerPooling(features)
        case "max":
            return MaximumOverSlices()
    return MeanOverSlices()
