"""Conformal prediction sets: in place of one label the set of labels that cannot be ruled out, with a guarantee.

Split conformal prediction (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; Angelopoulos and
Bates, arXiv:2107.07511). A label is in the set when its probability is at least a limit. The limit is the k-th lowest
of the probabilities that the reference labels of ``n`` other patients got, k = n + 1 - ceil((n + 1)(1 - alpha)): the
finite-sample quantile of the score 1 - p. If those patients and a new one are exchangeable (same kind of patients,
same scanners, same way of referral), the set of the new one holds the reference label with probability of at least
1 - alpha, however wrong the probabilities are.

**Guarantee.** ``class-conditional`` (Mondrian; the default): a limit for each label, and the guarantee holds among the
patients with each label, so also over all. ``marginal``: one limit, and the guarantee holds over all patients, while a
rare label may be missed far more often than alpha.

**Several cases of a patient** are not exchangeable with other patients' cases; patients are. ``case``: each patient's
cases share a weight of one (hierarchical conformal prediction: Lee, Barber and Willett, arXiv:2306.06342), and the
guarantee is about a case drawn at random from a new patient. ``patient``: the patient's worst case counts, and the
guarantee is about all cases of a new patient together.

**Multi-label:** class-conditional, the set holds each label that a case has with probability 1 - alpha; marginal, it
holds all of them.

**Too few patients** (fewer than about 1 / alpha - 1) allow no limit: then every label is in every set, and a reason is
kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from medcls.errors import ClassifierError, UsageError
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.statistics.arrays import Bools, Floats, Indices, as_bools, as_floats

Guarantee = Literal["class-conditional", "marginal"]
Unit = Literal["case", "patient"]
_ROUNDING = 1e-9  # sums of weights 1 / cases


@dataclass(frozen=True)
class ConformalLimit:
    """The least probability with which a label is in the set.

    Attributes:
        label: The label.
        least_probability: The limit, 0 to 1; 0 puts the label into every set.
        n_patients: How many patients it rests on.
        reason: Why the label is in every set, or ``None``.
    """

    label: str
    least_probability: float
    n_patients: int
    reason: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.least_probability <= 1:
            raise UsageError("a conformal limit is a probability")


@dataclass(frozen=True)
class Conformal:
    """Prediction sets, and what they guarantee.

    Attributes:
        labels: The classifier's labels, in the order of the probabilities' columns.
        multilabel: A case may have any number of labels.
        alpha: How often a set may miss.
        guarantee: ``class-conditional`` or ``marginal``.
        unit: ``case`` or ``patient``: what the guarantee is about where a patient has several cases.
        limits: One for each label; the same for all where the guarantee is marginal.
        chosen_on: The partition that they were fitted on.
        cases_hash: Which cases these were (:meth:`medcls.evaluation.predictions.Predictions.cases_hash`).
    """

    labels: tuple[str, ...]
    multilabel: bool
    alpha: float
    guarantee: Guarantee
    unit: Unit
    limits: tuple[ConformalLimit, ...]
    chosen_on: str
    cases_hash: str

    def __post_init__(self) -> None:
        _check(self.alpha, self.guarantee, self.unit)
        if tuple(limit.label for limit in self.limits) != self.labels or not self.labels:
            raise UsageError("prediction sets need one limit for each label")

    @property
    def statement(self) -> str:
        """The guarantee in words, with what it assumes, and how far the patients that set the limits bear it."""
        everywhere = [limit for limit in self.limits if limit.reason is not None]
        if len(everywhere) == len(self.limits):
            why = "; ".join(dict.fromkeys(str(limit.reason) for limit in everywhere))
            return f"The sets say nothing: every label is in every one of them, because {why}."
        whole = self.unit == "patient"
        sets = (
            "the sets of all cases of a new patient" if whole else "the set of a new patient's case, drawn at random,"
        )
        if self.guarantee == "class-conditional":
            what = f"For each reference label, {sets} with this label will hold it"
        else:
            what = f"T{sets[1:]} will hold the reference label{'s' if self.multilabel else ''}"
        return (
            f"{what} with probability of at least {1 - self.alpha:g}, if new patients and those of {self.chosen_on} "
            f"are exchangeable. {self._spread()}"
        )

    def _spread(self) -> str:
        """Between which shares the coverage is that these very limits have: Beta(k, n + 1 - k).

        Vovk, Conditional validity of inductive conformal predictors, Machine Learning 2013;92:349, section 2; for one case of
        each patient.
        """
        n = min(limit.n_patients for limit in self.limits if limit.reason is None)
        k = n + 1 - math.floor((n + 1) * self.alpha + _ROUNDING)
        low, high = (float(betaincinv(k, n + 1 - k, tail)) if k <= n else 1.0 for tail in (0.025, 0.975))
        patients = f"{n} patient{'' if n == 1 else 's'}{' of a label' if self.guarantee == 'class-conditional' else ''}"
        return (
            f"This is the mean over tuning sets: with {patients} to set the limits, 95 % of them have a coverage of "
            f"{100 * low:.0f} to {100 * high:.0f} %."
        )

    def sets(self, probabilities: ArrayLike) -> Bools:
        """The sets ``(n, labels)`` for probabilities ``(n, labels)``; a set may be empty: no label fits.

        Raises:
            UsageError: The columns are not those of the labels, or a probability is NaN.
        """
        numbers = as_floats(probabilities, "the probabilities")
        if numbers.ndim != 2 or numbers.shape[1] != len(self.labels):
            raise UsageError(f"probabilities of shape {numbers.shape} do not fit {len(self.labels)} labels")
        return as_bools(numbers >= [limit.least_probability for limit in self.limits], "the sets")

    def to_json(self) -> dict[str, Any]:
        """The sets' limits as plain JSON."""
        return {
            "method": "split-conformal",
            "labels": list(self.labels),
            "multilabel": self.multilabel,
            "alpha": self.alpha,
            "guarantee": self.guarantee,
            "unit": self.unit,
            "limits": [
                {
                    "label": limit.label,
                    "least_probability": limit.least_probability,
                    "n_patients": limit.n_patients,
                    "reason": limit.reason,
                }
                for limit in self.limits
            ],
            "statement": self.statement,
            "chosen_on": self.chosen_on,
            "cases_hash": self.cases_hash,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Conformal:
        """The sets that :meth:`to_json` wrote.

        Raises:
            ClassifierError: They are not such.
        """
        try:
            if value["method"] != "split-conformal":
                raise ValueError(value["method"])
            limits = tuple(
                ConformalLimit(
                    str(one["label"]), float(one["least_probability"]), int(one["n_patients"]), one["reason"]
                )
                for one in value["limits"]
            )
            return cls(
                labels=tuple(str(label) for label in value["labels"]),
                multilabel=bool(value["multilabel"]),
                alpha=float(value["alpha"]),
                guarantee=value["guarantee"],
                unit=value["unit"],
                limits=limits,
                chosen_on=str(value["chosen_on"]),
                cases_hash=str(value["cases_hash"]),
            )
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise ClassifierError("the prediction sets are damaged", remedy="Take a whole classifier") from error


def fit_conformal(
    predictions: Predictions,
    *,
    alpha: float = 0.1,
    chosen_on: str = "tune",
    guarantee: Guarantee = "class-conditional",
    unit: Unit = "case",
) -> Conformal:
    """Fit the limits on cases that the network was not trained on.

    Where the same cases also chose the epoch, the calibration or the network, they are a little too good, and the
    guarantee is approximate: :func:`medcls.evaluation.conformal.coverage.conformal_metrics` shows what other cases say.

    Args:
        predictions: The tune partition, with the probabilities that the sets will be made of.
        alpha: How often a set may miss, 0 to 1.
        chosen_on: The partition's name.
        guarantee: Among the patients with each label, or over all.
        unit: What the guarantee is about where a patient has several cases.

    Raises:
        UsageError: ``alpha`` is outside 0 to 1, or another argument is none of its choices.
    """
    _check(alpha, guarantee, unit)
    patient = np.unique(predictions.patients, return_inverse=True)[1]
    probabilities, reference = predictions.probabilities, predictions.reference
    if guarantee == "class-conditional":
        columns = zip(predictions.labels, reference.T, probabilities.T, strict=True)
        limits = tuple(_limit(label, scores[has], patient[has], alpha, unit) for label, has, scores in columns)
    else:
        # A case without any label has nothing to miss: its worst label scores above all others.
        worst = np.where(reference, probabilities, 1.0).min(axis=1, initial=1.0)
        limits = tuple(_limit(label, worst, patient, alpha, unit) for label in predictions.labels)
    return Conformal(
        labels=predictions.labels,
        multilabel=predictions.multilabel,
        alpha=alpha,
        guarantee=guarantee,
        unit=unit,
        limits=limits,
        chosen_on=chosen_on,
        cases_hash=predictions.cases_hash(),
    )


def _limit(label: str, scores: Floats, patient: Indices, alpha: float, unit: Unit) -> ConformalLimit:
    """The greatest limit that leaves a weight of at least (n + 1)(1 - alpha) of n patients' reference labels in."""
    _, owner, cases = np.unique(patient, return_inverse=True, return_counts=True)
    n = cases.size
    if unit == "patient":
        lowest = np.full(n, np.inf)
        np.minimum.at(lowest, owner, scores)
        scores, weights = lowest, np.ones(n)
    else:
        weights = 1 / cases[owner]
    needed = (n + 1) * (1 - alpha)
    if n < needed - _ROUNDING:
        fewest = math.ceil(1 / alpha - 1 - _ROUNDING)
        known = "1 patient is" if n == 1 else f"{n} patients are"
        return ConformalLimit(label, 0.0, n, f"{known} fewer than the {fewest} that alpha {alpha:g} needs")
    falling = np.argsort(-scores, kind="stable")
    held = np.cumsum(weights[falling])
    place = min(int(np.searchsorted(held, needed - _ROUNDING)), held.size - 1)
    return ConformalLimit(label, float(scores[falling[place]]), n)


def _check(alpha: float, guarantee: str, unit: str) -> None:
    if not 0 < alpha < 1:
        raise UsageError(f"alpha is {alpha:g}, but must be between 0 and 1")
    for name, value, choices in (("guarantee", guarantee, get_args(Guarantee)), ("unit", unit, get_args(Unit))):
        if value not in choices:
            raise UsageError(f"no {name} is called '{value}'", remedy=f"Choose {' or '.join(choices)}")
