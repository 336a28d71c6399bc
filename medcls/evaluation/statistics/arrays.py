"""Checks of the arrays that metrics are computed from: refuse what has no meaning before it becomes a number."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medcls.errors import UsageError

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


def as_bools(values: ArrayLike, name: str) -> Bools:
    """Values as booleans; 0 and 1 are taken, other numbers are not.

    Raises:
        UsageError: A value is neither true nor false.
    """
    array = np.asarray(values)
    if array.dtype == np.bool_:
        return array
    if array.size and not np.isin(array, (0, 1)).all():
        raise UsageError(f"{name} must be true or false (1 or 0) for every case")
    return array.astype(np.bool_)


def as_floats(values: ArrayLike, name: str) -> Floats:
    """Values as float64; infinities have a rank and pass, NaN has none.

    Raises:
        UsageError: A value is not a number.
    """
    array = np.asarray(values, dtype=np.float64)
    if np.isnan(array).any():
        raise UsageError(f"{name} holds values that are not numbers", remedy="Leave out the cases without a score")
    return array


def as_pair(positive: ArrayLike, scores: ArrayLike) -> tuple[Bools, Floats]:
    """A reference and its scores: two vectors of one length.

    Raises:
        UsageError: The shapes differ, or a value has no meaning.
    """
    reference, numbers = as_bools(positive, "the reference"), as_floats(scores, "the scores")
    if reference.ndim != 1 or reference.shape != numbers.shape:
        raise UsageError(
            f"the reference has shape {reference.shape} and the scores have {numbers.shape}",
            remedy="Both must be vectors with one entry for each case",
        )
    return reference, numbers


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Quotients of two arrays, NaN where the denominator is 0."""
    missing = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    return np.asarray(np.divide(numerator, denominator, out=missing, where=denominator > 0))
