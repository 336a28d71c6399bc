"""What every calibration is fitted by and evaluated with: the link, the log-odds, and the likelihood of the reference."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_softmax, logsumexp, softmax

from medcls.errors import UsageError
from medcls.evaluation.statistics.arrays import Bools, Floats, as_bools, as_floats

Link = Literal["softmax", "sigmoid"]
"""``softmax`` over exclusive labels (two included), ``sigmoid`` for each label of a multi-label classifier."""


def link_of(multilabel: bool) -> Link:
    """The link that the labels ask for."""
    return "sigmoid" if multilabel else "softmax"


def uncalibrated(logits: Floats, link: Link) -> Floats:
    """Probabilities ``(n, labels)`` of logits as they are."""
    return np.asarray(softmax(logits, axis=1) if link == "softmax" else expit(logits), dtype=np.float64)


def log_odds(logits: Floats, link: Link) -> Floats:
    """``log(p / (1 - p))`` of each label's uncalibrated probability, ``(n, labels)``, without rounding p to 0 or 1."""
    if link == "sigmoid":
        return logits
    columns = range(logits.shape[1])
    return np.stack([logits[:, one] - logsumexp(np.delete(logits, one, axis=1), axis=1) for one in columns], axis=1)


def negative_log_likelihood(logits: Floats, reference: Bools, link: Link, known: Bools | None = None) -> float:
    """Mean over cases (and labels that are known, for sigmoid) of minus the log-probability of the reference, in nats."""
    if link == "softmax":
        return float(-log_softmax(logits, axis=1)[reference].mean())
    losses = np.logaddexp(0.0, np.where(reference, -logits, logits))
    return float((losses if known is None else losses[known]).mean())


def likelihood_of_probabilities(probabilities: Floats, reference: Bools, link: Link, known: Bools) -> float:
    """As :func:`negative_log_likelihood`, from probabilities that are neither 0 nor 1 where it matters."""
    if link == "softmax":
        return float(-np.log(probabilities[reference]).mean())
    return float(-np.log(np.where(reference, probabilities, 1 - probabilities)[known]).mean())


def check_fitted_on(
    logits: ArrayLike, reference: ArrayLike, known: ArrayLike | None = None
) -> tuple[Floats, Bools, Bools]:
    """The logits and references to fit on, and whether these are known, each ``(n, labels)``.

    Raises:
        UsageError: The shapes differ, or a logit is not finite.
    """
    numbers, truth = as_floats(logits, "the logits"), as_bools(reference, "the reference")
    if numbers.ndim != 2 or numbers.shape != truth.shape or not np.isfinite(numbers).all():
        raise UsageError(f"logits {numbers.shape} must be finite and fit the reference {truth.shape}")
    told = np.ones_like(truth) if known is None else as_bools(known, "what is known")
    if told.shape != truth.shape:
        raise UsageError(f"what is known {told.shape} does not fit the reference {truth.shape}")
    return numbers, truth, told


def check_columns(logits: ArrayLike, labels: int, what: str) -> Floats:
    """Logits ``(n, labels)`` for a calibration of so many labels.

    Raises:
        UsageError: A logit is NaN, or there are other columns.
    """
    numbers = as_floats(logits, "the logits")
    if numbers.ndim != 2 or numbers.shape[1] != labels:
        raise UsageError(f"logits of shape {numbers.shape} do not fit {what} of {labels} labels")
    return numbers


def why_labels_are_missing(reference: Bools, link: Link) -> str | None:
    """Why labels cannot be distinguished by these cases, or ``None``: for sigmoid, ``reference`` is one column."""
    if not len(reference):
        return "there are no cases"
    if link == "sigmoid":
        return "the cases do not show two labels" if reference.all() or not reference.any() else None
    return None if reference.any(axis=0).all() else "a label has no case"
