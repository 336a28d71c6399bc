"""Metrics, a row for each: a new one is its file here, and its row. Who lists, computes or words metrics reads the table."""

from __future__ import annotations

from collections.abc import Mapping

from medcls.evaluation.metrics.counted import CountMetric
from medcls.evaluation.metrics.decisions import (
    ACCURACY,
    BALANCED_ACCURACY,
    F1,
    LR_NEGATIVE,
    LR_POSITIVE,
    NPV,
    PPV,
    SENSITIVITY,
    SPECIFICITY,
)
from medcls.evaluation.metrics.mcc import METRIC as MCC
from medcls.evaluation.metrics.metric import Metric
from medcls.evaluation.metrics.scores import (
    AUC,
    AVERAGE_PRECISION,
    BRIER,
    PARTIAL_AUC,
    LossMetric,
    RankingMetric,
)

METRICS: Mapping[str, Metric] = {
    row.name: row
    for row in (
        AUC,
        PARTIAL_AUC,
        AVERAGE_PRECISION,
        SENSITIVITY,
        SPECIFICITY,
        ACCURACY,
        BALANCED_ACCURACY,
        PPV,
        NPV,
        F1,
        MCC,
        LR_POSITIVE,
        LR_NEGATIVE,
        BRIER,
    )
}
"""By name, in the order of files and tables."""
COUNTED = {name: row for name, row in METRICS.items() if isinstance(row, CountMetric)}
RANKED = {name: row for name, row in METRICS.items() if isinstance(row, RankingMetric)}
LOSSES = {name: row for name, row in METRICS.items() if isinstance(row, LossMetric)}
