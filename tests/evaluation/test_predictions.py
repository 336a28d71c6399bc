"""Predictions: arrays that fit together, or a refusal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from medcls.errors import UsageError
from medcls.evaluation import Predictions


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ("sick", "sick")},
        {"labels": ()},
        {"positive": None},
        {"positive": "other"},
        {"labels": ("well", "sick", "more")},
        {"multilabel": True},
        {"patients": np.array(["p"])},
        {"probabilities": np.array([[3.0, -2.0], [0.5, 0.5]])},
        {"probabilities": np.array([[0.5, 0.1], [0.5, 0.5]])},
        {"probabilities": np.array([[np.nan, 0.1], [0.5, 0.5]])},
        {"reference": np.array([[True, True], [True, False]])},
        {"reference": np.array([[False, False], [True, False]])},
    ],
)
def test_predictions_that_do_not_fit_are_refused(change: dict[str, Any]) -> None:
    parts: dict[str, Any] = {
        "labels": ("well", "sick"),
        "positive": "sick",
        "multilabel": False,
        "probabilities": np.array([[0.3, 0.7], [0.6, 0.4]]),
        "reference": np.array([[False, True], [True, False]]),
        "patients": np.array(["p", "q"]),
    }
    Predictions(**parts)
    with pytest.raises(UsageError):
        Predictions(**{**parts, **change})


def test_rounding_of_half_precision_is_forgiven() -> None:
    reference = np.array([[False, True], [True, False]])
    probabilities = np.array([[-0.0004, 1.0004], [1.0004, -0.0004]])
    predictions = Predictions(("well", "sick"), "sick", False, probabilities, reference, np.array(["p", "q"]))
    assert predictions.probabilities[0, 1] == 1.0
    assert predictions.probabilities[1, 1] == 0.0
