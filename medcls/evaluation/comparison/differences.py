"""The differences between two classifiers on the same cases, metric by metric, each with its interval and test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medcls.config.settings import EvaluationSettings
from medcls.evaluation.comparison.paired import (
    Test,
    bootstrap_difference,
    bootstrap_p,
    difference_of,
    paired_delong,
    share_difference_limits,
    test_of,
)
from medcls.evaluation.discrimination.auc import auc
from medcls.evaluation.discrimination.ranking import RocStatistic
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.statistics.arrays import Bools, Floats, ratio
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.statistics.estimate import NO_NEGATIVE, NO_POSITIVE, Estimate, Method, Undefined, missing_class
from medcls.evaluation.statistics.intervals import Limits, auc_without_resampling, disjoint_pairs
from medcls.evaluation.statistics.mcnemar import discordant, mcnemar
from medcls.evaluation.statistics.patient_bootstrap import replicate_sums, sum_by_patient

_IDENTICAL = "identical predictions"


@dataclass(frozen=True)
class Difference:
    """One metric of two classifiers.

    Attributes:
        metric: ``auc``, ``sensitivity``, ``specificity``, ``accuracy`` or ``macro_auc``.
        label: The label that it is of; ``None`` over all labels.
        first: The first classifier's value; ``None`` when undefined.
        second: The second's.
        difference: First minus second.
        test: Where the p-value comes from.
        statistic: z of DeLong's test, chi-squared of McNemar's; ``None`` for the others.
        p_value: Two-sided; ``None`` when there is none.
        p_adjusted: By Holm over several comparisons; ``None`` for a single one.
        reason: Why there is no p-value, or what a reader must know of it.
    """

    metric: str
    label: str | None
    first: float | None
    second: float | None
    difference: Estimate
    test: Test
    statistic: float | None
    p_value: float | None
    reason: str | None
    p_adjusted: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The difference as plain JSON."""
        return {
            "figure": self.metric,
            "label": self.label,
            "first": self.first,
            "second": self.second,
            "difference": self.difference.to_json(),
            "test": self.test.value,
            "statistic": self.statistic,
            "p_value": self.p_value,
            "p_adjusted": self.p_adjusted,
            "reason": self.reason,
        }

    @classmethod
    def identical(cls, metric: str, label: str | None, value: float, method: Method) -> Difference:
        """Of two classifiers with the same predictions: exactly 0, as in every resample."""
        estimate = Estimate(0.0, 0.0, 0.0, method.value, _IDENTICAL)
        return cls(metric, label, value, value, estimate, Test.NONE, None, None, _IDENTICAL)

    @classmethod
    def undefined(cls, metric: str, label: str | None, reason: str) -> Difference:
        """A metric that does not exist on these cases."""
        return cls(metric, label, None, None, Estimate.undefined(reason), Test.NONE, None, None, reason)


