"""Baselines beside the network: what simpler models said about the same cases, and what the network adds to them.

There are two: a linear model on simple features, and a linear probe on what a pretrained network makes of the images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np

from medcls.config.settings import EvaluationSettings
from medcls.evaluation.comparison.compare import Comparison, compare_predictions, comparison_schema
from medcls.evaluation.partition.cross_validation import pooled_operating_point
from medcls.evaluation.partition.metrics import evaluate_partition
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.schema_parts import COUNT, FLAG, NUMBER, TEXT, Schema, closed, ref, said
from medcls.evaluation.statistics.arrays import Bools
from medcls.evaluation.statistics.estimate import Estimate
from medcls.evaluation.thresholds.operating_point import OperatingPoint

FIGURES = ("auc", "sensitivity", "specificity", "accuracy")
NETWORK, BASELINE, PROBE = "network", "baseline", "probe"


@dataclass(frozen=True, eq=False)
class BaselinePredictions:
    """What a simple model said.

    Attributes:
        method: What it is, in words.
        predictions: Its probabilities for the cases that the network is evaluated on, in the same order.
        operating_point: Its own, chosen elsewhere (on tune).
        n_features: How many features it sees.
        strength: C, the inverse of its penalty's weight, chosen elsewhere.
        backbone: Of a probe, the network whose features it sees and the name of its weights.
        plain: What is evaluated is a probe itself, of more features.
        called: ``(n, labels)`` decisions that were made already, each by its own fold's operating point.
    """

    method: str
    predictions: Predictions
    operating_point: OperatingPoint
    n_features: int
    strength: float
    backbone: tuple[str, str] | None = None
    plain: bool = False
    called: Bools | None = None


@dataclass(frozen=True, eq=False)
class BaselineMetrics:
    """A simple model's metrics, and the network's against them.

    Attributes:
        baseline: What the simple model said.
        estimates: An estimate for each of :data:`FIGURES`, as in a partition's metrics.
        comparison: Network minus baseline, paired.
    """

    baseline: BaselinePredictions
    estimates: Mapping[str, Estimate]
    comparison: Comparison

    def to_json(self) -> dict[str, Any]:
        """The section of ``metrics.json``, valid under :func:`baseline_schema`."""
        one = self.baseline
        named = {} if one.backbone is None else dict(zip(("network", "weights"), one.backbone, strict=True))
        return {
            "method": one.method,
            "n_features": one.n_features,
            "strength": one.strength,
            "chosen_on": one.operating_point.chosen_on,
            **{name: estimate.to_json() for name, estimate in self.estimates.items()},
            "comparison": self.comparison.to_json(),
            **(named | {"plain": one.plain} if named else {}),
        }


def baseline_metrics(
    predictions: Predictions,
    operating_point: OperatingPoint,
    baseline: BaselinePredictions,
    settings: EvaluationSettings | None = None,
    seed: int = 0,
    called: Bools | None = None,
) -> BaselineMetrics:
    """Evaluate a baseline on the cases that the network is evaluated on, and compare the two.

    Args:
        predictions: The network's predictions.
        operating_point: The network's.
        baseline: The simple model's predictions about the same cases, in the same order.
        settings: Confidence level and number of replicates.
        seed: Seed of the bootstrap.
        called: ``(n, labels)`` decisions of the network that were made already, each by its own fold's operating point.

    Raises:
        UsageError: The two are not about the same cases.
    """
    found = evaluate_partition(baseline.predictions, baseline.operating_point, settings, seed, called=baseline.called)
    both = compare_predictions(
        predictions,
        baseline.predictions,
        operating_point,
        baseline.operating_point,
        settings,
        seed,
        names=(NETWORK, BASELINE if baseline.backbone is None else PROBE),
        called=(called, baseline.called),
    )
    return BaselineMetrics(baseline, {name: found.estimates[name] for name in FIGURES}, both)


def pooled_baselines(folds: Mapping[str, BaselinePredictions]) -> BaselinePredictions:
    """What simple models of several folds said, each of the cases that its fold held out.

    Args:
        folds: By fold; what is pooled is in this order. The strength is their median.

    Raises:
        UsageError: There are none, or they are for different labels.
    """
    point = pooled_operating_point({name: one.operating_point for name, one in folds.items()})
    first, *_ = folds.values()

    def together(part: str) -> Any:
        return np.concatenate([getattr(one.predictions, part) for one in folds.values()])

    return replace(
        first,
        predictions=replace(
            first.predictions,
            probabilities=together("probabilities"),
            reference=together("reference"),
            patients=together("patients"),
            known=together("known"),
        ),
        operating_point=point,
        strength=median(one.strength for one in folds.values()),
        called=np.concatenate([one.operating_point.decide(one.predictions.probabilities) for one in folds.values()]),
    )


def baseline_schema(*, probe: bool = False) -> Schema:
    """The schema of :meth:`BaselineMetrics.to_json`; an ``estimate`` is looked for under ``$defs``.

    Args:
        probe: That of a probe, which names its network and weights.
    """
    backbone = {
        "network": said(TEXT, "Whose features the probe sees."),
        "weights": said(TEXT, "As model.weights names them."),
        "plain": said(FLAG, "Whether the run is a probe itself, of more features than those of one last map."),
    }
    return closed(
        {
            "method": TEXT,
            "n_features": COUNT,
            "strength": said(NUMBER, "C, the inverse of the weight of the penalty; over folds the median."),
            "chosen_on": said(TEXT, "Where C and the operating point were chosen."),
            **dict.fromkeys(FIGURES, ref("estimate")),
            "comparison": said(comparison_schema(), "The network minus the baseline."),
            **(backbone if probe else {}),
        }
    )
