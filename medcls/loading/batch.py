"""Batch: what a loader hands to the network."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Views with their targets; one view alone before it is collated.

    Attributes:
        images: ``(B, C, rows, columns)`` or ``(B, C, x, y, z)``, float32.
        targets: ``(B,)`` int64 label indices, -1 where the reference is not known; ``(B, labels)`` float32 of 0 and 1 for
            multi-label, NaN where it is not known.
        cases: ``(B,)`` int64, index of each view's case in the dataset.
        keys: ``(B,)`` int64, different for each draw of an epoch: what the randomness of augmentation hangs on.
    """

    images: Tensor
    targets: Tensor
    cases: Tensor
    keys: Tensor
