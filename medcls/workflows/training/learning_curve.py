"""Learning curves: the same training on nested parts of the training patients, each a run of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medcls.cohort import Cohort
from medcls.config import Config
from medcls.evaluation import Estimate
from medcls.evaluation.partition.learning_curve import CurvePoint, LearningCurve
from medcls.files import reading_kept
from medcls.progress import SILENT, Progress
from medcls.runs.folder import Run

Train = Callable[[Run, Config], Sequence[Cohort]]
"""Trains a run, and gives the cohort, or each fold's, that it trained on."""


def learning_curve(
    run: Run,
    config: Config,
    metrics: Mapping[str, Any],
    trained_on: Sequence[Cohort],
    train: Train,
    progress: Progress = SILENT,
) -> LearningCurve:
    """Train on every part that ``split.learning_curve`` names, under ``learning-curve/``, and join the metrics.

    Args:
        run: The run of the whole training, which is the curve's last point.
        config: Its config.
        metrics: Its metrics.
        trained_on: What it was trained on: the cohort, or each fold's.
        train: Trains one part; finished parts are kept, and only looked up.
        progress: Where to say how far it is.
    """
    evaluated_on = "pooled" if "pooled" in metrics else "test"
    points = [_point(1.0, trained_on, metrics[evaluated_on])]
    parts = sorted(set(config.split.learning_curve))
    for number, part in enumerate(parts, 1):
        one = Run(run.learning_curve / f"{part:g}")
        progress.begin(f"Learning curve, point {number} of {len(parts)}: {part:.0%} of the training patients")
        learnt, estimates = train(one, _part_config(run, config, part)), one.metrics
        with reading_kept(one.metrics_file):
            points.append(_point(part, learnt, estimates[evaluated_on]))
    return LearningCurve.of(evaluated_on, points)


def _part_config(run: Run, config: Config, part: float) -> Config:
    """The config that trains on this part alone, with the same partitions or folds."""
    return config.model_copy(
        update={
            "name": f"{part:g}",
            "runs": run.learning_curve,
            "split": config.split.model_copy(update={"train_part": part, "learning_curve": []}),
            "explanation": config.explanation.model_copy(update={"cases": 0}),
        }
    )


def _point(part: float, cohorts: Sequence[Cohort], document: Mapping[str, Any]) -> CurvePoint:
    trained = [cohort.partition("train") for cohort in cohorts]
    patients = [len({case.patient for case in cases}) for cases in trained]
    return CurvePoint(
        part=part,
        n_patients=round(sum(patients) / len(patients)),
        n_cases=round(sum(map(len, trained)) / len(trained)),
        auc=Estimate.from_json(document["auc"]),
    )
