"""Vision transformer: Dosovitskiy et al., 'An Image is Worth 16x16 Words' (ICLR 2021), section 3.1 and table 1.

The small one is that of DeiT (Touvron et al., ICML 2021), table 1. Patches of 14 are DINOv2's (Oquab et al., arXiv 2304.07193),
whose layers weigh what they add; ``_reg`` has four registers besides (Darcet et al., 'Vision Transformers Need Registers', ICLR
2024). In 3-D patches are cubes. An image is first enlarged or reduced to the nearest whole patches, and the embeddings of
places are interpolated to its grid. The class token is what the head sees, so Grad-CAM goes by gradients, at the tokens before
the last attention.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from medcls.config.settings import ModelSettings
from medcls.networks.family import Backbone, NetworkFamily
from medcls.networks.heads import TokenHead, patches_of
from medcls.networks.layers import LAYERS, LayerScale, fill_truncated
from medcls.networks.layouts import Layout
from medcls.networks.sources import torchvision
from medcls.networks.stochastic_depth import StochasticDepth, rising

_LAYERS = 12
_EPSILON = 1e-6
_DROPPED = 0.1  # the last layer, with this probability: DeiT's, table 9
_SCALED = 0.1  # as Touvron et al. (see LayerScale) begin in networks of so few layers
_GRIDS = {(16, 2): 14, (14, 2): 37, (16, 3): 6, (14, 3): 7}
_POSITIONS = "backbone.embed.positions"


@dataclass(frozen=True)
class _Kind:
    """Features, heads, sides of a patch, and registers."""

    width: int
    heads: int
    patch: int = 16
    registers: int = 0


_NETWORKS = {
    "vit_s_16": _Kind(384, 6),
    "vit_b_16": _Kind(768, 12),
    "vit_s_14": _Kind(384, 6, 14),
    "vit_b_14": _Kind(768, 12, 14),
    "vit_s_14_reg": _Kind(384, 6, 14, 4),
    "vit_b_14_reg": _Kind(768, 12, 14, 4),
}


class Embedding(nn.Module):
    """From images to tokens: the class token, registers, and the patches with the last axis fastest.

    Args:
        dimensions: 2 or 3.
        channels: Of the images.
        kind: Of the network.
    """

    def __init__(self, dimensions: int, channels: int, kind: _Kind) -> None:
        super().__init__()
        self.patch = (kind.patch,) * dimensions
        self.grid = (_GRIDS[kind.patch, dimensions],) * dimensions
        self.proj = LAYERS[dimensions].convolution(channels, kind.width, kind.patch, stride=kind.patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, kind.width))
        self.positions = nn.Parameter(torch.zeros(1, 1 + math.prod(self.grid), kind.width))
        self.registers = nn.Parameter(torch.zeros(1, kind.registers, kind.width)) if kind.registers else None
        for one in self.parameters(recurse=False):
            nn.init.trunc_normal_(one, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        """From ``(B, C, *spatial)`` to ``(B, 1 + registers + patches, K)``."""
        grid = patches_of(images.shape[2:], self.patch)
        cells = self.proj(_sized(images, tuple(side * each for side, each in zip(grid, self.patch, strict=True))))
        tokens = torch.cat([self.class_token.expand(images.shape[0], -1, -1), cells.flatten(2).transpose(1, 2)], dim=1)
        tokens = tokens + on_grid(self.positions, self.grid, grid)
        if self.registers is None:
            return tokens
        return torch.cat([tokens[:, :1], self.registers.expand(images.shape[0], -1, -1), tokens[:, 1:]], dim=1)


class Layer(nn.Module):
    """Attention between tokens, then two layers on each; both added to their input.

    Args:
        kind: Of the network.
        dropped: Probability of stochastic depth.
    """

    def __init__(self, kind: _Kind, dropped: float) -> None:
        super().__init__()
        width, scaled = kind.width, kind.patch == 14
        self.norm1 = nn.LayerNorm(width, eps=_EPSILON)
        self.attn = nn.MultiheadAttention(width, kind.heads, batch_first=True)
        self.ls1 = LayerScale(width, _SCALED) if scaled else nn.Identity()
        self.norm2 = nn.LayerNorm(width, eps=_EPSILON)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.ls2 = LayerScale(width, _SCALED) if scaled else nn.Identity()
        self.stochastic_depth = StochasticDepth(dropped)
        nn.init.trunc_normal_(self.attn.in_proj_weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """From ``(B, N, K)`` to the same."""
        normed = self.norm1(tokens)
        seen, _ = self.attn(normed, normed, normed, need_weights=False)
        tokens = tokens + self.stochastic_depth(self.ls1(seen))
        made: Tensor = self.stochastic_depth(self.ls2(self.mlp(self.norm2(tokens))))
        return tokens + made


def on_grid(positions: Tensor, own: tuple[int, ...], grid: tuple[int, ...]) -> Tensor:
    """Embeddings ``(1, 1 + cells, K)`` of the class token and the places of a grid, interpolated to those of another."""
    if own == grid:
        return positions
    places = positions[:, 1:].transpose(1, 2).reshape(1, -1, *own)
    mode = "bicubic" if len(own) == 2 else "trilinear"
    places = functional.interpolate(places.float(), size=grid, mode=mode, align_corners=False).to(positions.dtype)
    return torch.cat([positions[:, :1], places.flatten(2).transpose(1, 2)], dim=1)


def _sized(images: Tensor, size: tuple[int, ...]) -> Tensor:
    if tuple(images.shape[2:]) == size:
        return images
    mode = "bilinear" if len(size) == 2 else "trilinear"
    return functional.interpolate(images, size=size, mode=mode, align_corners=False)


def _build(settings: ModelSettings, dimensions: int, channels: int, classes: int) -> Backbone:
    kind = _NETWORKS[settings.name]
    module = nn.Sequential()
    module.add_module("embed", Embedding(dimensions, channels, kind))
    module.add_module("layers", nn.Sequential(*(Layer(kind, rate) for rate in rising(_DROPPED, _LAYERS))))
    module.add_module("norm", nn.LayerNorm(kind.width, eps=_EPSILON))
    fill_truncated(module)
    blocks: dict[str, tuple[str, ...]] = {"stem": ("embed",)}
    blocks |= {f"block{one + 1}": (f"layers.{one}",) for one in range(_LAYERS)}
    blocks[f"block{_LAYERS}"] = (f"layers.{_LAYERS - 1}", "norm")
    head = partial(TokenHead, patch=(kind.patch,) * dimensions, extra=1 + kind.registers)
    return Backbone(module, kind.width, blocks, explained=f"layers.{_LAYERS - 1}.norm1", head=head)


_FROM_TORCHVISION = (
    (r"class_token", "backbone.embed.class_token"),
    (r"encoder\.pos_embedding", _POSITIONS),
    (r"conv_proj\.(.*)", r"backbone.embed.proj.\1"),
    (r"encoder\.ln\.(.*)", r"backbone.norm.\1"),
    (r"encoder\.layers\.encoder_layer_(\d+)\.ln_([12])\.(.*)", r"backbone.layers.\1.norm\2.\3"),
    (r"encoder\.layers\.encoder_layer_(\d+)\.self_attention\.(.*)", r"backbone.layers.\1.attn.\2"),
    (r"encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:0|linear_1)\.(.*)", r"backbone.layers.\1.mlp.0.\2"),
    (r"encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:3|linear_2)\.(.*)", r"backbone.layers.\1.mlp.2.\2"),
    (r"heads\.head\.(.*)", r"head.\1"),
)
_FROM_TIMM = (
    (r"cls_token", "backbone.embed.class_token"),
    (r"pos_embed", _POSITIONS),
    (r"register_tokens", "backbone.embed.registers"),
    (r"patch_embed\.proj\.(.*)", r"backbone.embed.proj.\1"),
    (r"norm\.(.*)", r"backbone.norm.\1"),
    (r"blocks\.(\d+)\.(norm[12]\..*)", r"backbone.layers.\1.\2"),
    (r"blocks\.(\d+)\.attn\.qkv\.(.*)", r"backbone.layers.\1.attn.in_proj_\2"),
    (r"blocks\.(\d+)\.attn\.proj\.(.*)", r"backbone.layers.\1.attn.out_proj.\2"),
    (r"blocks\.(\d+)\.mlp\.fc1\.(.*)", r"backbone.layers.\1.mlp.0.\2"),
    (r"blocks\.(\d+)\.mlp\.fc2\.(.*)", r"backbone.layers.\1.mlp.2.\2"),
    (r"blocks\.(\d+)\.ls([12])\.gamma", r"backbone.layers.\1.ls\2.weight"),
    (r"head\.(.*)", r"head.\1"),
)


def _by(rules: tuple[tuple[str, str], ...], key: str) -> str | None:
    found = ((re.fullmatch(pattern, key), text) for pattern, text in rules)
    return next((match.expand(text) for match, text in found if match), None)


def _reshape(key: str, tensor: Tensor, own: Tensor) -> tuple[Tensor, str] | None:
    if key != _POSITIONS or tensor.ndim != 3 or own.ndim != 3 or tensor.shape[::2] != own.shape[::2]:
        return None
    theirs, ours = (math.isqrt(one.shape[1] - 1) for one in (tensor, own))
    if theirs * theirs != tensor.shape[1] - 1 or ours * ours != own.shape[1] - 1:
        return None
    fitted = on_grid(tensor.float(), (theirs, theirs), (ours, ours))
    return fitted, f"embeddings of places from {theirs} x {theirs} to {ours} x {ours}"


def _layout(name: str, known: str, rules: tuple[tuple[str, str], ...]) -> Layout:
    def recognises(names: Mapping[str, int]) -> bool:
        return known in names

    remedy = "Choose the network by its features (384: vit_s, 768: vit_b), patches, and registers"
    return Layout(name, recognises, partial(_by, rules), reshape=_reshape, whole=True, remedy=remedy)


FAMILY = NetworkFamily(
    names=tuple(_NETWORKS),
    build=_build,
    kind="transformer",
    weights={"imagenet": {"vit_b_16": torchvision("vit_b_16-c867db91.pth")}},
    layouts=(
        _layout("torchvision ViT", "encoder.pos_embedding", _FROM_TORCHVISION),
        _layout("timm and DINO ViT", "blocks.0.attn.qkv.weight", _FROM_TIMM),
    ),
    channels_last=(),
)
