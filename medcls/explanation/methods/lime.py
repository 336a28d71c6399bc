"""LIME: a linear model of the score by which regions of the image are seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medcls.explanation.methods.question import Attribution, Question, method, one_by_one
from medcls.explanation.methods.regions import SAMPLES, painted, regions_of, scores_without

_WIDTH = 0.25  # of the kernel, and
_RIDGE = 1.0  # the penalty of squared weights: both as the authors' code has them for images
_SEED = 0


@method
@one_by_one
def lime(asked: Question) -> Attribution:
    """The weight of each region in a linear model of the score; regions whose weight is below 0, against the target, are cut.

    Ribeiro et al., 'Why Should I Trust You?' (KDD 2016, arXiv 1602.04938), equations 1 and 2 and section 3.4: images with
    regions hidden at random, each with probability one half, weigh ``exp(-D^2 / 0.25^2)``, ``D`` being the cosine distance of
    what is seen from all; see :func:`linear_model`. Every region has its weight: none is left out beforehand.
    """
    regions = regions_of(asked.images[0])
    count = int(regions.max()) + 1
    seen = np.random.default_rng(_SEED).random((SAMPLES, count)) < 0.5
    seen[0] = True
    scores = scores_without(asked, regions, seen, "LIME")
    distance = 1 - np.sqrt(seen.mean(axis=1))
    weights = linear_model(seen.astype(float), scores, np.exp(-((distance / _WIDTH) ** 2)))
    return Attribution(painted(asked, regions, weights), asked.logits(asked.images))


def linear_model(
    seen: NDArray[np.float64], scores: NDArray[np.float64], importance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weights ``(regions,)`` of ridge regression with a constant, which is not penalised.

    Args:
        seen: ``(n, regions)``.
        scores: ``(n,)``.
        importance: ``(n,)``, what each row counts.
    """
    means = np.average(seen, axis=0, weights=importance), np.average(scores, weights=importance)
    centred, risen = seen - means[0], scores - means[1]
    squares = centred.T @ (importance[:, None] * centred) + _RIDGE * np.eye(seen.shape[1])
    return np.asarray(np.linalg.solve(squares, centred.T @ (importance * risen)), np.float64)
