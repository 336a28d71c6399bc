"""A bias field: the slow change of brightness across an MR image that an uneven coil leaves.

Van Leemput et al., 'Automated Model-Based Bias Field Correction of MR Images of the Brain' (IEEE TMI 18, 1999): the logarithm
of the field is a polynomial in the voxel's place, here in products of Legendre polynomials of degree 3 together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.polynomial import legendre
from numpy.typing import NDArray
from torch import Tensor

DEGREE = 3


def add_bias_field(images: Tensor, largest: float, draws: Sequence[np.random.Generator]) -> Tensor:
    """Multiply each image by ``exp(sum c P_i(x) P_j(y) P_k(z))``, coefficients even in ``-largest..largest``.

    What is multiplied is the distance from the image's lowest value, by channel: a prepared image is shifted, and its 0 is not
    the scanner's.

    Args:
        images: ``(B, C, *shape)`` float32.
        largest: Of the coefficients.
        draws: One random generator for each image.
    """
    shape = images.shape[2:]
    polynomials = [torch.from_numpy(_polynomials(length)).to(images.device) for length in shape]
    used = np.indices((DEGREE + 1,) * len(shape)).sum(axis=0) <= DEGREE
    fields = []
    for draw in draws:
        coefficients = np.zeros(used.shape, np.float32)
        coefficients[used] = draw.uniform(-largest, largest, int(used.sum()))
        field = torch.from_numpy(coefficients).to(images.device)
        for polynomial in polynomials:
            field = torch.tensordot(field, polynomial, dims=([0], [1]))
        fields.append(field)
    low = images.amin(dim=tuple(range(2, images.ndim)), keepdim=True)
    return (images - low) * torch.stack(fields)[:, None].exp() + low


def _polynomials(length: int) -> NDArray[np.float32]:
    """Legendre polynomials at the voxels of an axis: ``(length, DEGREE + 1)``."""
    return legendre.legvander(np.linspace(-1, 1, length), DEGREE).astype(np.float32)
