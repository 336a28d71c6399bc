"""Score-CAM: each feature weighed by the score of the image seen through it; no gradients."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from medcls.explanation.methods.layer import over_cells, seen
from medcls.explanation.methods.question import Attribution, Question, method, one_by_one


@method
@one_by_one
def score_cam(asked: Question) -> Attribution:
    """Features weighed by how high the score is where they alone let the image through.

    Wang et al., 'Score-CAM' (CVPR Workshops 2020, arXiv 1910.01279), algorithm 1: each feature map ``A_k`` is enlarged to
    the image and scaled to 0..1, the image is hidden (see :attr:`Question.hidden`) where it is low, ``alpha`` is the softmax
    over features of the scores of these images, and ``L = ReLU(sum_k alpha_k A_k)``. Features that are level have no mask, and
    no part. Every weight is above 0: the map is not empty where nothing speaks for the target.
    """
    found = seen(asked)
    features = found.features[0].shape[1]
    # Slices of a volume lie beside each other for each feature, and become volumes as those of so many images would.
    maps = asked.network.as_volumes([one.transpose(0, 1).flatten(0, 1) for one in found.features], features)
    axes = over_cells(maps[None])
    lowest, highest = (ends(maps[None], dim=axes)[0] for ends in (torch.amin, torch.amax))
    kept = (highest > lowest).nonzero()[:, 0]
    if not len(kept):
        return Attribution(torch.zeros_like(maps[:1]), found.logits)
    maps, lowest, highest = maps[kept], lowest[kept], highest[kept]
    shape = (-1, *(1,) * (maps.ndim - 1))
    masks = (maps - lowest.reshape(shape)) / (highest - lowest).reshape(shape)
    scores = [_scores(asked, masks[part.start : part.stop]) for part in asked.parts(len(masks), "Score-CAM")]
    weights = torch.cat(scores).softmax(dim=0)
    return Attribution(torch.einsum("k,k...->...", weights, maps)[None].relu(), found.logits)


def _scores(asked: Question, masks: Tensor) -> Tensor:
    mode = "bilinear" if masks.ndim == 3 else "trilinear"
    seen_through = functional.interpolate(masks[:, None], asked.images.shape[2:], mode=mode).to(asked.images.dtype)
    return asked.scores(asked.hidden + (asked.images - asked.hidden) * seen_through)
