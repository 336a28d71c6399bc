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
from medcls.evaluation.bootstrap import PatientResampling, RocStatistic
from medcls.evaluation.brier import brier
from medcls.evaluation.calibration import Temperature, fit_temperature, negative_log_likelihood
from medcls.evaluation.counts import RATE_NAMES, Counts, confusion_matrix
from medcls.evaluation.curves import RocDrawing
from medcls.evaluation.delong import delong, delong_covariance, delong_variance
from medcls.evaluation.estimate import Estimate, Figure, Method, Undefined, macro
from medcls.evaluation.figures import FIGURE_NAMES
from medcls.evaluation.intervals import clopper_pearson, hoeffding, wilson
from medcls.evaluation.metrics import LabelMetrics, PartitionMetrics, evaluate_partition
from medcls.evaluation.operating_point import OperatingPoint, Threshold, choose_operating_point, choose_threshold
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.reliability import ReliabilityBin, reliability_curve
from medcls.evaluation.schema import metrics_schema

__all__ = [
    "FIGURE_NAMES",
    "RATE_NAMES",
    "Counts",
    "Estimate",
    "Figure",
    "LabelMetrics",
    "Method",
    "OperatingPoint",
    "PartitionMetrics",
    "PatientResampling",
    "Predictions",
    "ReliabilityBin",
    "RocCurve",
    "RocDrawing",
    "RocStatistic",
    "Temperature",
    "Threshold",
    "Undefined",
    "auc",
    "brier",
    "choose_operating_point",
    "choose_threshold",
    "clopper_pearson",
    "confusion_matrix",
    "delong",
    "delong_covariance",
    "delong_variance",
    "evaluate_partition",
    "fit_temperature",
    "hoeffding",
    "macro",
    "macro_auc",
    "metrics_schema",
    "negative_log_likelihood",
    "one_vs_rest",
    "reliability_curve",
    "roc_curve",
    "wilson",
]
