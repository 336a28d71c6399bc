"""Learning curve: what more training patients gave, and so what still more might give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medcls.evaluation.schema_parts import COUNT, SHARE, TEXT, Schema, closed, listed, ref, said
from medcls.evaluation.statistics.estimate import Estimate

LEARNING_CURVE = "learning_curve"
SAME_CASES = (
    "every point is evaluated on the same cases, and smaller parts are within larger ones, so the intervals are not "
    "independent: a difference smaller than they are wide can still be real, and one training a point shows chance too"
)


@dataclass(frozen=True)
class CurvePoint:
    """One training.

    Attributes:
        part: Part of the training patients.
        n_patients: How many patients these are; with folds, the mean over folds, rounded.
        n_cases: How many cases, likewise.
        auc: The AUC on the evaluating cases.
    """

    part: float
    n_patients: int
    n_cases: int
    auc: Estimate

    def to_json(self) -> dict[str, Any]:
        """The point as plain JSON."""
        return {
            "part": self.part,
            "n_patients": self.n_patients,
            "n_cases": self.n_cases,
            "auc": self.auc.to_json(),
        }


@dataclass(frozen=True)
class LearningCurve:
    """Trainings on growing parts of the training patients.

    Attributes:
        evaluated_on: ``test``, or ``pooled`` out-of-fold predictions.
        points: The points, the smallest part first.
        notes: What a reader must know first.
    """

    evaluated_on: str
    points: tuple[CurvePoint, ...]
    notes: tuple[str, ...] = (SAME_CASES,)

    @classmethod
    def of(cls, evaluated_on: str, points: Sequence[CurvePoint]) -> LearningCurve:
        """The curve through points in any order."""
        return cls(evaluated_on, tuple(sorted(points, key=lambda point: point.part)))

    def to_json(self) -> dict[str, Any]:
        """The curve as plain JSON, valid under :func:`learning_curve_schema`."""
        return {
            "judged_on": self.evaluated_on,
            "points": [point.to_json() for point in self.points],
            "notes": list(self.notes),
        }


def learning_curve_schema() -> Schema:
    """The JSON Schema of ``learning_curve`` in ``metrics.json``."""
    point = {
        "part": said(SHARE, "Part of the training patients."),
        "n_patients": said(COUNT, "Training patients; with folds, the mean over folds."),
        "n_cases": COUNT,
        "auc": ref("estimate"),
    }
    properties = {
        "judged_on": {"enum": ["test", "pooled"]},
        "points": listed(closed(point)),
        "notes": listed(TEXT),
    }
    return closed(properties, "Trainings on growing, nested parts of the training patients.")
