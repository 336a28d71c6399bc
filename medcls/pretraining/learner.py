"""Learner: a network with what it is pretrained by, which is thrown away afterwards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from medcls.networks import ClassificationNetwork


class Learner(nn.Module, ABC):
    """A network and its task.

    Args:
        network: What is pretrained, in place; its head takes no part.

    Attributes:
        views: How many views of each image it takes.
        figures: What it gives of each batch beside the loss, and what that is called.
    """

    views: ClassVar[int]
    figures: ClassVar[Mapping[str, str]] = {}

    def __init__(self, network: ClassificationNetwork) -> None:
        super().__init__()
        self.network = network

    @abstractmethod
    def forward(
        self, views: Sequence[Tensor], draws: Sequence[np.random.Generator]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of a batch, and its figures.

        Args:
            views: Each ``(B, C, *spatial)``.
            draws: A random generator for each image.
        """

    @abstractmethod
    def doubt(self, last: Mapping[str, float]) -> str:
        """What speaks against the weights after the last epoch, in one line; empty: nothing.

        Args:
            last: Mean loss and figures of that epoch.
        """
