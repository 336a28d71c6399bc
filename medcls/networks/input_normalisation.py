"""Input normalisation: between the values that a recipe gives and those that pretrained weights were trained with.

It stands before the first convolution, not in its weights: what a convolution pads with is zero after the normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from medcls.networks.sources import IMAGENET, InputNumbers

Values = Literal["unit", "standard"]
"""What images hold: values in 0..1, or values of mean 0 and standard deviation 1, which are taken for those of a picture."""
INPUT_NAMES = ("input.scale", "input.shift")
"""Of the tensors of a network that has one."""


class InputNormalisation(nn.Module):
    """``value * scale + shift`` in each channel, by numbers that are not trained and are saved with the network.

    Args:
        scale, shift: ``(channels,)``.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, images: Tensor) -> Tensor:
        """From ``(B, C, *spatial)`` to the same shape."""
        shape = (-1, *(1,) * (images.ndim - 2))
        return images * self.scale.view(shape) + self.shift.view(shape)


def normalisation_for(numbers: InputNumbers, values: Values, channels: int) -> InputNormalisation:
    """From images of these values to what weights were trained with; another number of channels takes their averages."""
    mean, deviation = _spread(numbers.mean, channels), _spread(numbers.std, channels)
    scale, shift = 1 / deviation, -mean / deviation
    if values == "standard":
        grey, spread = (_spread(each, 1) for each in (IMAGENET.mean, IMAGENET.std))
        scale, shift = scale * spread, shift + scale * grey
    return InputNormalisation(scale.float(), shift.float())


def normalisation_in(tensors: Mapping[str, Tensor], channels: int) -> InputNormalisation | None:
    """That of a network whose tensors are these, for as many channels; ``None`` where it has none."""
    if not all(name in tensors and tensors[name].ndim == 1 for name in INPUT_NAMES):
        return None
    return InputNormalisation(*(_spread(tensors[name].tolist(), channels).float() for name in INPUT_NAMES))


def _spread(numbers: Sequence[float], channels: int) -> Tensor:
    given = torch.tensor(numbers, dtype=torch.float64)
    return given if len(given) == channels else given.mean().expand(channels).clone()
