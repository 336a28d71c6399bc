"""Tiny networks of every kind of end, whose scores rise with what is bright, and images with a bright lesion."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from medcls.config.sections.slices import SliceSettings
from medcls.networks import ClassificationNetwork
from medcls.networks.families.convnext import NormHead
from medcls.networks.given import GivenHead
from medcls.networks.heads import MeanLinearHead, TokenHead
from medcls.networks.volumes.slice_network import SliceNetwork

FEATURES, SIDE = 6, {2: 16, 3: 8}
KINDS = ("linear", "linear 3-D", "norm", "tokens", "given", "slices", "three planes")


def convolutions(dimensions: int, channels: int = 1) -> nn.Sequential:
    """Two convolutions that halve; the first features count what is brighter than noise, others what is not."""
    convolution, pool = (nn.Conv2d, nn.AvgPool2d) if dimensions == 2 else (nn.Conv3d, nn.AvgPool3d)
    first: Any = convolution(channels, FEATURES, 3, padding=1)
    with torch.no_grad():
        first.weight.mul_(0.1).add_(1 / first.weight[0].numel())
        first.bias.copy_(torch.linspace(-0.5, 0, FEATURES))
    module = nn.Sequential(first, nn.ReLU(), pool(2))  # type: ignore[operator]
    module.add_module("block", nn.Sequential(convolution(FEATURES, FEATURES, 1), nn.Softplus()))  # type: ignore[operator]
    with torch.no_grad():
        module.block[0].weight[:, :, ...].mul_(0.1)  # type: ignore[union-attr,operator,index]
        for one in range(FEATURES):
            module.block[0].weight[one, one] += 1.0  # type: ignore[union-attr,operator,index]
    return module


class Tokens(nn.Module):
    """Patches of 2 x 2 behind a class token, which sees them by one layer of attention."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.class_token = convolutions(2), nn.Parameter(torch.randn(1, 1, FEATURES))
        self.norm, self.attention = nn.Identity(), nn.MultiheadAttention(FEATURES, 1, batch_first=True)
        with torch.no_grad():  # what is brighter is looked at more, and is passed on as it is
            self.attention.in_proj_weight[2 * FEATURES :] = torch.eye(FEATURES)
            self.attention.out_proj.weight.copy_(torch.eye(FEATURES))

    def forward(self, images: Tensor) -> Tensor:
        cells = self.body(images).flatten(2).transpose(1, 2)
        tokens = self.norm(torch.cat([self.class_token.expand(len(cells), -1, -1), cells], dim=1))
        seen, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        return tokens + seen


class Scores(nn.Module):
    """A module that gives scores, as one from Python may."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body, self.last = convolutions(2), nn.Linear(FEATURES, classes)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.last(self.body(images).mean(dim=(2, 3)).tanh())
        return scores


def network(kind: str = "linear", classes: int = 2, seed: int = 0) -> Any:
    """A network of one of :data:`KINDS`, in evaluation: the first label is for what is bright."""
    torch.manual_seed(seed)
    dimensions = 3 if kind == "linear 3-D" else 2
    named: dict[str, Any] = {"name": "tiny", "channels": 1, "classes": classes, "blocks": {"block1": ("block",)}}
    if kind in ("slices", "three planes"):
        slices = SliceSettings(plane="three" if kind == "three planes" else "z", pooling="mean")
        made: Any = SliceNetwork(convolutions(2), MeanLinearHead(FEATURES, classes), slices, features=FEATURES, **named)
    elif kind == "tokens":
        head: Any = TokenHead(FEATURES, classes, (2, 2), pool="class")
        made = ClassificationNetwork(Tokens(), head, dimensions=2, explained="backbone.norm", **named | {"blocks": {}})
    elif kind == "given":
        whole = Scores(classes)
        made = ClassificationNetwork(
            whole, GivenHead(0, classes), dimensions=2, explained=None, **named | {"blocks": {}}
        )
    else:
        head = NormHead(FEATURES, classes) if kind == "norm" else MeanLinearHead(FEATURES, classes)
        made = ClassificationNetwork(convolutions(dimensions), head, dimensions=dimensions, **named)
    last = made.backbone.last if kind == "given" else made.head
    with torch.no_grad():
        last.weight.copy_(torch.randn(classes, FEATURES) * 0.1)
        last.weight[0] += 1.0 if kind != "norm" else _of_brightness(made)
    return made.eval()


def _of_brightness(made: Any) -> Tensor:
    """How what the last layer takes changes with a bright lesion, where that is not by growing."""
    plain = images("norm", batch=1)
    bright = plain.clone()
    bright[:, :, 4:8, 4:8] += 3
    plainly, brightly = (made.pool(made.features(one))[0] for one in (plain, bright))
    return 3 * (brightly - plainly) / (brightly - plainly).norm()


def images(kind: str = "linear", batch: int = 2, seed: int = 1) -> Tensor:
    """Noise that a network of this kind takes: ``(B, 1, *spatial)``."""
    dimensions = 3 if kind in ("linear 3-D", "slices", "three planes") else 2
    side = SIDE[dimensions]
    return 0.1 * torch.randn(batch, 1, *(side,) * dimensions, generator=torch.Generator().manual_seed(seed))
