"""Calibration: from a network's logits to probabilities that mean what they say, fitted on tune and then left alone.

::

    calibration = fit_calibration(tune_logits, tune_reference, "platt")     # or temperature, isotonic, vector, dirichlet
    calibration.probabilities(logits)                                       # (n, labels)
    calibration_from_json(calibration.to_json())                            # the same again
"""

from medcls.evaluation.calibration.fitting import (
    NOWHERE,
    Calibration,
    calibration_from_json,
    fit_calibration,
    methods_for,
    no_calibration,
    why_method_does_not_fit,
)
from medcls.evaluation.calibration.isotonic import Isotonic, Staircase, fit_isotonic
from medcls.evaluation.calibration.likelihood import Link, negative_log_likelihood, uncalibrated
from medcls.evaluation.calibration.matrix import Dirichlet, VectorScaling, fit_dirichlet, fit_vector
from medcls.evaluation.calibration.platt import Platt, fit_platt
from medcls.evaluation.calibration.temperature import Temperature, fit_temperature

__all__ = [
    "NOWHERE",
    "Calibration",
    "Dirichlet",
    "Isotonic",
    "Link",
    "Platt",
    "Staircase",
    "Temperature",
    "VectorScaling",
    "calibration_from_json",
    "fit_calibration",
    "fit_dirichlet",
    "fit_isotonic",
    "fit_platt",
    "fit_temperature",
    "fit_vector",
    "methods_for",
    "negative_log_likelihood",
    "no_calibration",
    "uncalibrated",
    "why_method_does_not_fit",
]
