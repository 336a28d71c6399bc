"""The sections of a partition's document beyond its metrics."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from medcls.values.documents.estimates import Estimate, Intervals, RatesOfLabel


class ReliabilityBin(TypedDict):
    """One point of a reliability curve."""

    low: float
    high: float
    n: int
    predicted: float
    observed: Estimate


class Reliability(TypedDict):
    """A reliability curve in two kinds of bins."""

    bins: int
    equal_width: list[ReliabilityBin]
    equal_mass: list[ReliabilityBin]


class LabelCalibration(TypedDict):
    """How well the probabilities of one label are calibrated."""

    brier: Estimate
    nll: Estimate
    ece: Estimate
    mce: Estimate
    ece_equal_mass: Estimate
    mce_equal_mass: Estimate
    slope: Estimate
    intercept: Estimate
    in_the_large: Estimate
    reliability: Reliability | None


class CalibrationIntervals(Intervals):
    """How the intervals of a calibration were made."""

    resampling: str


class CalibrationMetrics(LabelCalibration):
    """How well the probabilities of a partition are calibrated."""

    view: str
    n_cases: int
    n_patients: int
    per_label: dict[str, LabelCalibration]
    intervals: CalibrationIntervals


class Calibration(TypedDict):
    """The same of probabilities as the model gave them, and as they are evaluated."""

    before: CalibrationMetrics | None
    after: CalibrationMetrics


class PredictiveValues(TypedDict):
    """What predictions mean at one prevalence."""

    prevalence: float
    ppv: Estimate
    npv: Estimate
    number_needed_to_read: Estimate
    calls_per_1000: Estimate
    missed_per_1000: Estimate


class DecisionCurve(TypedDict):
    """Net benefit by threshold."""

    prevalence: float | None
    prevalence_stated: bool
    thresholds: list[float]
    net_benefit: list[float] | None
    low: list[float] | None
    high: list[float] | None
    treat_all: list[float] | None
    useful: list[list[float]]
    confidence: float
    reason: str | None


class ClinicalUse(TypedDict):
    """What predictions of one label mean and are worth."""

    predictive_values: list[PredictiveValues]
    decision_curve: DecisionCurve | None


class SelectivePoint(TypedDict):
    """What is kept at one coverage, and how often it is wrong."""

    coverage: float
    least_certainty: float
    n_kept: int
    n_referred: int
    risk: Estimate
    per_label: dict[str, RatesOfLabel]


class SelectiveCurve(TypedDict):
    """What is gained when the least certain cases go to a reader."""

    certainty: str
    coverage: list[float]
    risk: list[float]
    low: list[float] | None
    high: list[float] | None
    aurc: Estimate
    best_aurc: float | None
    points: list[SelectivePoint]
    reason: str | None


class ConformalLimit(TypedDict):
    """From which probability a label is in a set."""

    label: str
    least_probability: float
    n_patients: int
    reason: str | None


class PredictionSets(TypedDict):
    """Prediction sets and their guarantee."""

    method: str
    labels: list[str]
    multilabel: bool
    alpha: float
    guarantee: str
    unit: str
    limits: list[ConformalLimit]
    statement: str
    chosen_on: str
    cases_hash: str


class Conformal(TypedDict):
    """Prediction sets on a partition."""

    sets: PredictionSets
    n_cases: int
    n_patients: int
    coverage: Estimate
    per_label: dict[str, Estimate]
    mean_size: Estimate
    empty: Estimate
    single: Estimate
    several: Estimate


class Group(TypedDict):
    """One group of cases, for one label; counts are null where they are withheld."""

    name: str
    n_cases: int | None
    n_patients: int | None
    n_positive: int | None
    auc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    brier: Estimate
    calibration_in_the_large: Estimate


class Gap(TypedDict):
    """How far groups are apart in one metric."""

    highest: str | None
    lowest: str | None
    gap: Estimate


class Gaps(TypedDict):
    """The gap of each metric."""

    auc: Gap
    sensitivity: Gap
    specificity: Gap
    brier: Gap
    calibration_in_the_large: Gap


class GroupsOfLabel(TypedDict):
    """The groups of one covariate, for one label."""

    groups: list[Group]
    gaps: Gaps


class Covariate(TypedDict):
    """One covariate's groups."""

    fact: str
    how: str
    labels: dict[str, GroupsOfLabel]


class Subgroups(TypedDict):
    """The metrics of groups of cases at the one operating point."""

    facts: list[Covariate]
    left_out: dict[str, str]
    fewest_patients: int


class WrongPrediction(TypedDict):
    """One case that was decided wrongly."""

    name: str
    reference: list[str]
    unknown: NotRequired[list[str]]  # runs of 0.1 have none
    called: list[str]
    probability: float


class LabelFailures(TypedDict):
    """What went wrong with one label."""

    n_false_positive: int
    n_false_negative: int
    false_positives: list[WrongPrediction]
    false_negatives: list[WrongPrediction]
    n_failed_positive: int
    n_failed_negative: int
    complete_case: RatesOfLabel
    worst_case: RatesOfLabel


class Failures(TypedDict):
    """The worst wrong predictions, and the cases without one."""

    n_answered: int
    n_failed: int
    n_unknown: int
    failed_by_reason: dict[str, int]
    labels: dict[str, LabelFailures]


class Difference(TypedDict):
    """One metric's difference of two models."""

    figure: str
    label: str | None
    first: float | None
    second: float | None
    difference: Estimate
    test: str
    statistic: float | None
    p_value: float | None
    p_adjusted: float | None
    reason: str | None


class Pair(TypedDict):
    """Two models on the same cases."""

    first: str
    second: str
    n_cases: int
    n_patients: int
    differences: list[Difference]
    intervals: Intervals


class Baseline(TypedDict):
    """A simple model on the same cases."""

    method: str
    n_features: int
    strength: float
    chosen_on: str
    auc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    accuracy: NotRequired[Estimate]  # earlier runs have none
    comparison: Pair


class Probe(Baseline):
    """A linear probe on a pretrained network's features, on the same cases."""

    network: str
    weights: str
    plain: NotRequired[bool]  # earlier runs have none


class ShiftRow(TypedDict):
    """One thing in which two cohorts are compared."""

    group: str
    name: str
    training: float | None
    external: float | None
    difference: float | None
    ks: float | None
    p_value: float | None
    p_adjusted: float | None
    verdict: str
    reason: str | None


class Shift(TypedDict):
    """How far an external cohort is from the training cohort."""

    n_training: int
    n_external: int
    rows: list[ShiftRow]
    meanings: list[str]


class Sections(TypedDict):
    """What a partition's document has beyond its metrics, in the order of the page; a part may be absent, or null.

    Each name is that of a module in :mod:`medcls.evaluation.partition.sections`, which makes the document, and of one in
    :mod:`medcls.reporting.sections`, which shows it.
    """

    shift: NotRequired[Shift]
    baseline: NotRequired[Baseline]
    probe: NotRequired[Probe]
    calibration: NotRequired[Calibration | None]
    clinical: NotRequired[dict[str, ClinicalUse]]
    refer: NotRequired[SelectiveCurve | None]
    conformal: NotRequired[Conformal | None]
    subgroups: NotRequired[Subgroups | None]
    failures: NotRequired[Failures | None]


SECTIONS = tuple(Sections.__annotations__)
