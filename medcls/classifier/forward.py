"""The network over prepared scans, one batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from medcls.networks import ClassificationNetwork
from medcls.preprocessing import Prepared


def mean_logits(
    network: ClassificationNetwork, prepared: Iterable[Prepared], *, batch_size: int = 16
) -> Iterator[NDArray[np.float32]]:
    """Scores before softmax or sigmoid, ``(labels,)`` for each scan, in order: the mean over its views.

    Views of several scans share batches, so memory stays at one batch whatever the number of scans. Computed in float32, so
    the answer does not depend on what else is in the batch (beyond rounding, about 1e-6).

    Args:
        network: In evaluation mode.
        prepared: Scans as the classifier's recipe prepared them.
        batch_size: Most views in a batch.
    """
    waiting: list[NDArray[np.float32]] = []
    counts: list[int] = []
    done: list[NDArray[np.float32]] = []
    for item in prepared:
        waiting += list(item.images.astype(np.float32))
        counts.append(len(item.images))
        while len(waiting) >= batch_size:
            done += list(_forward(network, waiting[:batch_size]))
            del waiting[:batch_size]
        while counts and len(done) >= counts[0]:
            yield _take_mean(done, counts.pop(0))
    if waiting:
        done += list(_forward(network, waiting))
    while counts:
        yield _take_mean(done, counts.pop(0))


def _take_mean(done: list[NDArray[np.float32]], count: int) -> NDArray[np.float32]:
    mean: NDArray[np.float32] = np.mean(done[:count], axis=0)
    del done[:count]
    return mean


def _forward(network: ClassificationNetwork, images: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    device = next(network.parameters()).device
    with torch.inference_mode():
        batch = torch.from_numpy(np.stack(images)).to(device)
        scores: NDArray[np.float32] = network(batch).float().cpu().numpy()
    return scores
