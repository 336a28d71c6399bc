"""SimSiam: Chen and He, 'Exploring Simple Siamese Representation Learning' (CVPR 2021), section 3.

Two views of an image are to have like outputs: a predictor on the one is drawn to the other, through which no gradient flows.
Nothing is pushed apart, so that images of one patient cannot be negatives of each other, and small batches serve. Projector
and predictor are as wide as the network asks for: four times its features, the bottleneck a quarter of that, as in the paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, normalize

from medcls.networks import ClassificationNetwork
from medcls.pretraining.learner import Learner

_WIDEST = 2048  # the paper's
COLLAPSED = 0.1
"""Outputs that are spread less than this are taken for one and the same; figure 2 of the paper has 0 or nearly 1."""


class SimSiam(Learner):
    """A network, and a projector and a predictor on what its head takes.

    Args:
        network: Any; ``features`` are those that its last layer takes.
        features: How many these are.
    """

    views = 2
    figures: ClassVar[Mapping[str, str]] = {"spread": "spread of outputs"}

    def __init__(self, network: ClassificationNetwork, features: int) -> None:
        super().__init__(network)
        wide = min(_WIDEST, 4 * features)
        narrow = wide // 4
        self.projector = nn.Sequential(
            *(nn.Linear(features, wide, bias=False), nn.BatchNorm1d(wide), nn.ReLU()),
            *(nn.Linear(wide, wide, bias=False), nn.BatchNorm1d(wide), nn.ReLU()),
            *(nn.Linear(wide, wide, bias=False), nn.BatchNorm1d(wide, affine=False)),
        )
        self.predictor = nn.Sequential(
            *(nn.Linear(wide, narrow, bias=False), nn.BatchNorm1d(narrow), nn.ReLU(), nn.Linear(narrow, wide))
        )

    def forward(
        self, views: Sequence[Tensor], draws: Sequence[np.random.Generator]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See :class:`Learner`; nothing is drawn."""
        outputs = [self.projector(self.network.pool(self.network.features(view))) for view in views]
        first, second = outputs
        loss = symmetric_loss((self.predictor(first), self.predictor(second)), (first, second))
        return loss, {"spread": spread(torch.cat(outputs).detach())}

    def doubt(self, last: Mapping[str, float]) -> str:
        """Whether it collapsed: all images have one output."""
        if last["spread"] >= COLLAPSED:
            return ""
        return (
            f"pretraining COLLAPSED: outputs of different images are all but the same (spread {last['spread']:.3f}, where 1 is "
            "even and 0 is one point); lower pretrain.learning_rate, or give more scans"
        )


def symmetric_loss(predicted: tuple[Tensor, Tensor], outputs: tuple[Tensor, Tensor]) -> Tensor:
    """Equations 3 and 4 of the paper: half the negative cosines of each prediction and the other view's output, from -1 to 1.

    Args:
        predicted: Of both views, ``(B, K)``.
        outputs: What the predictor took; they are targets here, through which no gradient flows.
    """
    (p1, p2), (z1, z2) = predicted, (one.detach() for one in outputs)
    return -(cosine_similarity(p1, z2).mean() + cosine_similarity(p2, z1).mean()) / 2


def spread(outputs: Tensor) -> Tensor:
    """Standard deviation of the outputs ``(B, K)`` on the unit sphere, mean over features, by its value for even ones.

    Section 4.1 of the paper: 0 of outputs that are all one, nearly 1 of those that have all directions.
    """
    return normalize(outputs.float()).std(dim=0).mean() * math.sqrt(outputs.shape[1])
