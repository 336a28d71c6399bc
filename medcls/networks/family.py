"""NetworkFamily: everything that medcls must know of a kind of network, in one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn

from medcls.config.settings import ModelSettings
from medcls.errors import UsageError
from medcls.networks.heads import Head, MeanLinearHead
from medcls.networks.layouts import Layout
from medcls.networks.sources import DIMENSIONS, Source


@dataclass(frozen=True)
class Backbone:
    """What a family builds: a network without its head.

    Attributes:
        module: From images ``(B, C, *spatial)`` to what the family's head takes.
        features: ``K``, the features that the head takes.
        blocks: Its parts from the input on, each with the names of its submodules, for ``model.freeze``.
        explained: Name of the submodule whose output Grad-CAM looks at, where the head is not linear over its mean; empty:
            the output of ``module``; ``None``: the last feature map that it computes.
        head: In place of the family's.
        view: From the output of a block to its map over the axes of the images; ``None``: it is that.
    """

    module: nn.Module
    features: int
    blocks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    explained: str | None = ""
    view: nn.Module | None = None
    head: Callable[[int, int], Head] | None = None


@dataclass(frozen=True)
class NetworkFamily:
    """Networks of one kind.

    Attributes:
        names: What the settings call them.
        build: From settings, dimensions (2 or 3), channels and classes to the backbone, with fresh weights. Which tensors it
            has depends on these alone. The names of tensors must not change: saved classifiers rely on them.
        kind: What a paper calls it, before 'neural network'.
        head: From features and classes to the head.
        smallest: Fewest voxels an axis of the input may have.
        weights: Named source to network to the published file.
        layouts: How tensors are named in the files that hold weights, beside medcls' own.
        channels_last: Spatial axes with which channels innermost in memory pay on a CPU in float32.
    """

    names: tuple[str, ...]
    build: Callable[[ModelSettings, int, int, int], Backbone]
    kind: str = "convolutional"
    head: Callable[[int, int], Head] = MeanLinearHead
    smallest: int = 1
    weights: Mapping[str, Mapping[str, Source]] = field(default_factory=dict)
    layouts: tuple[Layout, ...] = ()
    channels_last: tuple[int, ...] = (2, 3)

    def __post_init__(self) -> None:
        if not self.names or not self.weights.keys() <= DIMENSIONS.keys():
            raise UsageError(
                "a NetworkFamily needs names, and weights of named sources alone",
                remedy=f"Sources: {', '.join(DIMENSIONS)}; other files are named in model.weights",
            )
