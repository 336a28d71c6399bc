"""The baseline: a linear model on simple features of the prepared input, so that a reader sees what the network adds.

Logistic regression with a squared penalty on standardised features: fitted on train, with the strength of the penalty and the
operating point chosen on tune. Kept as plain numbers in ``baseline.json``, for later cohorts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medcls.bounded import read_json
from medcls.cohort import Case, Cohort
from medcls.cohort.case import known_matrix, reference_matrix
from medcls.config import Config
from medcls.errors import RunError
from medcls.evaluation import OperatingPoint, choose_operating_point
from medcls.evaluation.partition.baseline import BaselinePredictions
from medcls.files import reading_kept, write_json
from medcls.privacy import Pseudonyms
from medcls.runs.case_predictions import predictions_of
from medcls.training.linear.linear_model import LinearModel, fit_linear
from medcls.workflows.data.training_summary import Features

NAME = "baseline.json"
METHOD = (
    "The baseline is a logistic regression with a squared penalty on simple features: mean, spread, percentiles and "
    "histogram of the input, the means of a coarse grid, and the steps between neighbours"
)
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""C, the inverse of the penalty's weight, from the simplest model on."""
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Baseline:
    """A fitted baseline with its operating point."""

    names: tuple[str, ...]
    model: LinearModel
    operating_point: OperatingPoint

    def case_predictions(
        self, cases: Sequence[Case], features: Features, pseudonyms: Pseudonyms
    ) -> BaselinePredictions:
        """What it says about cases.

        Raises:
            RunError: The features are not those that it was fitted on.
        """
        if features.names != self.names:
            raise RunError("the baseline was fitted on other features", remedy=f"Remove {NAME} from the run")
        point = self.operating_point
        return BaselinePredictions(
            method=METHOD,
            predictions=predictions_of(cases, self.model.probabilities(features.of(cases)), point.space, pseudonyms),
            operating_point=point,
            n_features=len(self.names),
            strength=self.model.strength,
        )

    def save(self, folder: Path) -> None:
        """Write ``baseline.json``."""
        model = self.model
        document = {
            "format": _FORMAT,
            "features": list(self.names),
            "centre": model.centre.tolist(),
            "scale": model.scale.tolist(),
            "weights": model.weights.tolist(),
            "offset": model.offset.tolist(),
            "multilabel": model.multilabel,
            "strength": model.strength,
            "operating_point": self.operating_point.to_json(),
        }
        write_json(folder / NAME, document)


def load_baseline(folder: Path) -> Baseline | None:
    """The baseline of the run in ``folder``; ``None`` where it has none.

    Raises:
        RunError: The file is damaged.
    """
    path = folder / NAME
    if not os.path.lexists(path):
        return None
    with reading_kept(path, "Restore the file, or remove it"):
        value: Mapping[str, Any] = read_json(path)
        if value["format"] != _FORMAT:
            raise ValueError("another format")
        numbers = {name: np.asarray(value[name], np.float64) for name in ("centre", "scale", "weights", "offset")}
        point = OperatingPoint.from_json(value["operating_point"]).of_probabilities()
        model = LinearModel(**numbers, multilabel=bool(value["multilabel"]), strength=float(value["strength"]))
        names = tuple(value["features"])
        shapes = [one.shape for one in numbers.values()]
        k, labels = len(names), len(point.labels)
        if shapes != [(k,), (k,), (labels, k), (labels,)] or not all(
            np.isfinite(one).all() for one in numbers.values()
        ):
            raise ValueError("numbers do not fit together")
    return Baseline(names, model, point)


def fit_baseline(cohort: Cohort, features: Features, config: Config, pseudonyms: Pseudonyms) -> Baseline:
    """Fit on train; choose the penalty by likelihood, and then the operating point, on tune.

    Args:
        cohort: With train and tune.
        features: Of all their cases.
        config: Has the operating point's rule.
        pseudonyms: For the patients.
    """
    train, tune = cohort.partition("train"), cohort.partition("tune")
    values, seen = features.of(train), features.of(tune)
    reference, evaluated = (reference_matrix(cases, len(cohort.labels)) for cases in (train, tune))
    told, told_of_tune = (known_matrix(cases, len(cohort.labels)) for cases in (train, tune))
    models = [
        fit_linear(values, reference, multilabel=cohort.multilabel, strength=one, known=told) for one in STRENGTHS
    ]
    model = min(models, key=lambda one: one.loss(seen, evaluated, told_of_tune))  # the simplest at a tie
    said = predictions_of(tune, model.probabilities(seen), cohort.space, pseudonyms)
    point = choose_operating_point(said, config.evaluation.operating_point, chosen_on="tune")
    return Baseline(features.names, model, point)
