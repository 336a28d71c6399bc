"""Occlusion: how much the score falls where a window of the image is hidden."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from medcls.explanation.methods.question import Attribution, Question, method, one_by_one

CELLS = {2: 16, 3: 8}
"""Cells of the map along each axis, by the number of axes; an image of fewer voxels has as many cells."""
_WIDTH = 2  # cells of a window: neighbours overlap by half


@method
@one_by_one
def occlusion(asked: Question) -> Attribution:
    """How much the score falls by hiding each cell; where hiding raises it, the map is 0. See :func:`falls`."""
    map_, logits = falls(asked)
    return Attribution(map_.relu(), logits)


def falls(asked: Question) -> tuple[Tensor, Tensor]:
    """How much the score of the one image falls, ``(1, *cells)``, above or below 0; and its logits ``(1, classes)``.

    Zeiler and Fergus, 'Visualizing and Understanding Convolutional Networks' (ECCV 2014, arXiv 1311.2901), section 4.2: a
    window goes over the image, and what it covers is hidden (:attr:`Question.hidden`). A window is two cells wide and moves by
    one; a cell has the mean over the windows that cover it.
    """
    sides = asked.images.shape[2:]
    counts = [min(CELLS[len(sides)], side) for side in sides]
    edges = [
        torch.linspace(0, side, count + 1).round().int().tolist() for side, count in zip(sides, counts, strict=True)
    ]
    starts = list(itertools.product(*(range(max(1, count - _WIDTH + 1)) for count in counts)))
    logits = asked.logits(asked.images)
    whole = (logits * asked.signs).sum(dim=1)
    total, windows = torch.zeros(counts), torch.zeros(counts)
    for part in asked.parts(len(starts), "Occlusion"):
        hidden = asked.images.repeat(len(part), *(1,) * (asked.images.ndim - 1))
        for number, place in enumerate(part):
            ends = [min(at + _WIDTH, count) for at, count in zip(starts[place], counts, strict=True)]
            window = tuple(slice(edge[at], edge[end]) for edge, at, end in zip(edges, starts[place], ends, strict=True))
            hidden[number][(slice(None), *window)] = asked.hidden[0]
        fallen = (whole - asked.scores(hidden)).cpu()
        for number, place in enumerate(part):
            cells = tuple(slice(at, at + _WIDTH) for at in starts[place])
            total[cells] += fallen[number]
            windows[cells] += 1
    return (total / windows)[None].to(logits), logits
