"""The network over prepared scans, one batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from medcls.networks import ClassificationNetwork
from medcls.networks.arithmetic import exact_float32
from medcls.preprocessing import Prepared

Scores = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Images ``(B, C, *spatial)`` in, scores before softmax or sigmoid ``(B, labels)`` out; or the features before them."""


def mean_logits(
    network: torch.nn.Module | Scores, prepared: Iterable[Prepared], *, batch_size: int = 16
) -> Iterator[NDArray[np.float32]]:
    """Scores before softmax or sigmoid, ``(labels,)`` for each scan, in order: the mean over its views.

    Views of several scans share batches, so memory stays at one batch whatever the number of scans. Computed in float32, so
    the prediction does not depend on what else is in the batch (beyond rounding, about 1e-6).

    Args:
        network: In evaluation mode; ``(B, C, *spatial)`` to ``(B, labels)``. Or what computes the same in another way.
        prepared: Scans as the classifier's recipe prepared them.
        batch_size: Most views in a batch.
    """
    scores = torch_scores(network) if isinstance(network, torch.nn.Module) else network
    return mean_scores(scores, prepared, batch_size=batch_size)


def mean_scores(scores: Scores, prepared: Iterable[Prepared], *, batch_size: int = 16) -> Iterator[NDArray[np.float32]]:
    """What ``scores`` gives for each scan, in order, as :func:`mean_logits`."""
    waiting: list[NDArray[np.float32]] = []
    counts: list[int] = []
    done: list[NDArray[np.float32]] = []
    for item in prepared:
        waiting += list(item.images.astype(np.float32))
        counts.append(len(item.images))
        while len(waiting) >= batch_size:
            done += list(scores(np.stack(waiting[:batch_size])))
            del waiting[:batch_size]
        while counts and len(done) >= counts[0]:
            yield _take_mean(done, counts.pop(0))
    if waiting:
        done += list(scores(np.stack(waiting)))
    while counts:
        yield _take_mean(done, counts.pop(0))


def torch_scores(network: torch.nn.Module) -> Scores:
    """A network's scores as torch computes them, where its weights are: in float32, on CUDA too."""

    def scores(images: NDArray[np.float32]) -> NDArray[np.float32]:
        device = next(network.parameters()).device
        with torch.inference_mode(), exact_float32(device.type):
            given: NDArray[np.float32] = network(torch.from_numpy(images).to(device)).float().cpu().numpy()
        return given

    return scores


def torch_features(network: ClassificationNetwork) -> Scores:
    """The features that a network's head takes, ``(B, k)``, as :func:`torch_scores`."""

    def features(images: NDArray[np.float32]) -> NDArray[np.float32]:
        device = next(network.parameters()).device
        with torch.inference_mode(), exact_float32(device.type):
            given: NDArray[np.float32] = network.pooled(torch.from_numpy(images).to(device)).float().cpu().numpy()
        return given

    return features


def _take_mean(done: list[NDArray[np.float32]], count: int) -> NDArray[np.float32]:
    mean: NDArray[np.float32] = np.mean(done[:count], axis=0)
    del done[:count]
    return mean
