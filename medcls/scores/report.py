"""The report of an evaluated file of scores: of its cases and metrics, with nothing about a model, a training or a scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from medcls.config.settings import Partition
from medcls.reporting.content import CohortFlow, PartitionCounts, ReasonCount, ReportContent
from medcls.runs.environment import describe_environment
from medcls.scores.score_table import ScoreTable
from medcls.values.caution import Caution

FAILED = "no-score"
_FAILED_MEANING = "The file has no score for the case: whatever made the scores failed on it."
_NOT_KNOWN = frozenset({"training", "explanations", "config-file"})


def score_content(
    name: str,
    table: ScoreTable,
    metrics: Mapping[str, Any],
    warnings: Sequence[Caution],
    classifier: Mapping[str, str],
    pages: Mapping[str, str],
) -> ReportContent:
    """Everything that stands in the report of an evaluated file.

    Args:
        name: Of the file, without its ending.
        table: The scores as they are evaluated.
        metrics: By partition, as in ``metrics.json``.
        warnings: What a reader must know before believing a metric.
        classifier: What is known of the model: its calibration, if it was fitted here.
        pages: Pages that will be beside the report: file name to words.
    """
    failed = int(table.failed.sum())
    names: tuple[Partition, ...] = ("tune", "test")
    partitions = tuple(_counts(table, one) for one in names if (table.where(one) & ~table.failed).any())
    used = sum(one.cases for one in partitions)
    others = len(table.names) - failed - used
    left_out = [
        ReasonCount(FAILED, _FAILED_MEANING, failed),
        ReasonCount("train", "Rows of the partition train.", others),
    ]
    return ReportContent(
        title=name,
        region="",
        created=datetime.now().astimezone().isoformat(timespec="minutes"),
        space=table.space,
        cohort=CohortFlow(len(table.names), tuple(one for one in left_out if one.cases), partitions),
        metrics=metrics,
        classifier=classifier,
        without=_NOT_KNOWN if classifier else _NOT_KNOWN | {"classifier"},
        environment=describe_environment(),
        warnings=tuple(warnings),
        scores=table.bare and not classifier,
        unnamed=0 if table.patients_known else next((one.cases for one in partitions if one.name == "test"), 0),
        pages=pages,
    )


def _counts(table: ScoreTable, partition: Partition) -> PartitionCounts:
    cases = table.where(partition) & ~table.failed
    by_label = dict(zip(table.labels, table.reference[cases].sum(axis=0).tolist(), strict=True))
    n = int(cases.sum())
    unnamed = 0 if table.patients_known else n
    known = dict(zip(table.labels, table.known[cases].sum(axis=0).tolist(), strict=True))
    return PartitionCounts(partition, n, np.unique(table.patients[cases]).size, by_label, unnamed, known)
