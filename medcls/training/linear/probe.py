"""Probe: a linear layer on the features of a frozen network.

Logistic regression with a squared penalty, as in the linear evaluation of pretrained networks (Kornblith et al., 'Do Better
ImageNet Models Transfer Better?', CVPR 2019, section 4). The penalty is chosen on folds within the training cases, so tune
and test take no part; patients are never on both sides of a fold.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medcls.training.linear.linear_model import Bools, Floats, LinearModel, fit_linear, fit_path

STRENGTHS = tuple(float(one) for one in 10.0 ** np.arange(-6, 1.5, 0.5))
"""C, the inverse of the penalty's weight, from the simplest model on."""
FOLDS = 5
_WORSE = 2  # so many steps without a better loss end the search: beyond the best, more freedom only fits the noise


@dataclass(frozen=True)
class Examples:
    """What a probe is fitted on.

    Attributes:
        features: ``(n, k)``.
        reference: ``(n, labels)``.
        known: ``(n, labels)``, whether the reference is known.
        groups: ``(n,)``; cases of one group are on one side of a fold.
        counts: ``(n, labels)``, how much each case counts for each label.
    """

    features: Floats
    reference: Bools
    known: Bools
    groups: NDArray[np.intp]
    counts: Floats

    def at(self, rows: NDArray[np.intp]) -> Examples:
        """Some of them."""
        return Examples(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True, eq=False)
class Probe:
    """A fitted probe.

    Attributes:
        model: On the features.
        folds: On how many folds its penalty was chosen; 0: there were too few patients, and it is a middling one.
    """

    model: LinearModel
    folds: int

    def layer(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same as one linear layer on features as they are: weights ``(labels, k)`` and bias ``(labels,)``."""
        weights = self.model.weights / self.model.scale
        bias = self.model.offset - weights @ self.model.centre
        return weights.astype(np.float32), bias.astype(np.float32)


def fit_probe(examples: Examples, *, multilabel: bool, seed: int) -> Probe:
    """Fit a probe, its penalty chosen by the likelihood of held-out folds.

    Args:
        examples: The training cases.
        multilabel: Labels do not exclude each other.
        seed: Of the folds.
    """
    folds = list(_folds(examples, seed))
    strength = _best(examples, folds, multilabel) if folds else STRENGTHS[len(STRENGTHS) // 2]
    return Probe(_fit(examples, multilabel, strength), len(folds))


def _best(examples: Examples, folds: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]], multilabel: bool) -> float:
    paths = [_losses(examples, *fold, multilabel) for fold in folds]
    losses: list[float] = []
    for of_folds in zip(*paths, strict=True):
        losses.append(float(np.mean(of_folds)))
        if len(losses) - 1 - int(np.argmin(losses)) >= _WORSE:
            break
    return STRENGTHS[int(np.argmin(losses))]


def _losses(
    examples: Examples, inside: NDArray[np.intp], outside: NDArray[np.intp], multilabel: bool
) -> Iterator[float]:
    """What each strength loses on held-out cases, from the simplest model on."""
    own, held = examples.at(inside), examples.at(outside)
    for model in fit_path(
        own.features,
        own.reference,
        multilabel=multilabel,
        strengths=STRENGTHS,
        known=own.known,
        counts=own.counts,
    ):
        yield model.loss(held.features, held.reference, held.known, held.counts)


def _fit(examples: Examples, multilabel: bool, strength: float) -> LinearModel:
    return fit_linear(
        examples.features,
        examples.reference,
        multilabel=multilabel,
        strength=strength,
        known=examples.known,
        counts=examples.counts,
    )


def _folds(examples: Examples, seed: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows inside and outside of each fold, with labels spread evenly; none where a label has one group alone."""
    from sklearn.model_selection import StratifiedGroupKFold

    _, kinds = np.unique(examples.reference, axis=0, return_inverse=True)
    kinds = kinds.reshape(-1)
    of_label = [len(np.unique(examples.groups[has])) for has in examples.reference.T if has.any()]
    count = min(FOLDS, *of_label, len(np.unique(examples.groups)))
    if count < 2:
        return
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a set of labels that fewer cases than folds have
        yield from splitter.split(examples.features, kinds, examples.groups)
