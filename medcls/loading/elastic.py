"""Elastic bending: a smooth random displacement of every voxel, each image with its own.

Simard et al., 'Best Practices for Convolutional Neural Networks' (ICDAR 2003), section 2: a field of random displacements,
smoothed by a Gaussian. Pictures get MONAI's control points instead, joined by cubics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate


def random_displacements(
    shape: Sequence[int], draws: Sequence[np.random.Generator], *, largest: float, spacing: int, device: torch.device
) -> Tensor:
    """Draw a displacement field for each image.

    The field is a sum of products of one-dimensional bumps with random weights, so a few small matrix products make it,
    whatever the size of the image:

    * 2-D, as ``Rand2DElastic``: normal displacements at control points ``spacing`` apart, joined by bicubic interpolation.
    * 3-D, as ``Rand3DElastic``: white noise smoothed by a Gaussian of standard deviation ``spacing``. The noise lives on a
      lattice of half that width, which the smoothed field cannot tell from one value a voxel.

    Args:
        shape: Spatial shape of the images.
        draws: One random generator for each image.
        largest: Largest standard deviation of a displacement, in voxels; each image's is drawn evenly from 0 to it.
        spacing: How far apart voxels are that move independently, in voxels.
        device: Where the fields are wanted.

    Returns:
        ``(B, n, *shape)`` float32, voxels.
    """
    bumps = [(_cubics if len(shape) == 2 else _gaussians)(length, spacing).to(device) for length in shape]
    fields = []
    for draw in draws:
        magnitude = draw.uniform(0, largest)
        weights = draw.standard_normal((len(shape), *(one.shape[1] for one in bumps)), dtype=np.float32)
        fields.append(_spread(weights * np.float32(magnitude), bumps, device))
    return torch.stack(fields)


def _spread(weights: NDArray[np.float32], bumps: Sequence[Tensor], device: torch.device) -> Tensor:
    field = torch.from_numpy(weights).to(device)
    for bump in bumps:
        field = torch.tensordot(field, bump, dims=([1], [1]))  # the points of axis 1 go, its voxels come last
    return field


def _cubics(length: int, spacing: int) -> Tensor:
    """What each control point adds at each voxel, ``(length, points)``: MONAI's grid of control points around the image."""
    half = (length - 1) / (2 * spacing)
    points = math.ceil(half + 0.5) * 2 + 2 if length % 2 == 0 else math.ceil(half) * 2 + 3
    unit = torch.eye(points)[None, :, :, None]
    fine = interpolate(unit, scale_factor=(spacing, 1), mode="bicubic", align_corners=False)[0, :, :, 0]
    start = fine.shape[1] // 2 - length // 2
    return fine[:, start : start + length].T.contiguous()


def _gaussians(length: int, spacing: int) -> Tensor:
    """The same for noise on a lattice under a Gaussian; far from the edges the squares of a voxel's bumps sum to 1."""
    points = max(2, math.ceil(2 * length / spacing))
    width = length / points
    centres = (torch.arange(points, dtype=torch.float64) + 0.5) * width - 0.5
    distance = torch.arange(length, dtype=torch.float64)[:, None] - centres
    bumps = torch.exp(-0.5 * (distance / spacing) ** 2) * math.sqrt(width / (math.sqrt(math.pi) * spacing))
    return bumps.float()
