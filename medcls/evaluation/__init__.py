"""Evaluation: metrics with intervals, from arrays alone.

Nothing here knows of networks, runs or files: probabilities, reference labels and patients go in, frozen dataclasses
come out. An undefined metric says why; it is never 0 or NaN, and no mean counts it in.

::

    predictions = Predictions(labels, positive, False, probabilities, reference, patients)
    point = choose_operating_point(tune_predictions, "youden")      # on tune, then frozen
    metrics = evaluate_partition(predictions, point, seed=0)
    metrics.estimates["auc"]                                          # Estimate(value, low, high, method, reason)
"""

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
from medcls.evaluation.calibration.brier import brier
from medcls.evaluation.calibration.reliability import ReliabilityBin, reliability_curve
from medcls.evaluation.clinical.decision_curve import DecisionCurve, decision_curve, decision_curve_schema
from medcls.evaluation.clinical.predictive_values import PredictiveValues, predictive_values, predictive_values_schema
from medcls.evaluation.clinical.selective_prediction import (
    SelectiveCurve,
    SelectivePoint,
    selective_curve,
    selective_schema,
)
from medcls.evaluation.comparison.compare import (
    Comparison,
    compare_predictions,
    compare_several,
    comparison_schema,
    with_holm,
)
from medcls.evaluation.comparison.differences import Difference
from medcls.evaluation.conformal.coverage import ConformalMetrics, conformal_metrics, conformal_schema
from medcls.evaluation.conformal.prediction_sets import Conformal, ConformalLimit, fit_conformal
from medcls.evaluation.discrimination.auc import RocCurve, auc, macro_auc, one_vs_rest, roc_curve
from medcls.evaluation.discrimination.average_precision import average_precision
from medcls.evaluation.discrimination.delong import delong, delong_covariance, delong_variance
from medcls.evaluation.discrimination.hand_till import HandTillStatistic, hand_till
from medcls.evaluation.discrimination.obuchowski import (
    AucDifference,
    analytic_auc,
    auc_difference,
    obuchowski,
    obuchowski_covariance,
    obuchowski_variance,
)
from medcls.evaluation.discrimination.partial_auc import partial_auc
from medcls.evaluation.discrimination.ranking import RankingStatistic, RocStatistic
from medcls.evaluation.metrics import METRICS
from medcls.evaluation.metrics.metric import Metric
from medcls.evaluation.partition.baseline import (
    BaselineMetrics,
    BaselinePredictions,
    baseline_metrics,
    pooled_baselines,
)
from medcls.evaluation.partition.cross_validation import (
    FoldMetrics,
    PerFold,
    Spread,
    over_folds,
    pooled_operating_point,
)
from medcls.evaluation.partition.curves import RocDrawing
from medcls.evaluation.partition.failed_cases import FailedCases
from medcls.evaluation.partition.failures import (
    FailureAnalysis,
    LabelFailures,
    WrongPrediction,
    failure_analysis,
    failures_schema,
)
from medcls.evaluation.partition.metrics import LabelMetrics, PartitionMetrics, evaluate_partition
from medcls.evaluation.partition.schema import metrics_schema
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.shift.cohort_summary import CohortMeasures, CohortSummary, summarise_cohort
from medcls.evaluation.shift.distribution_shift import CohortShift, cohort_shift
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.statistics.estimate import Estimate, Method, PointEstimate, Undefined, macro
from medcls.evaluation.statistics.holm import holm
from medcls.evaluation.statistics.intervals import clopper_pearson, hoeffding, wilson
from medcls.evaluation.statistics.mcnemar import McNemar, discordant, mcnemar
from medcls.evaluation.subgroups.group_metrics import GROUP_FIGURES
from medcls.evaluation.subgroups.grouping import Grouping, group_covariate
from medcls.evaluation.subgroups.subgroups import (
    CovariateGroups,
    Gap,
    Group,
    Subgroups,
    subgroup_metrics,
    subgroups_schema,
)
from medcls.evaluation.thresholds.confusion import RATE_NAMES, Counts, confusion_matrix
from medcls.evaluation.thresholds.operating_point import (
    OperatingPoint,
    Threshold,
    choose_operating_point,
    choose_threshold,
    exploratory_point,
)

__all__ = [
    "GROUP_FIGURES",
    "METRICS",
    "RATE_NAMES",
    "AucDifference",
    "BaselineMetrics",
    "BaselinePredictions",
    "Calibration",
    "CohortMeasures",
    "CohortShift",
    "CohortSummary",
    "Comparison",
    "Conformal",
    "ConformalLimit",
    "ConformalMetrics",
    "Counts",
    "CovariateGroups",
    "DecisionCurve",
    "Difference",
    "Dirichlet",
    "Estimate",
    "FailedCases",
    "FailureAnalysis",
    "FoldMetrics",
    "Gap",
    "Group",
    "Grouping",
    "HandTillStatistic",
    "Isotonic",
    "LabelFailures",
    "LabelMetrics",
    "McNemar",
    "Method",
    "Metric",
    "OperatingPoint",
    "PartitionMetrics",
    "PatientResampling",
    "PerFold",
    "Platt",
    "PointEstimate",
    "Predictions",
    "PredictiveValues",
    "RankingStatistic",
    "ReliabilityBin",
    "RocCurve",
    "RocDrawing",
    "RocStatistic",
    "SelectiveCurve",
    "SelectivePoint",
    "Spread",
    "Subgroups",
    "Temperature",
    "Threshold",
    "Undefined",
    "VectorScaling",
    "WrongPrediction",
    "analytic_auc",
    "auc",
    "auc_difference",
    "average_precision",
    "baseline_metrics",
    "brier",
    "calibration_from_json",
    "choose_operating_point",
    "choose_threshold",
    "clopper_pearson",
    "cohort_shift",
    "compare_predictions",
    "compare_several",
    "comparison_schema",
    "conformal_metrics",
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
    "group_covariate",
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
    "pooled_baselines",
    "pooled_operating_point",
    "predictive_values",
    "predictive_values_schema",
    "reliability_curve",
    "roc_curve",
    "selective_curve",
    "selective_schema",
    "subgroup_metrics",
    "subgroups_schema",
    "summarise_cohort",
    "uncalibrated",
    "wilson",
    "with_holm",
]
