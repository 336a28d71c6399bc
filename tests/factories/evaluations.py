"""An evaluation with all its sections."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from medcls.config.settings import EvaluationSettings
from medcls.evaluation import Predictions, fit_conformal
from medcls.evaluation.partition.failures import FailedCases
from medcls.evaluation.partition.report import EvaluationInput, evaluate_in_full
from tests.factories.predictions import half, some_binary

SETTINGS = EvaluationSettings(replicates=100)


def studied(predictions: Predictions | None = None, **changes: Any) -> dict[str, Any]:
    """A partition's document with every section."""
    predictions = predictions or some_binary(n=150)
    n = predictions.n_cases
    powers = predictions.probabilities**3
    before = replace(predictions, probabilities=powers / powers.sum(axis=1, keepdims=True))
    given: dict[str, Any] = {
        "uncalibrated": before,
        "conformal": fit_conformal(predictions),
        "covariates": {"sex": ["F", "M"] * (n // 2)},
        "names": [f"case {index}" for index in range(n)],
        "refused": FailedCases(("x",), np.array([[False, True]]), np.array(["px"]), ("truncated",), np.ones((1, 2))),
    }
    return evaluate_in_full(EvaluationInput(predictions, half(predictions), SETTINGS, **(given | changes))).to_json()
