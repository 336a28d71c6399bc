"""Grad-CAM++: features weighed by the positive gradients of the cells where they are."""

from __future__ import annotations

import torch
from torch import Tensor

from medcls.explanation.methods.layer import cam, over_cells
from medcls.explanation.methods.question import Attribution, Question, method


@method
def grad_cam_plus_plus(asked: Question) -> Attribution:
    """Features weighed by a weighted sum of their positive gradients over space.

    Chattopadhay et al., 'Grad-CAM++' (WACV 2018, arXiv 1710.11063), equations 7 and 19: with ``g = dy/dA_k`` of a cell,
    ``alpha = g^2 / (2 g^2 + g^3 sum of A_k over cells)``, ``w_k = sum over cells of alpha ReLU(g)`` and
    ``L = ReLU(sum_k w_k A_k)``. The paper explains ``exp(y)``, whose gradients are those of ``y`` times one number for the
    whole map: it is left out, since it overflows and changes no place. Where the denominator is not above 0, as with features
    below 0, ``alpha`` is 0. Features that speak against the target take nothing away.
    """
    return cam(asked, _weigh)


def _weigh(features: Tensor, slopes: Tensor) -> Tensor:
    total = features.sum(dim=over_cells(features), keepdim=True)
    # g^2 is in both: alpha = 1 / (2 + g sum A), and g = 0 gives nothing in any case.
    below = 2 + slopes * total
    alpha = torch.where(below > 0, 1 / below, 0.0)
    weights = (alpha * slopes.relu()).expand_as(features).sum(dim=over_cells(features))
    return torch.einsum("bk...,bk->b...", features, weights)
