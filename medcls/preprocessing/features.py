"""Simple features of a prepared scan: how bright, how mixed, where, and how rough, for a model without a network.

They are taken from a coarse sample of the views (every k-th voxel along each axis), with channels averaged, and are the
mean over views.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medcls.preprocessing.images.prepared import Prepared
from medcls.preprocessing.store.entry import StoredPrepared

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
BINS = 16
GRID = 4
_MOST_ALONG_AXIS = {2: 256, 3: 48}  # so that a scan takes milliseconds
INTENSITIES = ("mean", "sd", "percentile 5", "percentile 50", "percentile 95")
"""The features that say how bright a scan is as a whole."""

Floats = NDArray[np.float64]


def feature_names(dimensions: int) -> tuple[str, ...]:
    """Names of the features of a 2-D or 3-D input, in order."""
    cells = np.ndindex(*(GRID,) * dimensions)
    return (
        *("mean", "sd"),
        *(f"percentile {level}" for level in PERCENTILES),
        *(f"histogram {number}" for number in range(1, BINS + 1)),
        *(f"grid {' '.join(str(place + 1) for place in cell)}" for cell in cells),
        *(f"gradient {axis}" for axis in range(1, dimensions + 1)),
    )


def simple_features(prepared: Prepared | StoredPrepared) -> Floats:
    """Features ``(k,)`` of one scan, named by :func:`feature_names`.

    Mean, standard deviation and percentiles of the values; the shares of values in 16 bins between the scan's own 1st and
    99th percentile; the mean of each cell of a 4 x 4 (x 4) grid; the mean squared step between neighbours along each axis.

    Args:
        prepared: The scan's views; of a stored one, one view at a time is read.

    Raises:
        StorageError: The stored views are gone or damaged.
    """
    views = prepared.views if isinstance(prepared, StoredPrepared) else len(prepared.images)
    total: Floats | None = None
    for index in range(views):
        view = prepared.view(index) if isinstance(prepared, StoredPrepared) else prepared.images[index]
        features = _of_view(_sampled(np.asarray(view)))
        total = features if total is None else total + features
    if total is None:
        raise ValueError("a prepared scan has one view at least")
    return np.asarray(total / views)


def _sampled(view: NDArray[np.floating]) -> Floats:
    """A view ``(C, …)`` as its mean over channels, every k-th voxel of it."""
    most = _MOST_ALONG_AXIS[view.ndim - 1]
    steps = tuple(slice(None, None, -(-length // most)) for length in view.shape[1:])
    return np.asarray(view[(slice(None), *steps)].mean(axis=0, dtype=np.float64))


def _of_view(values: Floats) -> Floats:
    levels = np.percentile(values, PERCENTILES)
    gradients = [
        float(np.mean(np.diff(values, axis=axis) ** 2)) if n > 1 else 0.0 for axis, n in enumerate(values.shape)
    ]
    return np.concatenate(
        [[values.mean(), values.std()], levels, _histogram(values, levels[0], levels[-1]), _grid(values), gradients]
    )


def _histogram(values: Floats, low: float, high: float) -> Floats:
    if not high > low:
        return np.zeros(BINS)
    shares = (np.clip(values.ravel(), low, high) - low) / (high - low)
    places = np.minimum(shares * BINS, BINS - 1).astype(np.intp)
    return np.asarray(np.bincount(places, minlength=BINS) / values.size)


def _grid(values: Floats) -> Floats:
    for axis in range(values.ndim):
        length = values.shape[axis]
        edges = np.arange(GRID) * length // GRID
        counts = np.maximum(np.diff(np.append(edges, length)), 1)
        shape = [1] * values.ndim
        shape[axis] = GRID
        values = np.add.reduceat(values, edges, axis=axis) / counts.reshape(shape)
    return values.ravel()
