"""Planes: a volume as a batch of its slices, and what lies on the slices as a volume again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

AXES = "xyz"


def cut(volumes: Tensor, axis: int, neighbours: int = 0) -> Tensor:
    """All slices across an axis, upright as on a screen where the volume's axes are R, A, S.

    Rows run against the later of the other two axes, columns against the earlier: published 2-D weights saw upright pictures.

    Args:
        volumes: ``(B, C, x, y, z)``.
        axis: 0, 1 or 2.
        neighbours: Slices on each side that are further channels; beyond the ends the last slice is repeated.

    Returns:
        ``(B * S, C * (2 * neighbours + 1), rows, columns)``, the slices of a volume one after the other; its own channels
        come before those of the next neighbour, from the first of the neighbours to the last.
    """
    slices = volumes.movedim(2 + axis, 1).transpose(3, 4).flip(3, 4)  # (B, S, C, rows, columns)
    count = slices.shape[1]
    if neighbours:
        middle = torch.arange(count, device=volumes.device)
        shifted = [(middle + step).clamp(0, count - 1) for step in range(-neighbours, neighbours + 1)]
        slices = torch.cat([slices[:, places] for places in shifted], dim=2)
    return slices.flatten(0, 1)


def joined(maps: Tensor, axis: int, volumes: int) -> Tensor:
    """Maps ``(B * S, rows, columns)`` of the slices that :func:`cut` gives, as those of volumes: ``(B, *cells)``."""
    slices = maps.reshape(volumes, -1, *maps.shape[1:])
    return slices.flip(2, 3).transpose(2, 3).movedim(1, 1 + axis)


def added(maps: Sequence[Tensor]) -> Tensor:
    """The sum of maps ``(B, *cells)`` that cover the same volume with other cells, on the finest of them.

    What a cell adds is parted among those that take its place.
    """
    if len(maps) == 1:
        return maps[0]
    cells = [max(one.shape[axis] for one in maps) for axis in (1, 2, 3)]
    total = torch.zeros(())
    for one in maps:
        finer = functional.interpolate(one[:, None], cells, mode="trilinear")[:, 0]
        total = total.to(one) + finer * (one[0].numel() / math.prod(cells))
    return total
