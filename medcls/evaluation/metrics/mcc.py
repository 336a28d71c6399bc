"""Matthews' correlation coefficient (Biochim Biophys Acta 1975;405:442); it needs cases of both kinds, called and not."""

from __future__ import annotations

import math

import numpy as np

from medcls.evaluation.metrics.counted import Joined
from medcls.evaluation.metrics.decisions import SENSITIVITY, SPECIFICITY
from medcls.evaluation.statistics.arrays import Floats, ratio

_SAYS = "Correlation of prediction and reference label: 0 is guessing, 1 perfect."


def _mcc(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    return ratio(tp * tn - fp * fn, np.sqrt((tp + fn) * (tn + fp)) * np.sqrt((tp + fp) * (tn + fn)))


def _of_rates(sensitivity: float, specificity: float, prevalence: float) -> float:
    """The coefficient of a 2x2 table with these rates; it rises with both."""
    called = prevalence * sensitivity + (1 - prevalence) * (1 - specificity)
    if not 0 < called < 1:
        return 0.0
    spread = (prevalence * (1 - prevalence)) / (called * (1 - called))
    return (sensitivity + specificity - 1) * math.sqrt(spread)


METRIC = Joined(
    name="mcc",
    title="Matthews correlation coefficient",
    meaning="Matthews' correlation coefficient of reference and decision, -1 to 1; 0 is guessing.",
    binary=_SAYS,
    macro=_SAYS,
    counts=_mcc,
    bounds=(-1.0, 1.0),
    parts=(SENSITIVITY, SPECIFICITY),
    join=_of_rates,
)
