"""Mirror, turn, zoom, shift, crop and bend a batch, each image in its own way, with one interpolation for all of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample


def random_affines(
    shape: Sequence[int],
    draws: Sequence[np.random.Generator],
    *,
    flip: Sequence[str] = (),
    rotate: float = 0.0,
    scale: float = 0.0,
    translate: float = 0.0,
    crop: float = 0.0,
) -> NDArray[np.float64]:
    """Draw an affine for each image.

    With ``o`` an output voxel's offset from the middle, the input's is ``R (F C(o) / zoom + t)``: rotation, mirror, crop, zoom
    and shift. Rotation and shift are joined as in MONAI's ``RandAffine``, angles in the order x, y, z.

    Args:
        shape: Spatial shape of the images.
        draws: One random generator for each image.
        flip: Axes that are mirrored half of the time.
        rotate: Largest rotation, degrees.
        scale: Largest zoom, as a fraction.
        translate: Largest shift, as a fraction of the shape.
        crop: Largest part of each axis that is cut away before the rest is brought back to the whole size.

    Returns:
        ``(B, n, n + 1)`` for ``n`` spatial axes: from an output voxel's offset from the middle, in voxels, to the input's.
    """
    axes = len(shape)
    # In a 2-D view x runs along columns, the last axis; in a volume it is the first.
    order = ("y", "x") if axes == 2 else ("x", "y", "z")
    affines = np.empty((len(draws), axes, axes + 1))
    for affine, draw in zip(affines, draws, strict=True):
        mirrored = draw.random(axes) < 0.5
        signs = np.array([-1.0 if name in flip and hit else 1.0 for name, hit in zip(order, mirrored, strict=True)])
        turns = np.deg2rad(draw.uniform(-rotate, rotate, 1 if axes == 2 else 3))
        zoom = 1 + draw.uniform(-scale, scale)
        shift = draw.uniform(-translate, translate, axes) * np.array(shape)
        rotation = _rotation(turns)
        affine[:, :axes] = rotation @ np.diag(signs) / zoom
        affine[:, axes] = rotation @ shift
        if crop:
            part, middle = _random_crop(shape, crop, draw)
            affine[:, axes] += affine[:, :axes] @ middle
            affine[:, :axes] *= part
    return affines


def _random_crop(
    shape: Sequence[int], crop: float, draw: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A box of whole voxels inside the image: what part of each axis it keeps, and its middle's offset from the image's."""
    whole = np.array(shape)
    least = np.maximum(1, np.floor((1 - crop) * whole).astype(int))
    size = draw.integers(least, whole + 1)
    start = draw.integers(0, whole - size + 1)
    return size / whole, start + size / 2 - whole / 2


def _rotation(turns: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(turns) == 1:
        return _about(turns[0], 2, 0, 1)
    return _about(turns[0], 3, 1, 2) @ _about(turns[1], 3, 2, 0) @ _about(turns[2], 3, 0, 1)


def _about(turn: float, axes: int, first: int, second: int) -> NDArray[np.float64]:
    rotation = np.eye(axes)
    rotation[first, first] = rotation[second, second] = np.cos(turn)
    rotation[first, second], rotation[second, first] = -np.sin(turn), np.sin(turn)
    return rotation


def resample(images: Tensor, affines: NDArray[np.float64], displacements: Tensor | None = None) -> Tensor:
    """Interpolate each image linearly where its affine points; outside is the image's own lowest value, by channel.

    Args:
        images: ``(B, C, *shape)`` float32.
        affines: ``(B, n, n + 1)``, as :func:`random_affines`.
        displacements: ``(B, n, *shape)`` float32, voxels that are added to an output voxel's place before the affine.
    """
    shape = images.shape[2:]
    matrix = torch.as_tensor(affines, dtype=torch.float32).to(images.device)
    # Offsets from the middle, one axis at a time: a sum of broadcast products gives every image the same bits in any batch,
    # which a batched matrix product does not promise.
    target = torch.zeros((len(images), *shape, len(shape)), dtype=torch.float32, device=images.device)
    spread = (len(images), *([1] * len(shape)), len(shape))
    for axis, length in enumerate(shape):
        offset = torch.arange(length, dtype=torch.float32, device=images.device) - (length - 1) / 2
        column = [1] * (len(shape) + 2)
        column[axis + 1] = length
        place = offset.view(column)
        if displacements is not None:
            place = place + displacements[:, axis, ..., None]
        target += place * matrix[:, :, axis].view(spread)
    target += matrix[:, :, -1].view(spread)
    # grid_sample counts -1..1 from edge to edge, and the last axis first.
    half = torch.tensor([length / 2 for length in shape], dtype=torch.float32, device=images.device)
    grid = (target / half).flip(-1)
    low = images.amin(dim=tuple(range(2, images.ndim)), keepdim=True)
    return grid_sample(images - low, grid, mode="bilinear", padding_mode="zeros", align_corners=False) + low
