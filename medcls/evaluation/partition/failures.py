"""Failure analysis: the worst wrong predictions by name, and what it means to count the cases that got none.

A case that was refused, or that failed, has no prediction; metrics over the others alone (complete cases) look better than
the classifier would have served. Worst case: each of them counts as decided wrongly (STARD 2015, item 16; CLAIM 2024:
failure analysis). The truth is between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation.partition.failed_cases import FailedCases
from medcls.evaluation.predictions import LabelCases, Predictions
from medcls.evaluation.schema_parts import COUNT, NUMBER, TEXT, Schema, by_name, closed, listed, ref, said
from medcls.evaluation.statistics.arrays import Bools, Floats, ratio
from medcls.evaluation.statistics.estimate import NO_NEGATIVE, NO_POSITIVE, Estimate
from medcls.evaluation.statistics.patient_bootstrap import replicate_sums, sum_by_patient
from medcls.evaluation.statistics.proportions import estimate_share
from medcls.evaluation.thresholds.confidence import check_same_labels
from medcls.evaluation.thresholds.operating_point import OperatingPoint

WORST = 10
_RATES = ("sensitivity", "specificity")


@dataclass(frozen=True)
class WrongPrediction:
    """One case that was decided wrongly.

    Attributes:
        name: The case's.
        reference: Its reference labels.
        called: The labels that it got.
        probability: Of the label that is looked at.
        unknown: The labels of which it is not known whether it has them.
    """

    name: str
    reference: tuple[str, ...]
    called: tuple[str, ...]
    probability: float
    unknown: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The prediction as plain JSON."""
        return {
            "name": self.name,
            "reference": list(self.reference),
            "unknown": list(self.unknown),
            "called": list(self.called),
            "probability": self.probability,
        }


@dataclass(frozen=True)
class LabelFailures:
    """What went wrong with one label.

    Attributes:
        n_false_positive: Cases without the label that are predicted positive.
        n_false_negative: Cases with the label that are predicted negative.
        false_positives: The worst of them: those with the highest probability, at most ten.
        false_negatives: The worst of them: those with the lowest probability, at most ten.
        n_failed_positive: Cases with the label that got no prediction.
        n_failed_negative: Cases without it that got none.
        complete_case: Sensitivity and specificity over the cases with a prediction.
        worst_case: The same, with each case without a prediction counted as decided wrongly.
    """

    n_false_positive: int
    n_false_negative: int
    false_positives: tuple[WrongPrediction, ...]
    false_negatives: tuple[WrongPrediction, ...]
    n_failed_positive: int
    n_failed_negative: int
    complete_case: Mapping[str, Estimate]
    worst_case: Mapping[str, Estimate]

    def to_json(self) -> dict[str, Any]:
        """The failures as plain JSON."""
        return {
            "n_false_positive": self.n_false_positive,
            "n_false_negative": self.n_false_negative,
            "false_positives": [one.to_json() for one in self.false_positives],
            "false_negatives": [one.to_json() for one in self.false_negatives],
            "n_failed_positive": self.n_failed_positive,
            "n_failed_negative": self.n_failed_negative,
            "complete_case": {name: estimate.to_json() for name, estimate in self.complete_case.items()},
            "worst_case": {name: estimate.to_json() for name, estimate in self.worst_case.items()},
        }


@dataclass(frozen=True)
class FailureAnalysis:
    """Everything that went wrong.

    Attributes:
        n_answered: Cases with a prediction.
        n_failed: Cases without one.
        n_unknown: Those of them of which no label is known; no metric counts them.
        failed_by_reason: How many got no prediction, for each reason.
        labels: For each label with metrics of its own, what went wrong with it.
    """

    n_answered: int
    n_failed: int
    n_unknown: int
    failed_by_reason: Mapping[str, int]
    labels: Mapping[str, LabelFailures]

    def beside(self, rates: Mapping[str, Mapping[str, Estimate]]) -> FailureAnalysis:
        """The same with the complete cases' sensitivity and specificity as they stand elsewhere: one metric, one interval.

        Args:
            rates: The two over the cases with a prediction, by label.
        """
        none_failed = self.n_failed == self.n_unknown
        return replace(
            self,
            labels={
                label: replace(
                    one, complete_case=rates[label], worst_case=rates[label] if none_failed else one.worst_case
                )
                for label, one in self.labels.items()
            },
        )

    def to_json(self) -> dict[str, Any]:
        """The analysis as plain JSON, valid under :func:`failures_schema`."""
        return {
            "n_answered": self.n_answered,
            "n_failed": self.n_failed,
            "n_unknown": self.n_unknown,
            "failed_by_reason": dict(self.failed_by_reason),
            "labels": {label: failures.to_json() for label, failures in self.labels.items()},
        }


