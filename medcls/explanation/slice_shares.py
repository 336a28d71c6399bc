"""How much each slice of a scan counted in an answer, where a 2-D network goes over the slices of a volume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from medcls.explanation.methods.question import evaluating, signs_of
from medcls.networks import ClassificationNetwork
from medcls.networks.arithmetic import exact_float32
from medcls.networks.volumes.planes import AXES
from medcls.networks.volumes.slice_network import SliceNetwork
from medcls.preprocessing.images.prepared import Prepared


def slice_shares(
    networks: Sequence[ClassificationNetwork],
    prepared: Prepared,
    affine: NDArray[np.float64],
    shape: Sequence[int],
    *,
    target: int,
    multilabel: bool = False,
) -> dict[str, NDArray[np.float64]]:
    """The shares of a scan's own slices; see :meth:`medcls.networks.volumes.slice_network.SliceNetwork.shares`.

    Args:
        networks: One, or several of one architecture, whose shares are averaged.
        prepared: What the recipe made of the scan.
        affine: ``(4, 4)``, the scan's: voxel index to world.
        shape: ``(x, y, z)`` of the scan.
        target: Index of the label that is asked for, against the other of two exclusive labels.
        multilabel: Whether labels do not exclude each other.

    Returns:
        For each axis of the scan that slices lie along, ``x``, ``y`` or ``z``, a share for each of its slices. All together
        have the sum 1, less what fell to slices that the recipe added around the scan. Nothing for a network that does not go
        over slices.
    """
    shares = [_of_view(one, prepared, target, multilabel) for one in networks if isinstance(one, SliceNetwork)]
    found: dict[str, NDArray[np.float64]] = {}
    for axis in shares[0] if shares else ():
        own, places = on_scan(axis, prepared, affine, shape[:3])
        mean = np.mean([one[axis] for one in shares], axis=0)
        found[AXES[own]] = found.get(AXES[own], 0.0) + places @ mean
    return found


def on_scan(
    axis: int, prepared: Prepared, affine: NDArray[np.float64], shape: Sequence[int]
) -> tuple[int, NDArray[np.float64]]:
    """Which axis of a scan the slices of a view lie along, and how much of each lies in each of the scan's.

    Oblique views cut several slices of a scan: the one at the middle of the view counts.

    Args:
        axis: Of the view, that slices are cut across.
        prepared: With the view.
        affine: ``(4, 4)``, the scan's.
        shape: ``(x, y, z)`` of the scan.

    Returns:
        The axis; and ``(slices of the scan, slices of the view)``, whose columns have the sum 1 where a slice is in the scan.
    """
    view, size = prepared.affines[0], np.array(prepared.images.shape[2:])
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    own = int(np.abs(directions.T @ view[:3, axis]).argmax())
    to_scan = (np.linalg.inv(affine) @ view)[own]
    middle = np.append((size - 1) / 2, 1.0)
    middle[axis] = 0
    places = to_scan @ middle + to_scan[axis] * np.arange(size[axis])
    half = abs(to_scan[axis]) / 2
    numbers = np.arange(shape[own])[:, None]
    overlap = np.minimum(numbers + 0.5, places + half) - np.maximum(numbers - 0.5, places - half)
    return own, overlap.clip(0) / (2 * half)


def _of_view(
    network: SliceNetwork, prepared: Prepared, target: int, multilabel: bool
) -> dict[int, NDArray[np.float64]]:
    """By the axis of the view, the shares of its slices."""
    device = next(network.parameters()).device
    images = torch.from_numpy(prepared.images[:1].astype(np.float32)).to(device)
    signs = signs_of(network, torch.tensor([target], device=device), multilabel=multilabel)
    with exact_float32(device.type), evaluating(network):
        shares = network.shares(images, signs)[0].double().cpu().numpy()
    ends = np.cumsum([images.shape[2 + axis] for axis in network.axes])
    return dict(zip(network.axes, np.split(shares, ends[:-1]), strict=True))
