"""Kernel SHAP: the Shapley value of each region of the image."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from medcls.explanation.methods.question import Attribution, Question, method, one_by_one
from medcls.explanation.methods.regions import SAMPLES, painted, regions_of, scores_without

_SEED = 0


@method
@one_by_one
def kernel_shap(asked: Question) -> Attribution:
    """What each region adds to the score, over all orders in which regions could come to be seen; what is below 0 is cut.

    Lundberg and Lee, 'A Unified Approach to Interpreting Model Predictions' (NeurIPS 2017, arXiv 1705.07874), theorem 2; see
    :func:`shapley_values`.
    """
    regions = regions_of(asked.images[0])
    count = int(regions.max()) + 1
    seen, importance = coalitions(count)
    ends = np.stack([np.zeros(count, bool), np.ones(count, bool)])
    scores = scores_without(asked, regions, np.concatenate([ends, seen]), "Kernel SHAP")
    values = shapley_values(seen.astype(float), scores[2:], importance, scores[0], scores[1])
    return Attribution(painted(asked, regions, values), asked.logits(asked.images))


def coalitions(count: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which regions are seen, ``(n, count)``, and what each row counts, ``(n,)``: the kernel of theorem 2.

    All of them where there are no more than are drawn elsewhere. Those that are drawn come by the kernel, each with its
    complement, which halves the variance and more (Covert and Lee, 'Improving KernelSHAP', AISTATS 2021, section 4.1).
    """
    sizes = np.arange(1, count)
    if 2**count - 2 <= SAMPLES:
        seen = np.array(list(itertools.product((False, True), repeat=count))[1:-1], bool).reshape(-1, count)
        size = seen.sum(axis=1)
        each = np.array([math.comb(count, int(one)) for one in size], float)
        return seen, (count - 1) / (each * size * (count - size))
    generator = np.random.default_rng(_SEED)
    kernel = 1 / (sizes * (count - sizes))
    drawn = generator.choice(sizes, SAMPLES // 2, p=kernel / kernel.sum())
    order = generator.permuted(np.tile(np.arange(count), (len(drawn), 1)), axis=1)
    half = order < drawn[:, None]
    return np.concatenate([half, ~half]), np.ones(2 * len(half))


def shapley_values(
    seen: NDArray[np.float64],
    scores: NDArray[np.float64],
    importance: NDArray[np.float64],
    nothing: float,
    everything: float,
) -> NDArray[np.float64]:
    """Values ``(regions,)`` by weighted least squares, whose sum is exactly ``everything - nothing``.

    Args:
        seen: ``(n, regions)``.
        scores: ``(n,)``.
        importance: ``(n,)``, what each row counts.
        nothing: The score with no region seen.
        everything: The score with all.
    """
    count = seen.shape[1]
    # The sum is kept by a Lagrange multiplier: the last row and column.
    system = np.zeros((count + 1, count + 1))
    system[:count, :count] = seen.T @ (importance[:, None] * seen)
    system[:count, count] = system[count, :count] = 1
    right = np.append(seen.T @ (importance * (scores - nothing)), everything - nothing)
    found: NDArray[np.float64] = np.linalg.lstsq(system, right, rcond=None)[0][:count]
    return found
