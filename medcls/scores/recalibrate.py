"""Calibration of anybody's probabilities, fitted on the tune rows when it is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medcls.config import load_config
from medcls.config.sections.evaluation import CalibrationMethod
from medcls.errors import UsageError
from medcls.evaluation import Calibration, fit_calibration
from medcls.scores.score_table import ScoreTable

_LEAST = 1e-7  # a probability of 0 or 1 has no finite logit
Floats = NDArray[np.float64]


def calibration_method(name: str | None) -> CalibrationMethod | None:
    """The method of this name.

    Raises:
        ConfigError: There is none.
    """
    if name is None:
        return None
    return load_config(None, (), {"evaluation": {"calibrate": name}}).evaluation.calibration_method


def recalibrated(table: ScoreTable, method: CalibrationMethod) -> tuple[ScoreTable, Calibration]:
    """The table with calibrated probabilities, and the calibration.

    Logits are taken to be the logarithms of the probabilities (multi-label: their log-odds), which is what a softmax (a
    sigmoid) makes the same probabilities of.

    Args:
        table: The scores.
        method: How to calibrate.

    Raises:
        UsageError: The scores are no probabilities, there are no tune rows, or the method is not for such labels.
    """
    tune = table.where("tune") & ~table.failed
    if not table.are_probabilities:
        raise UsageError("scores that are not probabilities cannot be calibrated", where=table.source)
    if not tune.any():
        raise UsageError(
            "there are no tune rows to fit a calibration on",
            where=table.source,
            remedy="Add a column 'partition' with tune rows, or leave --calibrate out",
        )
    known = ~table.failed
    logits = np.full((len(table.names), len(table.labels)), np.nan)
    logits[known] = _logits(table.predictions(known).probabilities, multilabel=table.multilabel)
    calibration = fit_calibration(
        logits[tune], table.reference[tune], method, multilabel=table.multilabel, known=table.known[tune]
    )
    scores = table.scores.copy()
    columns = [table.labels.index(label) for label in table.space.scored]
    scores[known] = calibration.probabilities(logits[known])[:, columns]
    return replace(table, scores=scores), calibration


def _logits(probabilities: Floats, *, multilabel: bool) -> Floats:
    inside = probabilities.clip(_LEAST, 1 - _LEAST)
    return np.asarray(np.log(inside) - np.log1p(-inside) if multilabel else np.log(inside))
