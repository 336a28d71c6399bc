"""Holm's step-down correction for several comparisons (Scandinavian Journal of Statistics 1979;6:65)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medcls.errors import UsageError


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p-values in the order given; comparing each with 0.05 keeps the chance of any false finding under 0.05.

    The i-th smallest of ``m`` p-values is multiplied by m - i + 1, and none becomes smaller than one before it. It
    holds whatever the dependence between the comparisons.

    Raises:
        UsageError: A p-value is outside 0 to 1.
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise UsageError("p-values are numbers from 0 to 1")
    order = np.argsort(values, kind="stable")
    adjusted = np.empty(values.size)
    adjusted[order] = np.maximum.accumulate(values[order] * np.arange(values.size, 0, -1)).clip(max=1.0)
    return tuple(adjusted.tolist())
