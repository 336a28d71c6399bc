"""Evaluation: figures with intervals, from arrays alone.

Nothing here knows of networks, runs or files: probabilities, reference labels and patients go in, frozen dataclasses
come out. An undefined figure says why; it is never 0 or NaN, and no mean counts it in.

::

    predictions = Predictions(labels, positive, False, probabilities, reference, patients)
    point = choose_operating_point(tune_predictions, "youden")      # on tune, then frozen
    metrics = evaluate_partition(predictions, point, seed=0)
    metrics.figures["auc"]                                          # Estimate(value, low, high, method, reason)
"""

from medcls.evaluation.auc import RocCurve, auc, macro_auc, one_vs_rest, roc_curve
from medcls.evaluation.average_precision import average_precision
from medcls.evaluation.baseline import BaselineAnswers, BaselineFigures, baseline_figures
from medcls.evaluation.bootstrap import PatientResampling
from medcls.evaluation.brier import brier
from medcls.evaluation.calibration import (
    Calibration,
    Dirichlet,
    Isotonic,
    Platt,
    Temperature,
    VectorScaling,
    calibration_from_json,
    fit_calibration,
    fit_temperature,
    negative_log_likelihood,
    no_calibration,
    uncalibrated,
)
from medcls.evaluation.cohort_summary import CohortMeasures, CohortSummary, summarise_cohort
from medcls.evaluation.comparison import Comparison, compare_predictions, compare_several, comparison_schema, with_holm
from medcls.evaluation.conformal import Conformal, ConformalLimit, fit_conformal
from medcls.evaluation.conformal_figures import ConformalFigures, conformal_figures, conformal_schema
from medcls.evaluation.counts import RATE_NAMES, Counts, confusion_matrix
from medcls.evaluation.cross_validation import FoldFigures, PerFold, Spread, over_folds, pooled_operating_point
from medcls.evaluation.curves import RocDrawing
from medcls.evaluation.decision_curve import DecisionCurve, decision_curve, decision_curve_schema
from medcls.evaluation.delong import delong, delong_covariance, delong_variance
from medcls.evaluation.differences import Difference
from medcls.evaluation.estimate import Estimate, Figure, Method, Undefined, macro
from medcls.evaluation.failed_cases import FailedCases
from medcls.evaluation.failures import FailureAnalysis, LabelFailures, WrongAnswer, failure_analysis, failures_schema
from medcls.evaluation.figures import FIGURE_NAMES
from medcls.evaluation.group_figures import GROUP_FIGURES
from medcls.evaluation.grouping import Grouping, group_fact
from medcls.evaluation.hand_till import HandTillStatistic, hand_till
from medcls.evaluation.holm import holm
from medcls.evaluation.intervals import clopper_pearson, hoeffding, wilson
from medcls.evaluation.mcnemar import McNemar, discordant, mcnemar
from medcls.evaluation.metrics import LabelMetrics, PartitionMetrics, evaluate_partition
from medcls.evaluation.obuchowski import (
    AucDifference,
    analytic_auc,
    auc_difference,
    obuchowski,
    obuchowski_covariance,
    obuchowski_variance,
)
from medcls.evaluation.operating_point import (
    OperatingPoint,
    Threshold,
    choose_operating_point,
    choose_threshold,
    exploratory_point,
)
from medcls.evaluation.partial_auc import partial_auc
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.predictive_values import PredictiveValues, predictive_values, predictive_values_schema
from medcls.evaluation.ranking import RankingStatistic, RocStatistic
from medcls.evaluation.refer import ReferCurve, ReferPoint, refer_curve, refer_schema
from medcls.evaluation.reliability import ReliabilityBin, reliability_curve
from medcls.evaluation.schema import metrics_schema
from medcls.evaluation.shift import CohortShift, cohort_shift
from medcls.evaluation.subgroups import FactGroups, Gap, Group, Subgroups, subgroup_figures, subgroups_schema

__all__ = [
    "FIGURE_NAMES",
    "GROUP_FIGURES",
    "RATE_NAMES",
    "AucDifference",
    "BaselineAnswers",
    "BaselineFigures",
    "Calibration",
    "CohortMeasures",
    "CohortShift",
    "CohortSummary",
    "Comparison",
    "Conformal",
    "ConformalFigures",
    "ConformalLimit",
    "Counts",
    "DecisionCurve",
    "Difference",
    "Dirichlet",
    "Estimate",
    "FactGroups",
    "FailedCases",
    "FailureAnalysis",
    "Figure",
    "FoldFigures",
    "Gap",
    "Group",
    "Grouping",
    "HandTillStatistic",
    "Isotonic",
    "LabelFailures",
    "LabelMetrics",
    "McNemar",
    "Method",
    "OperatingPoint",
    "PartitionMetrics",
    "PatientResampling",
    "PerFold",
    "Platt",
    "Predictions",
    "PredictiveValues",
    "RankingStatistic",
    "ReferCurve",
    "ReferPoint",
    "ReliabilityBin",
    "RocCurve",
    "RocDrawing",
    "RocStatistic",
    "Spread",
    "Subgroups",
    "Temperature",
    "Threshold",
    "Undefined",
    "VectorScaling",
    "WrongAnswer",
    "analytic_auc",
    "auc",
    "auc_difference",
    "average_precision",
    "baseline_figures",
    "brier",
    "calibration_from_json",
    "choose_operating_point",
    "choose_threshold",
    "clopper_pearson",
    "cohort_shift",
    "compare_predictions",
    "compare_several",
    "comparison_schema",
    "conformal_figures",
    "conformal_schema",
    "confusion_matrix",
    "decision_curve",
    "decision_curve_schema",
    "delong",
    "delong_covariance",
    "delong_variance",
    "discordant",
    "evaluate_partition",
    "exploratory_point",
    "failure_analysis",
    "failures_schema",
    "fit_calibration",
    "fit_conformal",
    "fit_temperature",
    "group_fact",
    "hand_till",
    "hoeffding",
    "holm",
    "macro",
    "macro_auc",
    "mcnemar",
    "metrics_schema",
    "negative_log_likelihood",
    "no_calibration",
    "obuchowski",
    "obuchowski_covariance",
    "obuchowski_variance",
    "one_vs_rest",
    "over_folds",
    "partial_auc",
    "pooled_operating_point",
    "predictive_values",
    "predictive_values_schema",
    "refer_curve",
    "refer_schema",
    "reliability_curve",
    "roc_curve",
    "subgroup_figures",
    "subgroups_schema",
    "summarise_cohort",
    "uncalibrated",
    "wilson",
    "with_holm",
]
