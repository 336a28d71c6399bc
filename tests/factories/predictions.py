"""Small partitions for tests of evaluation, made in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from medcls.evaluation import OperatingPoint, Predictions
from medcls.evaluation.partition.schema import metrics_schema
from medcls.evaluation.thresholds.operating_point import Threshold
from medcls.values.label_space import LabelSpace

ESTIMATE_SCHEMA: dict[str, Any] = metrics_schema()["$defs"]["estimate"]


def half(predictions: Predictions, threshold: float = 0.5) -> OperatingPoint:
    """The operating point at 0.5 for the labels of ``predictions`` (or argmax)."""
    labels, positive, multilabel = predictions.labels, predictions.positive, predictions.multilabel
    called = labels if multilabel else () if positive is None else (positive,)
    cuts = tuple(Threshold(label, threshold, None, None) for label in called)
    return OperatingPoint(
        LabelSpace(labels, positive, multilabel), "youden" if called else "argmax", cuts, "tune", "0" * 64
    )


def binary(positive: Any, scores: Any, patients: Any = None) -> Predictions:
    """Two labels, 'well' and the positive 'sick'; each case a patient's only one unless ``patients`` says otherwise."""
    reference, numbers = np.asarray(positive, dtype=bool), np.asarray(scores, dtype=float)
    owners = np.arange(reference.size).astype(str) if patients is None else np.asarray(patients).astype(str)
    both = np.stack([1 - numbers, numbers], axis=1)
    return Predictions(("well", "sick"), "sick", False, both, np.stack([~reference, reference], axis=1), owners)


def some_binary(seed: int = 0, n: int = 120, images: int = 1, shift: float = 1.0) -> Predictions:
    """A third of the patients are sick; ``images`` cases for each."""
    generator = np.random.default_rng(seed)
    owner = np.arange(n) // images
    positive = owner % 3 == 0
    scores = 1 / (1 + np.exp(-generator.normal(size=n) - shift * (2 * positive - 1)))
    return binary(positive, scores, owner)


def some_labels(seed: int = 0, n: int = 90, labels: tuple[str, ...] = ("a", "b", "c"), present: int = 3) -> Predictions:
    """Exclusive labels, of which the first ``present`` have cases."""
    generator = np.random.default_rng(seed)
    reference = (np.arange(n) % present)[:, None] == np.arange(len(labels))
    logits = generator.normal(size=(n, len(labels))) + 1.5 * reference
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions(labels, None, False, probabilities, reference, np.arange(n).astype(str))


def some_multilabel(seed: int = 0, n: int = 80) -> Predictions:
    """Three labels that do not exclude each other, the third never present; two cases for each patient."""
    generator = np.random.default_rng(seed)
    reference = generator.random((n, 3)) < [0.5, 0.3, 0.0]
    probabilities = 1 / (1 + np.exp(-generator.normal(size=(n, 3)) - 2 * reference + 1))
    return Predictions(("a", "b", "never"), None, True, probabilities, reference, (np.arange(n) // 2).astype(str))


def rows_of(predictions: Predictions, rows: Sequence[int] | np.ndarray) -> Predictions:
    """These cases, in this order, as often as they are named."""
    return replace(
        predictions,
        probabilities=predictions.probabilities[rows],
        reference=predictions.reference[rows],
        patients=predictions.patients[rows],
        known=predictions.known[rows],
    )