@dataclass(frozen=True, eq=False)
class _Share:
    """A share that both have: of which cases, which of them each got right, and whether the two are the same predictions."""

    metric: str
    label: str | None
    cases: Bools
    right: tuple[Bools, Bools]
    undefined: str
    identical: bool

    def columns(self) -> Floats:
        """``(n, 2)``: first minus second, and whether the case counts."""
        apart = (self.right[0].astype(np.float64) - self.right[1]) * self.cases
        return np.stack((apart, self.cases.astype(np.float64)), axis=1)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two classifiers' predictions about the same cases.

    Attributes:
        predictions: Of both.
        called: ``(n, labels)`` decisions of both.
        same_thresholds: Whether both decide by the same thresholds.
        settings: Confidence level and number of replicates.
        seed: Seed of the bootstrap.
    """

    predictions: tuple[Predictions, Predictions]
    called: tuple[Bools, Bools]
    same_thresholds: bool
    settings: EvaluationSettings
    seed: int

    @property
    def resampling(self) -> PatientResampling:
        """Which case is whose."""
        return self.predictions[0].resampling

    @property
    def clustered(self) -> bool:
        """Some patient has several cases."""
        return self.resampling.n_patients < self.resampling.patient.size

    def differences(self) -> tuple[Difference, ...]:
        """Every figure's difference."""
        first = self.predictions[0]
        several = first.positive is None
        of_labels = {label: self._alone(label) for label in first.space.scored}
        drawn = self._drawn_aucs(first.space.scored) if several or self.clustered else {}
        found = [self._macro_auc(drawn, of_labels)] if several else []
        accuracy = [] if first.multilabel else self._shares([self._accuracy()])
        if several and not first.multilabel:
            return (*found, *accuracy)
        for label, pair in of_labels.items():
            own = drawn if pair is self else pair._drawn_aucs([label]) if pair.clustered else {}
            found.append(pair._auc(label, own.get(label)))
        rates = [one for label, pair in of_labels.items() for one in pair._shares(pair._rates(label))]
        return (*found, *rates, *accuracy)

    def _alone(self, label: str) -> Pair:
        """The pair on the cases of which a label is known."""
        known = self.predictions[0].known[:, self.predictions[0].labels.index(label)]
        if known.all():
            return self
        first, second = (one.take(known) for one in self.predictions)
        return replace(self, predictions=(first, second), called=(self.called[0][known], self.called[1][known]))

    def _scores(self, label: str) -> tuple[Bools, Floats, Floats]:
        """Reference and both scores of the cases of which the label is known."""
        column = self.predictions[0].labels.index(label)
        known = self.predictions[0].known[:, column]
        first, second = (one.probabilities[known, column] for one in self.predictions)
        return self.predictions[0].reference[known, column], first, second

    def _rates(self, label: str) -> list[_Share]:
        """Of the cases of :meth:`_alone`."""
        positive, *_ = self._scores(label)
        first, second = (called[:, self.predictions[0].labels.index(label)] for called in self.called)
        identical = self._identical([label])
        return [
            _Share("sensitivity", label, positive, (first, second), NO_POSITIVE, identical),
            _Share("specificity", label, ~positive, (~first, ~second), NO_NEGATIVE, identical),
        ]

    def _accuracy(self) -> _Share:
        first, second = (np.asarray((called & self.predictions[0].reference).any(axis=1)) for called in self.called)
        every = np.ones(first.size, dtype=np.bool_)
        identical = self._identical(self.predictions[0].labels)
        return _Share("accuracy", None, every, (first, second), "there are no cases", identical)

    def _identical(self, labels: Sequence[str]) -> bool:
        """Whether scores, thresholds and decisions about these labels are the same."""
        columns = [self.predictions[0].labels.index(label) for label in labels]
        same_scores = all(np.array_equal(*self._scores(label)[1:]) for label in labels)
        first, second = (called[:, columns] for called in self.called)
        return self.same_thresholds and same_scores and np.array_equal(first, second)

    def _shares(self, shares: list[_Share]) -> list[Difference]:
        by_patient = sum_by_patient(self.resampling, np.concatenate([share.columns() for share in shares], axis=1))
        drawn = replicate_sums(self.resampling, by_patient, replicates=self.settings.replicates, seed=self.seed)
        return [self._share(share, ratio(drawn[:, 2 * i], drawn[:, 2 * i + 1])) for i, share in enumerate(shares)]

    def _share(self, share: _Share, drawn: Floats) -> Difference:
        n = int(share.cases.sum())
        if not n:
            return Difference.undefined(share.metric, share.label, share.undefined)
        first, second = (right[share.cases] for right in share.right)
        if share.identical:
            return Difference.identical(share.metric, share.label, float(first.mean()), Method.PATIENT_BOOTSTRAP)
        only_first, only_second = discordant(first, second)
        n_patients = self.resampling.count(share.cases)
        confidence = self.settings.confidence

        def conservative() -> Limits:
            return share_difference_limits(only_first / n, only_second / n, n_patients, confidence)

        estimate = bootstrap_difference((only_first - only_second) / n, drawn, n_patients, confidence, conservative)
        test, statistic, p_value, reason = _bootstrap_test(drawn, n_patients)
        if n_patients == n:
            result = mcnemar(only_first, only_second)
            test, statistic, p_value, reason = test_of(result), result.statistic, result.p_value, None
        values = float(first.mean()), float(second.mean())
        return Difference(share.metric, share.label, *values, estimate, test, statistic, p_value, reason)

    def _drawn_aucs(self, labels: Sequence[str]) -> dict[str, Floats]:
        """For each label with both kinds of cases, replicates ``(b,)`` of the difference of the two AUCs."""
        first, nothing = self.predictions[0], np.zeros(0)
        labels = [label for label in labels if missing_class(self._scores(label)[0]) is None]
        if not labels:
            return {}
        statistics = []
        for label in labels:
            within = self.resampling.within(first.known[:, first.labels.index(label)])
            positive, *both = self._scores(label)
            statistics += [RocStatistic(within, positive, scores, nothing) for scores in both]
        drawn = self.resampling.replicate(statistics, replicates=self.settings.replicates, seed=self.seed)
        return {label: drawn[2 * i][:, 0] - drawn[2 * i + 1][:, 0] for i, label in enumerate(labels)}

    def _auc(self, label: str, drawn: Floats | None) -> Difference:
        positive, first, second = self._scores(label)
        missing = missing_class(positive)
        if missing is not None:
            return Difference.undefined("auc", label, missing.reason)
        areas = _defined(auc(positive, first)), _defined(auc(positive, second))
        if np.array_equal(first, second):
            method = Method.PATIENT_BOOTSTRAP if self.clustered else Method.DELONG
            return Difference.identical("auc", label, areas[0], method)
        confidence = self.settings.confidence
        pairs, n_patients = self._pairs(positive)
        if not self.clustered:
            estimate, z, p_value, reason = paired_delong(positive, first, second, pairs, confidence)
            test = Test.NONE if p_value is None else Test.DELONG
            return Difference("auc", label, *areas, estimate, test, z, p_value, reason)
        drawn = np.zeros(0) if drawn is None else drawn
        estimate = bootstrap_difference(
            areas[0] - areas[1], drawn, n_patients, confidence, lambda: _conservative([(areas, pairs)], confidence)
        )
        tested = _bootstrap_test(drawn, n_patients)
        return Difference("auc", label, areas[0], areas[1], estimate, *tested)

    def _macro_auc(self, drawn: dict[str, Floats], of_labels: Mapping[str, Pair]) -> Difference:
        """The difference of the mean over the labels that have both kinds of cases."""
        if not drawn:
            return Difference.undefined("macro_auc", None, "undefined for every label")
        scored = [self._scores(label) for label in drawn]
        areas = [(_defined(auc(up, one)), _defined(auc(up, other))) for up, one, other in scored]
        counted = (of_labels[label]._pairs(up) for label, (up, *_) in zip(drawn, scored, strict=True))
        pairs, patients = zip(*counted, strict=True)
        first, second = (math.fsum(one) / len(areas) for one in zip(*areas, strict=True))
        together = np.mean(list(drawn.values()), axis=0)
        confidence = self.settings.confidence
        parts = list(zip(areas, pairs, strict=True))
        estimate = bootstrap_difference(
            first - second, together, min(patients), confidence, lambda: _conservative(parts, confidence)
        )
        tested = _bootstrap_test(together, min(patients))
        found = Difference("macro_auc", None, first, second, estimate, *tested)
        if all(np.array_equal(one, other) for _, one, other in scored):
            found = Difference.identical("macro_auc", None, first, Method.PATIENT_BOOTSTRAP)
        left_out = [label for label in self.predictions[0].space.scored if label not in drawn]
        if left_out:
            note = f"mean over {len(drawn)} labels, left out: {', '.join(left_out)}"
            found = replace(found, reason=note if found.reason is None else f"{note}; {found.reason}")
        return found

    def _pairs(self, positive: Bools) -> tuple[int, int]:
        """How many disjoint pairs of patients there are, and how many patients of the rarer kind."""
        ups, downs = self.resampling.count(positive), self.resampling.count(~positive)
        both = ups + downs - self.resampling.n_patients
        return max(1, disjoint_pairs(ups - both, downs - both, both)), min(ups, downs)


def _bootstrap_test(drawn: Floats, n_patients: int) -> tuple[Test, float | None, float | None, str | None]:
    p_value, reason = bootstrap_p(drawn, n_patients)
    return Test.NONE if p_value is None else Test.PATIENT_BOOTSTRAP, None, p_value, reason


def _conservative(parts: list[tuple[tuple[float, float], int]], confidence: float) -> Limits:
    """Limits of a mean difference of AUCs: those of all AUCs at a shared error, combined at their worst."""
    shared = 1 - (1 - confidence) / (2 * len(parts))
    limits = [
        difference_of(*(auc_without_resampling(area, pairs, shared)[0] for area in areas)) for areas, pairs in parts
    ]
    low, high = (math.fsum(side) / len(limits) for side in zip(*limits, strict=True))
    return low, high


def _defined(metric: float | Undefined) -> float:
    """A metric that is known to be defined here."""
    if isinstance(metric, Undefined):
        raise ValueError(metric.reason)
    return metric
