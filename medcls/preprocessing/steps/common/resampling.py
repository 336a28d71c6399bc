"""Resampling: a new grid over the same field of view, and a right-angled grid under a sheared scan.

Linear interpolation whose kernel widens when shrinking (torch's ``antialias``), one axis after the other: neither fine
texture nor thin slices alias. MONAI's ``Resize`` has no such filter; its ``area`` mode takes windows of uneven width unless
the ratio is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medcls.preprocessing.images.refusals import too_large
from medcls.preprocessing.steps.common.step import affine_of, make_image, spacing_of
from medcls.scans.core.pixel_shape import SQUARE

if TYPE_CHECKING:
    from monai.data import MetaTensor
    from torch import Tensor

_MOST_VOXELS = 1 << 30
_RIGHT_ANGLE = 1e-3  # cosine: 0.06 degrees, the tolerance of DICOM geometry checks


def squared(image: MetaTensor) -> MetaTensor:
    """Resample ``(C, x, y, z)`` so that x and y have the finer of their two voxel sizes."""
    shape, spacing = [int(n) for n in image.shape[1:]], spacing_of(image)
    finest = float(spacing[:2].min())
    if float(spacing[:2].max()) < finest * (1 + SQUARE):
        return image
    return resample_to(image, [*(max(1, round(shape[axis] * spacing[axis] / finest)) for axis in (0, 1)), shape[2]])


def resample_to(image: MetaTensor, shape: Sequence[int]) -> MetaTensor:
    """Resample ``(C, x, y, z)`` to a new spatial shape over the same field of view.

    Index ``i`` of an axis that goes from ``n`` to ``m`` voxels is at ``(i + 1/2) n / m - 1/2`` of the old axis.

    Raises:
        ScanRefused: The new grid is larger than any memory should be asked for.
    """
    old = tuple(int(n) for n in image.shape[1:])
    new = tuple(int(n) for n in shape)
    check_grid(new)
    plain = image.as_tensor()
    # Axes that shrink most go first, so that the later ones have less to do.
    for axis in sorted(range(3), key=lambda a: new[a] / old[a]):
        plain = _resample_axis(plain, axis, new[axis])
    return make_image(plain, affine_of(image) @ scaling(old, new))


def check_grid(shape: Sequence[int]) -> None:
    """Refuse a grid that is larger than any memory should be asked for.

    Raises:
        ScanRefused: ``too-large``.
    """
    if np.prod([float(n) for n in shape]) > _MOST_VOXELS:
        raise too_large(tuple(shape))


def scaling(old: Sequence[int], new: Sequence[int]) -> NDArray[np.float64]:
    """Matrix ``(4, 4)`` from indices of a new grid to those of the old one over the same field of view."""
    matrix = np.eye(4)
    for axis in range(3):
        ratio = old[axis] / new[axis]
        matrix[axis, axis] = ratio
        matrix[axis, 3] = (ratio - 1) / 2
    return matrix


def _resample_axis(plain: Tensor, axis: int, length: int) -> Tensor:
    """Resample one axis of ``(C, x, y, z)``, seen as the rows of pictures whose columns hold all later axes."""
    from torch.nn.functional import interpolate

    shape = list(plain.shape)
    if shape[axis + 1] == length:
        return plain
    before = int(np.prod(shape[: axis + 1]))
    after = int(np.prod(shape[axis + 2 :]))
    if after == 1:  # the last axis: columns themselves
        pictures, size = plain.reshape(1, 1, before, shape[axis + 1]), (before, length)
    else:
        pictures, size = plain.reshape(1, before, shape[axis + 1], after), (length, after)
    changed = interpolate(pictures, size=size, mode="bilinear", antialias=True, align_corners=False)
    shape[axis + 1] = length
    return changed.reshape(shape)


def is_sheared(affine: NDArray[np.float64]) -> bool:
    """Whether voxel axes are not at right angles, as under a tilted gantry."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(directions.T @ directions - np.eye(3)).max() > _RIGHT_ANGLE)


def straighten(image: MetaTensor) -> MetaTensor:
    """Resample a sheared volume onto a right-angled grid that holds all of it.

    The grid keeps the first axis, the plane of the first two, and the distance between planes. Voxels outside the scan get
    its lowest value. MONAI's ``Spacing`` would drop the shear from the affine without undoing it in the voxels, so the
    target grid is worked out here and MONAI's ``SpatialResample`` only interpolates. A right-angled image is given back as
    it is.
    """
    import torch
    from monai.transforms import SpatialResample

    affine = affine_of(image)
    if not is_sheared(affine):
        return image
    target, shape = _upright_grid(affine, tuple(int(n) for n in image.shape[1:]))
    low = float(image.min())
    resample = SpatialResample(mode="bilinear", padding_mode="zeros", dtype=torch.float32)
    moved = resample(
        make_image(image.as_tensor() - low, affine), dst_affine=torch.as_tensor(target), spatial_size=shape
    )
    return make_image(moved.as_tensor() + low, target)


def _upright_grid(affine: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    axes, _ = np.linalg.qr(affine[:3, :3])
    # QR leaves signs open: each new axis points along its old one.
    axes = axes * np.sign(np.sum(axes * affine[:3, :3], axis=0))
    spacing = np.sum(axes * affine[:3, :3], axis=0)
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in shape])).reshape(3, -1)
    along = axes.T @ (affine[:3, :3] @ corners + affine[:3, 3:])
    low, high = along.min(axis=1), along.max(axis=1)
    size = tuple(max(1, int(np.ceil(extent / step - 1e-6))) for extent, step in zip(high - low, spacing, strict=True))
    target = np.eye(4)
    target[:3, :3] = axes * spacing
    target[:3, 3] = axes @ (low + spacing / 2)
    return target, size
