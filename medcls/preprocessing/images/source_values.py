"""How bright a scan is as it was read, before any recipe: percentiles of a coarse sample of its own values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medcls.scans.core.scan import Scan

LEVELS = (5, 25, 50, 75, 95)
_MOST_ALONG_AXIS = 48  # of a slice, so that a scan takes milliseconds


@dataclass(frozen=True)
class SourceValues:
    """How bright a scan is.

    Attributes:
        depth: ``8-bit``, or ``over 8-bit``: a copy of the screen, or the original.
        percentiles: At :data:`LEVELS`, in the scan's own units; empty where no value is finite.
    """

    depth: str
    percentiles: tuple[float, ...]


class SourceSample:
    """Takes a scan slice by slice, and in any case the same voxels of it."""

    def __init__(self) -> None:
        self._sampled: list[NDArray[np.float32]] = []

    def add(self, pixels: NDArray[np.generic]) -> None:
        """Take the next slice ``(y, x)`` or ``(C, y, x)``; colours count alike."""
        down, across = (-(-length // _MOST_ALONG_AXIS) for length in pixels.shape[-2:])
        self._sampled.append(np.array(pixels[..., ::down, ::across], np.float32).ravel())

    def of(self, scan: Scan) -> SourceValues:
        """What was found once all slices were added."""
        values = np.concatenate(self._sampled)
        finite = values[np.isfinite(values)]
        percentiles = tuple(float(one) for one in np.percentile(finite, LEVELS)) if finite.size else ()
        return SourceValues("8-bit" if scan.array.dtype.itemsize == 1 else "over 8-bit", percentiles)


def source_values(scan: Scan) -> SourceValues:
    """The :class:`SourceValues` of a whole scan."""
    sample = SourceSample()
    volume = scan.layers
    for k in range(volume.shape[3]):
        sample.add(volume[..., k].transpose(0, 2, 1))
    return sample.of(scan)
