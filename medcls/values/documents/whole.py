"""Whole documents: a partition, the folds of a cross-validation, a learning curve, a comparison."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from medcls.values.documents.estimates import ConfusionMatrix, Estimate, Intervals, Labels, OperatingPoint
from medcls.values.documents.sections import Pair, Sections


class Partition(Sections):
    """One partition, but for its metrics. A reader takes it that all but the counts may be absent, as of older versions."""

    n_cases: int
    n_patients: int
    cases_per_label: NotRequired[dict[str, int]]
    operating_point: NotRequired[OperatingPoint]
    confusion_matrix: NotRequired[ConfusionMatrix | None]
    notes: NotRequired[list[str]]
    intervals: NotRequired[Intervals]
    not_computed: NotRequired[dict[str, str]]


class Fold(TypedDict):
    """One fold's own metrics."""

    fold: str
    n_cases: int
    n_patients: int
    cases_per_label: dict[str, int]
    thresholds: list[float]
    figures: dict[str, Estimate]


class Spread(TypedDict):
    """A metric over folds."""

    mean: float | None
    sd: float | None
    least: float | None
    greatest: float | None
    n_folds: int
    reason: str | None


class PerFold(TypedDict):
    """A cross-validation's folds."""

    folds: list[Fold]
    over_folds: dict[str, Spread]
    auc_within_folds: dict[str, Estimate]
    notes: list[str]


class CurvePoint(TypedDict):
    """One training of a learning curve."""

    part: float
    n_patients: int
    n_cases: int
    auc: Estimate


class LearningCurve(TypedDict):
    """Trainings on growing parts of the training patients."""

    judged_on: str
    points: list[CurvePoint]
    notes: list[str]


class ModelCases(TypedDict):
    """Which cases a model lost when it was compared."""

    n_judged: int
    n_left_out: int
    reasons: dict[str, int]


class ModelMetrics(TypedDict):
    """The metrics of a model on the shared cases."""

    auc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    accuracy: Estimate


class Model(TypedDict):
    """A model that is compared."""

    name: str
    operating_point: OperatingPoint
    scores: str
    figures: ModelMetrics
    cases: ModelCases


class Comparison(Labels):
    """``comparison.json``."""

    n_cases: int
    left_out: int
    models: list[Model]
    comparisons: list[Pair]
    notes: list[str]
