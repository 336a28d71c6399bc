"""Baselines beside the network: what simpler models said about the same cases, and what the network adds to them.

There are two: a linear model on simple features, and a linear probe on what a pretrained network makes of the images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medcls.config.settings import EvaluationSettings
from medcls.evaluation.comparison.compare import Comparison, compare_predictions, comparison_schema
from medcls.evaluation.partition.metrics import evaluate_partition
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.schema_parts import COUNT, NUMBER, TEXT, Schema, closed, ref, said
from medcls.evaluation.statistics.estimate import Estimate
from medcls.evaluation.thresholds.operating_point import OperatingPoint

FIGURES = ("auc", "sensitivity", "specificity")
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
    """

    method: str
    predictions: Predictions
    operating_point: OperatingPoint
    n_features: int
    strength: float
    backbone: tuple[str, str] | None = None


@dataclass(frozen=True, eq=False)
class BaselineMetrics:
    """A simple model's metrics, and the network's against them.

    Attributes:
        method, n_features, strength, backbone: As in :class:`BaselinePredictions`.
        chosen_on: Where its operating point was chosen.
        estimates: An estimate for each of :data:`FIGURES`, as in a partition's metrics.
        comparison: Network minus baseline, paired.
    """

    method: str
    n_features: int
    strength: float
    chosen_on: str
    estimates: Mapping[str, Estimate]
    comparison: Comparison
    backbone: tuple[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """The section of ``metrics.json``, valid under :func:`baseline_schema`."""
        return {
            "method": self.method,
            "n_features": self.n_features,
            "strength": self.strength,
            "chosen_on": self.chosen_on,
            **{name: estimate.to_json() for name, estimate in self.estimates.items()},
            "comparison": self.comparison.to_json(),
            **({} if self.backbone is None else dict(zip(("network", "weights"), self.backbone, strict=True))),
        }


def baseline_metrics(
    predictions: Predictions,
    operating_point: OperatingPoint,
    baseline: BaselinePredictions,
    settings: EvaluationSettings | None = None,
    seed: int = 0,
) -> BaselineMetrics:
    """Evaluate a baseline on the cases that the network is evaluated on, and compare the two.

    Args:
        predictions: The network's predictions.
        operating_point: The network's.
        baseline: The simple model's predictions about the same cases, in the same order.
        settings: Confidence level and number of replicates.
        seed: Seed of the bootstrap.

    Raises:
        UsageError: The two are not about the same cases.
    """
    found = evaluate_partition(baseline.predictions, baseline.operating_point, settings, seed)
    both = compare_predictions(
        predictions,
        baseline.predictions,
        operating_point,
        baseline.operating_point,
        settings,
        seed,
        names=(NETWORK, BASELINE if baseline.backbone is None else PROBE),
    )
    return BaselineMetrics(
        method=baseline.method,
        n_features=baseline.n_features,
        strength=baseline.strength,
        chosen_on=baseline.operating_point.chosen_on,
        estimates={name: found.estimates[name] for name in FIGURES},
        comparison=both,
        backbone=baseline.backbone,
    )


def baseline_schema(*, probe: bool = False) -> Schema:
    """The schema of :meth:`BaselineMetrics.to_json`; an ``estimate`` is looked for under ``$defs``.

    Args:
        probe: That of a probe, which names its network and weights.
    """
    backbone = {
        "network": said(TEXT, "Whose features the probe sees."),
        "weights": said(TEXT, "As model.weights names them."),
    }
    return closed(
        {
            "method": TEXT,
            "n_features": COUNT,
            "strength": said(NUMBER, "C, the inverse of the weight of the penalty."),
            "chosen_on": said(TEXT, "Where C and the operating point were chosen."),
            **dict.fromkeys(FIGURES, ref("estimate")),
            "comparison": said(comparison_schema(), "The network minus the baseline."),
            **(backbone if probe else {}),
        }
    )
