"""Swin transformer: Liu et al., 'Swin Transformer' (ICCV 2021), sections 3.1 to 3.3; the tiny one.

Tokens look at each other within windows of 7 along each axis, which every second layer shifts by 3. As in torchvision, a map
that its windows do not tile is padded with zeros at the far end. In 3-D patches, windows and mergers are cubes. It ends in the
mean over a normed map.
"""

from __future__ import annotations

import itertools
import re

import torch
from torch import Tensor, nn
from torch.nn import functional

from medcls.config.settings import ModelSettings
from medcls.networks.family import Backbone, NetworkFamily
from medcls.networks.layers import LAYERS, ChannelsFirst, ChannelsLast, fill_truncated
from medcls.networks.layouts import Layout
from medcls.networks.sources import torchvision
from medcls.networks.stochastic_depth import StochasticDepth, rising

_WIDTH = 96
_DEPTHS, _HEADS = (2, 2, 6, 2), (3, 6, 12, 24)
_WINDOW, _PATCH = 7, 4
_DROPPED = 0.2
_APART = (
    -100.0
)  # added to what tokens of two sides of an image, that share a shifted window, have to do with each other


class WindowAttention(nn.Module):
    """Attention within windows, with a bias for each step between two places: equation 4.

    Args:
        dimensions: 2 or 3.
        width: Features.
        heads: Of the attention.
        shifted: Whether windows begin half a window further on.
    """

    def __init__(self, dimensions: int, width: int, heads: int, *, shifted: bool) -> None:
        super().__init__()
        self.heads, self.shifted = heads, shifted
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * _WINDOW - 1) ** dimensions, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, cells: Tensor) -> Tensor:
        """From ``(B, *cells, K)`` to the same."""
        size = cells.shape[1:-1]
        padded = [(side + _WINDOW - 1) // _WINDOW * _WINDOW for side in size]
        shift = [-(_WINDOW // 2) if self.shifted and side > _WINDOW else 0 for side in padded]
        axes = list(range(1, cells.ndim - 1))
        ends = [end for side, whole in zip(reversed(size), reversed(padded), strict=True) for end in (0, whole - side)]
        found = functional.pad(cells, (0, 0, *ends)).roll(shift, axes)
        found = from_windows(self._attend(windows_of(found), padded, shift), padded)
        found = found.roll([-one for one in shift], axes)
        return found[(slice(None), *(slice(side) for side in size))]

    def _attend(self, windows: Tensor, padded: list[int], shift: list[int]) -> Tensor:
        """From ``(B, W, N, K)`` to the same."""
        batch, count, tokens, width = windows.shape
        qkv = self.qkv(windows).reshape(batch * count, tokens, 3, self.heads, width // self.heads)
        bias = self.relative_position_bias_table[_steps(len(padded), windows.device)].permute(2, 0, 1)[None]
        if any(shift):
            apart = _apart(padded, shift, windows.device)[None, :, None]
            bias = (bias + _APART * apart).expand(batch, -1, -1, -1, -1).flatten(0, 1)
        queries, keys, values = qkv.permute(2, 0, 3, 1, 4).unbind()
        seen = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias.to(qkv.dtype))
        made: Tensor = self.proj(seen.transpose(1, 2).reshape(batch, count, tokens, width))
        return made


class SwinBlock(nn.Module):
    """Attention within windows, then two layers on each cell; both added to their input.

    Args:
        dimensions: 2 or 3.
        width: Features.
        heads: Of the attention.
        shifted: Whether windows begin half a window further on.
        dropped: Probability of stochastic depth.
    """

    def __init__(self, dimensions: int, width: int, heads: int, *, shifted: bool, dropped: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = WindowAttention(dimensions, width, heads, shifted=shifted)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.stochastic_depth = StochasticDepth(dropped)

    def forward(self, cells: Tensor) -> Tensor:
        """From ``(B, *cells, K)`` to the same."""
        cells = cells + self.stochastic_depth(self.attn(self.norm1(cells)))
        made: Tensor = self.stochastic_depth(self.mlp(self.norm2(cells)))
        return cells + made


class Merging(nn.Module):
    """Two cells along each axis become one of twice the features; the first axis is the fastest among them.

    Args:
        dimensions: 2 or 3.
        width: Features before.
    """

    def __init__(self, dimensions: int, width: int) -> None:
        super().__init__()
        joined = 2**dimensions * width
        self.norm, self.reduction = nn.LayerNorm(joined), nn.Linear(joined, 2 * width, bias=False)

    def forward(self, cells: Tensor) -> Tensor:
        """From ``(B, *cells, K)`` to ``(B, *cells / 2, 2 K)``."""
        dimensions = cells.ndim - 2
        odd = [end for side in reversed(cells.shape[1:-1]) for end in (0, side % 2)]
        cells = functional.pad(cells, (0, 0, *odd))
        starts = [tuple(reversed(one)) for one in itertools.product((0, 1), repeat=dimensions)]
        parts = [cells[(slice(None), *(slice(begin, None, 2) for begin in start))] for start in starts]
        made: Tensor = self.reduction(self.norm(torch.cat(parts, dim=-1)))
        return made


def windows_of(cells: Tensor) -> Tensor:
    """``(B, W, N, K)``, the cells of each window, of ``(B, *cells, K)`` that windows tile."""
    dimensions = cells.ndim - 2
    parted = [part for side in cells.shape[1:-1] for part in (side // _WINDOW, _WINDOW)]
    order = (0, *range(1, 2 * dimensions, 2), *range(2, 2 * dimensions + 1, 2), 2 * dimensions + 1)
    cells = cells.reshape(cells.shape[0], *parted, cells.shape[-1]).permute(order)
    return cells.flatten(1, dimensions).flatten(2, 1 + dimensions)


def from_windows(windows: Tensor, size: list[int]) -> Tensor:
    """What :func:`windows_of` was made of."""
    dimensions = len(size)
    counts = [side // _WINDOW for side in size]
    cells = windows.reshape(windows.shape[0], *counts, *(_WINDOW,) * dimensions, windows.shape[-1])
    order = [place for axis in range(1, dimensions + 1) for place in (axis, axis + dimensions)]
    return cells.permute(0, *order, 2 * dimensions + 1).reshape(windows.shape[0], *size, windows.shape[-1])


def _steps(dimensions: int, device: torch.device) -> Tensor:
    """The row of the table for each two places of a window: ``(N, N)``."""
    along = torch.arange(_WINDOW, device=device)
    places = torch.stack(torch.meshgrid([along] * dimensions, indexing="ij"), dim=-1).reshape(-1, dimensions)
    between = places[:, None] - places[None] + _WINDOW - 1
    rows = between[:, :, 0]
    for axis in range(1, dimensions):
        rows = rows * (2 * _WINDOW - 1) + between[:, :, axis]
    return rows


def _apart(padded: list[int], shift: list[int], device: torch.device) -> Tensor:
    """Which tokens of a shifted window came from two sides of the image: ``(W, N, N)``."""
    sides = torch.zeros(1, *padded, 1, device=device)
    for axis, (side, moved) in enumerate(zip(padded, shift, strict=True)):
        wrapped = (torch.arange(side, device=device) >= side + moved).to(sides.dtype)
        sides = sides + 2**axis * wrapped.reshape(1, *(-1 if one == axis else 1 for one in range(len(padded))), 1)
    of_window = windows_of(sides)[0, :, :, 0]
    return (of_window[:, :, None] != of_window[:, None]).to(sides.dtype)


def _build(settings: ModelSettings, dimensions: int, channels: int, classes: int) -> Backbone:
    rates = iter(rising(_DROPPED, sum(_DEPTHS)))
    embed = LAYERS[dimensions].convolution(channels, _WIDTH, _PATCH, stride=_PATCH)
    module = nn.Sequential(nn.Sequential(embed, ChannelsLast(), nn.LayerNorm(_WIDTH)))
    width = _WIDTH
    for stage, (depth, heads) in enumerate(zip(_DEPTHS, _HEADS, strict=True)):
        if stage:
            module.append(Merging(dimensions, width))
            width *= 2
        module.append(
            nn.Sequential(
                *(
                    SwinBlock(dimensions, width, heads, shifted=number % 2 == 1, dropped=next(rates))
                    for number in range(depth)
                )
            )
        )
    module.extend([nn.LayerNorm(width), ChannelsFirst()])
    fill_truncated(module)
    blocks = {"stem": ("0",), "block1": ("1",), "block2": ("2", "3"), "block3": ("4", "5"), "block4": ("6", "7", "8")}
    return Backbone(module, width, blocks, view=ChannelsFirst())


def _from_torchvision(key: str) -> str | None:
    part, _, rest = key.partition(".")
    if key.endswith("relative_position_index"):
        return None
    if part == "features":
        return "backbone." + re.sub(r"\.mlp\.3\.", ".mlp.2.", rest)
    return {"norm": f"backbone.8.{rest}", "head": f"head.{rest}"}.get(part)


FAMILY = NetworkFamily(
    names=("swin_t",),
    build=_build,
    kind="transformer",
    smallest=_PATCH,
    weights={"imagenet": {"swin_t": torchvision("swin_t-704ceda3.pth")}},
    layouts=(
        Layout(
            "torchvision Swin",
            lambda names: "features.1.0.attn.relative_position_bias_table" in names,
            _from_torchvision,
            whole=True,
        ),
    ),
    channels_last=(),
)
