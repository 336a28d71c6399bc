"""Grad-CAM: in closed form where a network ends in a mean over space and a linear layer, by gradients elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor

from medcls.explanation.methods.layer import cam, over_cells
from medcls.explanation.methods.question import Attribution, Question, method


@method
def grad_cam(asked: Question) -> Attribution:
    """Features weighed by the mean of their gradients over space.

    Selvaraju et al., 'Grad-CAM' (arXiv 1610.02391), equations 1 and 2: with ``A_k`` the feature maps and ``y`` the score,
    ``alpha_k = mean over cells of dy/dA_k`` and ``L = ReLU(sum_k alpha_k A_k)``. A map of zeros says that nothing spoke for the
    target.
    """
    return cam(asked, _weigh)


def _weigh(features: Tensor, slopes: Tensor) -> Tensor:
    return torch.einsum("bk...,bk->b...", features, slopes.mean(dim=over_cells(slopes)))
