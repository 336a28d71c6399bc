"""LinearModel: logistic regression with a squared penalty on standardised features, for the baseline and for probes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, logit, softmax

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_NEVER = -30.0  # logit of a label that no training case has
_MOST_STEPS = 500


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A linear model on standardised features.

    Attributes:
        centre, scale: ``(k,)`` of the training cases.
        weights: ``(labels, k)``.
        offset: ``(labels,)``.
        multilabel: Labels do not exclude each other.
        strength: C, the inverse of the penalty's weight.
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

    def loss(self, features: Floats, reference: Bools, known: Bools, counts: Floats | None = None) -> float:
        """Mean negative log-likelihood of ``reference`` ``(n, labels)`` where it is known.

        Args:
            features: ``(n, k)``.
            reference: ``(n, labels)``.
            known: ``(n, labels)``; of exclusive labels all are.
            counts: ``(n, labels)``, how much each counts; default: alike.
        """
        logits = self.logits(features)
        if self.multilabel:
            losses, used = np.logaddexp(0, np.where(reference, -logits, logits)), known
        else:
            losses, used = -log_softmax(logits, axis=1), reference
        weights = used * (1.0 if counts is None else counts)
        total = weights.sum()
        return float((losses * weights).sum() / total) if total > 0 else 0.0


def fit_linear(
    features: Floats,
    reference: Bools,
    *,
    multilabel: bool,
    strength: float,
    known: Bools | None = None,
    counts: Floats | None = None,
) -> LinearModel:
    """The one model of :func:`fit_path` for one ``strength``."""
    return next(fit_path(features, reference, multilabel=multilabel, strengths=(strength,), known=known, counts=counts))


def fit_path(
    features: Floats,
    reference: Bools,
    *,
    multilabel: bool,
    strengths: Iterable[float],
    known: Bools | None = None,
    counts: Floats | None = None,
) -> Iterator[LinearModel]:
    """Logistic regression with a squared penalty on standardised features, for one penalty after the other.

    Each fit begins where the one before ended, and none is made before it is asked for.

    Args:
        features: ``(n, k)`` of the training cases.
        reference: ``(n, labels)``; a label without cases never gets a probability worth mentioning.
        multilabel: Fit each label by itself.
        strengths: C, the inverse of the penalty's weight; each model begins from the one before.
        known: ``(n, labels)`` of which of several labels the reference is known: each is fitted to these cases; default: all.
        counts: ``(n, labels)``, how much each case counts for each label; of exclusive labels, for the one it has. Default: 1.
    """
    centre, spread = features.mean(axis=0), features.std(axis=0)
    scale = np.where(spread > 1e-12 * np.maximum(1.0, np.abs(centre)), spread, 1.0)
    standard = (features - centre) / scale
    told = np.ones_like(reference) if known is None else known
    much = np.ones(reference.shape) if counts is None else counts
    standard, back = _rotated(standard)
    fits = _Regressions()
    for strength in strengths:
        weights, offset = (
            _each_label(standard, reference, told, much, strength, fits)
            if multilabel
            else _one_of_all(standard, reference, much, strength, fits)
        )
        turned = weights if back is None else weights @ back
        yield LinearModel(centre, scale, turned, offset, multilabel, strength)


def _rotated(standard: Floats) -> tuple[Floats, Floats | None]:
    """Fewer features where there are more than cases, and the way back: the penalised solution lies in the cases' span."""
    n, k = standard.shape
    if k <= n:
        return standard, None
    left, singular, right = np.linalg.svd(standard, full_matrices=False)
    return left * singular, right


def _one_of_all(
    standard: Floats, reference: Bools, counts: Floats, strength: float, fits: _Regressions
) -> tuple[Floats, Floats]:
    target = reference.argmax(axis=1)
    present = np.unique(target)
    weights, offset = np.zeros((reference.shape[1], standard.shape[1])), np.full(reference.shape[1], _NEVER)
    offset[present] = 0.0
    if present.size > 1:
        slopes, intercepts = fits.fit(0, standard, target, counts[np.arange(len(target)), target], strength)
        # Of two labels, scikit-learn gives the log odds of the second.
        weights[present[-len(slopes) :]], offset[present[-len(slopes) :]] = slopes, intercepts
    return weights, offset


def _each_label(
    standard: Floats, reference: Bools, known: Bools, counts: Floats, strength: float, fits: _Regressions
) -> tuple[Floats, Floats]:
    weights = np.zeros((reference.shape[1], standard.shape[1]))
    shares = ((reference & known).sum(axis=0) + 0.5) / (known.sum(axis=0) + 1)
    offset = np.asarray(logit(shares))
    for label, told in enumerate(known.T):
        has = reference[told, label]
        if has.any() and not has.all():
            slopes, intercepts = fits.fit(label, standard[told], has, counts[told, label], strength)
            weights[label], offset[label] = slopes[0], intercepts[0]
    return weights, offset


class _Regressions:
    """scikit-learn's regressions, each of which begins where it ended the last time."""

    def __init__(self) -> None:
        self.by_label: dict[int, Any] = {}

    def fit(
        self, label: int, standard: Floats, target: NDArray[Any], counts: Floats, strength: float
    ) -> tuple[Floats, Floats]:
        """Slopes ``(classes, k)`` and intercepts ``(classes,)``; of two labels one row, the log odds of the second."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        one = self.by_label.setdefault(label, LogisticRegression(max_iter=_MOST_STEPS, warm_start=True))
        with warnings.catch_warnings():
            # A weak penalty that does not get there within the steps is one that the held-out cases do not choose.
            warnings.simplefilter("ignore", ConvergenceWarning)
            one.set_params(C=strength).fit(standard, target, sample_weight=counts)
        return np.array(one.coef_, np.float64), np.array(one.intercept_, np.float64)
