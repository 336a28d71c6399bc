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
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, logit, softmax

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
from medcls.workflows.data.training_summary import Features

NAME = "baseline.json"
METHOD = (
    "The baseline is a logistic regression with a squared penalty on simple features: mean, spread, percentiles and "
    "histogram of the input, the means of a coarse grid, and the steps between neighbours"
)
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""C, the inverse of the penalty's weight, from the simplest model on."""
_FORMAT = 1
_NEVER = -30.0  # logit of a label that no training case has
_MOST_STEPS = 500
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A linear model on standardised features.

    Attributes:
        centre, scale: ``(k,)`` of the training cases.
        weights: ``(labels, k)``.
        offset: ``(labels,)``.
        multilabel: Labels do not exclude each other.
        strength: C.
    """

    centre: Floats
    scale: Floats
    weights: Floats
    offset: Floats
    multilabel: bool
    strength: float

    def logits(self, features: Floats) -> Floats:
        """``(n, labels)`` of features ``(n, k)``."""
        return np.asarray(((features - self.centre) / self.scale) @ self.weights.T + self.offset)

    def probabilities(self, features: Floats) -> Floats:
        """``(n, labels)`` of features ``(n, k)``."""
        logits = self.logits(features)
        return np.asarray(expit(logits) if self.multilabel else softmax(logits, axis=1))

    def loss(self, features: Floats, reference: Bools, known: Bools) -> float:
        """Mean negative log-likelihood of ``reference`` ``(n, labels)`` where it is known."""
        logits = self.logits(features)
        if self.multilabel:
            return float(np.mean(np.logaddexp(0, np.where(reference, -logits, logits))[known])) if known.any() else 0.0
        return float(-np.mean(log_softmax(logits, axis=1)[reference]))


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


def fit_linear(
    features: Floats, reference: Bools, *, multilabel: bool, strength: float, known: Bools | None = None
) -> LinearModel:
    """Logistic regression with a squared penalty on standardised features.

    Args:
        features: ``(n, k)`` of the training cases.
        reference: ``(n, labels)``; a label without cases never gets a probability worth mentioning.
        multilabel: Fit each label by itself.
        strength: C, the inverse of the penalty's weight.
        known: ``(n, labels)`` of which of several labels the reference is known: each is fitted to these cases; default: all.
    """
    centre, spread = features.mean(axis=0), features.std(axis=0)
    scale = np.where(spread > 1e-12 * np.maximum(1.0, np.abs(centre)), spread, 1.0)
    standard = (features - centre) / scale
    told = np.ones_like(reference) if known is None else known
    weights, offset = (
        _each_label(standard, reference, told, strength) if multilabel else _one_of_all(standard, reference, strength)
    )
    return LinearModel(centre, scale, weights, offset, multilabel, strength)


def _one_of_all(standard: Floats, reference: Bools, strength: float) -> tuple[Floats, Floats]:
    target = reference.argmax(axis=1)
    present = np.unique(target)
    weights, offset = np.zeros((reference.shape[1], standard.shape[1])), np.full(reference.shape[1], _NEVER)
    offset[present] = 0.0
    if present.size > 1:
        slopes, intercepts = _regression(standard, target, strength)
        # Of two labels, scikit-learn gives the log odds of the second.
        weights[present[-len(slopes) :]], offset[present[-len(slopes) :]] = slopes, intercepts
    return weights, offset


def _each_label(standard: Floats, reference: Bools, known: Bools, strength: float) -> tuple[Floats, Floats]:
    weights = np.zeros((reference.shape[1], standard.shape[1]))
    shares = ((reference & known).sum(axis=0) + 0.5) / (known.sum(axis=0) + 1)
    offset = np.asarray(logit(shares))
    for label, told in enumerate(known.T):
        has = reference[told, label]
        if has.any() and not has.all():
            slopes, intercepts = _regression(standard[told], has, strength)
            weights[label], offset[label] = slopes[0], intercepts[0]
    return weights, offset


def _regression(standard: Floats, target: NDArray[Any], strength: float) -> tuple[Floats, Floats]:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=strength, max_iter=_MOST_STEPS).fit(standard, target)
    return np.asarray(fitted.coef_, np.float64), np.asarray(fitted.intercept_, np.float64)
