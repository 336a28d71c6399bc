"""Integrated gradients: what each voxel adds on the way from nothing to the image."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from medcls.explanation.methods.question import Attribution, Question, method, one_by_one

STEPS = 32


@method
@one_by_one
def integrated_gradients(asked: Question) -> Attribution:
    """What each voxel added to the score; what it took away is cut to 0.

    See :func:`added`; channels are summed.
    """
    return Attribution(added(asked).sum(dim=1).relu(), asked.logits(asked.images))


def added(asked: Question) -> Tensor:
    """What each value of the one image adds to the score, ``(1, C, *spatial)``, above or below 0.

    Sundararajan et al., 'Axiomatic Attribution for Deep Networks' (ICML 2017, arXiv 1703.01365), equation 1: with ``x`` the
    image and ``x'`` the hidden one (:attr:`Question.hidden`), ``(x - x')`` times the integral of the gradient along the
    straight line from ``x'`` to ``x``, here by Gauss-Legendre quadrature. It sums to the score of ``x`` less that of ``x'``
    (proposition 1), as nearly as so many steps have it.
    """
    nodes, weights = (torch.from_numpy(one).to(asked.images) for one in np.polynomial.legendre.leggauss(STEPS))
    shape = (-1, *(1,) * (asked.images.ndim - 1))
    places, weights = ((1 + nodes) / 2).reshape(shape), (weights / 2).reshape(shape)
    change = asked.images - asked.hidden
    total = torch.zeros_like(change)
    for part in asked.parts(STEPS, "Integrated gradients", gradients=True):
        steps = slice(part.start, part.stop)
        slopes = asked.slopes(asked.hidden + places[steps] * change)
        total += (weights[steps] * slopes).sum(dim=0)
    return (total * change).float()
