"""Input normalisation: between the values that a recipe gives and those that pretrained weights were trained with.

It stands before the first convolution, not in its weights: what a convolution pads with is zero after the normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from medcls.networks.sources import IMAGENET, InputNumbers

Values = Literal["unit", "standard"] | tuple[tuple[float, float], ...]
"""What images hold: values in 0..1; or values of mean 0 and standard deviation 1, which are taken for those of a picture; or
the Hounsfield units that are 0 and 1, of all channels or of each."""
INPUT_NAMES = ("input.scale", "input.shift", "input.low", "input.high")
"""Of the tensors of a network that has one; the last two where values are cut off."""


def in_words(values: Values | None) -> str:
    """What images hold, for a record: equal where they hold the same."""
    if values is None or isinstance(values, str):
        return values or "not known"
    return "Hounsfield units " + ", ".join(f"{low:g} to {high:g}" for low, high in values)


class InputNormalisation(nn.Module):
    """``value * scale + shift`` in each channel, by numbers that are not trained and are saved with the network.

    Args:
        scale, shift: ``(channels,)``.
        low, high: What is beyond is cut off, ``(channels,)``; ``None``: nothing is.
    """

    scale: Tensor
    shift: Tensor
    low: Tensor | None
    high: Tensor | None

    def __init__(self, scale: Tensor, shift: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> None:
        super().__init__()
        for name, numbers in (("scale", scale), ("shift", shift), ("low", low), ("high", high)):
            self.register_buffer(name, numbers)

    def forward(self, images: Tensor) -> Tensor:
        """From ``(B, C, *spatial)`` to the same shape."""
        shape = (-1, *(1,) * (images.ndim - 2))
        values = images * self.scale.view(shape) + self.shift.view(shape)
        if self.low is None or self.high is None:
            return values
        return values.clamp(self.low.view(shape), self.high.view(shape))


def normalisation_for(numbers: InputNumbers, values: Values, channels: int) -> InputNormalisation:
    """From images of these values to what weights were trained with; another number of channels takes their averages."""
    mean, deviation = _spread(numbers.mean, channels), _spread(numbers.std, channels)
    scale, shift = 1 / deviation, -mean / deviation
    if values == "standard":
        grey, spread = (_spread(each, 1) for each in (IMAGENET.mean, IMAGENET.std))
        scale, shift = scale * spread, shift + scale * grey
    if numbers.hounsfield is None:
        return InputNormalisation(scale.float(), shift.float())
    cut = ((-mean / deviation).float(), ((1 - mean) / deviation).float())
    if not isinstance(values, str):
        low, high = numbers.hounsfield
        bottom, top = (_spread(each, channels) for each in zip(*values, strict=True))
        scale, shift = scale * (top - bottom) / (high - low), shift + scale * (bottom - low) / (high - low)
    return InputNormalisation(scale.float(), shift.float(), *cut)


def normalisation_in(tensors: Mapping[str, Tensor], channels: int) -> InputNormalisation | None:
    """That of a network whose tensors are these, for as many channels; ``None`` where it has none."""
    found = [tensors[name] for name in INPUT_NAMES if name in tensors]
    if len(found) not in (2, 4) or any(one.ndim != 1 for one in found):
        return None
    return InputNormalisation(*(_spread(one.tolist(), channels).float() for one in found))


def _spread(numbers: Sequence[float], channels: int) -> Tensor:
    given = torch.tensor(numbers, dtype=torch.float64)
    return given if len(given) == channels else given.mean().expand(channels).clone()