def failure_analysis(
    predictions: Predictions,
    operating_point: OperatingPoint,
    names: Sequence[str],
    refused: FailedCases | None = None,
    *,
    settings: EvaluationSettings | None = None,
    seed: int = 0,
    worst: int = WORST,
) -> FailureAnalysis:
    """The worst wrong predictions, and sensitivity and specificity with the cases without a prediction counted in.

    Args:
        predictions: The cases with a prediction.
        operating_point: Chosen elsewhere.
        names: ``(n,)`` of these cases, pseudonyms as a rule: they are written as they are.
        refused: The cases without a prediction.
        settings: Confidence level and number of replicates.
        seed: Seed of the bootstrap.
        worst: How many wrong predictions to name, of either kind and for each label.

    Raises:
        UsageError: The operating point is for other labels, or there is not one name for each case.
    """
    check_same_labels(predictions, operating_point)
    refused = FailedCases.none(len(predictions.labels)) if refused is None else refused
    if len(names) != predictions.n_cases:
        raise UsageError(f"{len(names)} names do not fit {predictions.n_cases} cases")
    if refused.reference.shape[1] != len(predictions.labels):
        raise UsageError("the failed cases are about other labels")
    known = np.asarray(refused.known.any(axis=1))
    called = operating_point.decide(predictions.probabilities)
    everyone = _everyone(predictions, refused, known)
    # A case without a prediction is decided against its reference.
    decided = np.concatenate((called, ~refused.reference[known]))
    answered = np.arange(everyone.n_cases) < predictions.n_cases
    settings = settings or EvaluationSettings()
    rates = {one.label: _rates(one, one.of(decided), answered[one.known], settings, seed) for one in everyone.columns()}
    reasons, counts = np.unique(np.asarray(refused.reasons, dtype=np.str_), return_counts=True)
    return FailureAnalysis(
        n_answered=predictions.n_cases,
        n_failed=len(refused.names),
        n_unknown=int((~known).sum()),
        failed_by_reason=dict(zip(reasons.tolist(), counts.tolist(), strict=True)),
        labels={
            one.label: _label(predictions, called, one, names, worst, refused, rates[one.label])
            for one in predictions.columns()
        },
    )


def failures_schema() -> Schema:
    """The schema of :meth:`FailureAnalysis.to_json`; an ``estimate`` is looked for under ``$defs``."""
    score = said(NUMBER, "Of the label; the score itself where scores are no probabilities.")
    labels = listed(TEXT)
    prediction = closed({"name": TEXT, "reference": labels, "unknown": labels, "called": labels, "probability": score})
    both = closed(dict.fromkeys(_RATES, ref("estimate")))
    label = closed(
        {
            "n_false_positive": COUNT,
            "n_false_negative": COUNT,
            "false_positives": said(listed(prediction), "Those with the highest probability."),
            "false_negatives": said(listed(prediction), "Those with the lowest probability."),
            "n_failed_positive": COUNT,
            "n_failed_negative": COUNT,
            "complete_case": said(both, "Over the cases with a prediction."),
            "worst_case": said(both, "With each case without a prediction counted as decided wrongly."),
        }
    )
    return closed(
        {
            "n_answered": COUNT,
            "n_failed": COUNT,
            "n_unknown": said(COUNT, "Failed cases of which no label is known; no metric counts them."),
            "failed_by_reason": by_name(COUNT),
            "labels": by_name(label),
        },
        "Wrong predictions, and cases without a prediction.",
    )


def _everyone(predictions: Predictions, refused: FailedCases, known: Bools) -> Predictions:
    """The cases with a prediction, then those without of which a label is known; what these were called is not looked at."""
    return replace(
        predictions,
        probabilities=np.concatenate((predictions.probabilities, refused.reference[known].astype(np.float64))),
        reference=np.concatenate((predictions.reference, refused.reference[known])),
        patients=np.concatenate((predictions.patients, refused.patients[known])),
        known=np.concatenate((predictions.known, refused.known[known])),
    )


def _rates(
    cases: LabelCases, decided: Bools, answered: Bools, settings: EvaluationSettings, seed: int
) -> list[Estimate]:
    """Sensitivity and specificity of a label over complete cases, then in the worst case."""
    shares = []
    for counted in (answered, np.ones_like(answered)):
        shares += [(decided, cases.positive & counted, NO_POSITIVE)]
        shares += [(~decided, ~cases.positive & counted, NO_NEGATIVE)]
    columns = [one for marked, among, _ in shares for one in (marked & among, among)]
    by_patient = sum_by_patient(cases.resampling, np.stack(columns, axis=1).astype(np.float64))
    drawn = replicate_sums(cases.resampling, by_patient, replicates=settings.replicates, seed=seed)
    return [
        estimate_share(marked, among, cases.resampling, _part(drawn, index), settings.confidence, undefined)
        for index, (marked, among, undefined) in enumerate(shares)
    ]


def _part(drawn: Floats, index: int) -> Floats:
    return ratio(drawn[:, 2 * index], drawn[:, 2 * index + 1])


def _label(
    predictions: Predictions,
    called: Bools,
    one: LabelCases,
    names: Sequence[str],
    worst: int,
    refused: FailedCases,
    rates: list[Estimate],
) -> LabelFailures:
    positive, decided = predictions.reference[:, one.column], called[:, one.column]
    scores = predictions.probabilities[:, one.column]
    false_positive, false_negative = (
        np.flatnonzero(decided & ~positive & one.known),
        np.flatnonzero(~decided & positive),
    )

    def named(cases: NDArray[np.intp], badness: Floats) -> tuple[WrongPrediction, ...]:
        # Equal ones by name, so that the order of cases does not matter.
        order = sorted(cases.tolist(), key=lambda case: (badness[case], names[case]))[:worst]
        return tuple(
            WrongPrediction(
                name=str(names[case]),
                reference=_labels(predictions.labels, predictions.reference[case]),
                called=_labels(predictions.labels, called[case]),
                probability=float(scores[case]),
                unknown=_labels(predictions.labels, ~predictions.known[case]),
            )
            for case in order
        )

    n_failed = int((refused.reference & refused.known)[:, one.column].sum())
    return LabelFailures(
        n_false_positive=false_positive.size,
        n_false_negative=false_negative.size,
        false_positives=named(false_positive, -scores),
        false_negatives=named(false_negative, scores),
        n_failed_positive=n_failed,
        n_failed_negative=int(refused.known[:, one.column].sum()) - n_failed,
        complete_case=dict(zip(_RATES, rates[:2], strict=True)),
        worst_case=dict(zip(_RATES, rates[2:], strict=True)),
    )


def _labels(labels: tuple[str, ...], has: Bools) -> tuple[str, ...]:
    return tuple(label for label, one in zip(labels, has, strict=True) if one)
