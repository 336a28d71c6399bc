"""Refer: what is gained when the least certain cases go to a reader, and the classifier keeps the rest.

The risk-coverage curve (El-Yaniv and Wiener, JMLR 2010;11:1605) gives for each coverage, the share of cases that are
kept, the risk: the share of kept cases that are decided wrongly. Cases of equal certainty are kept or referred
together. AURC, the area under the curve (Geifman and El-Yaniv, ICLR 2019), is the mean risk over coverages: equal to
the risk without referral when certainty says nothing of being right, and least when all wrong cases go first.

Nothing is chosen here. Who wants to use a limit of certainty takes it from tune, and reads here what it did.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medcls.config.settings import EvaluationSettings
from medcls.evaluation.clinical.risk_coverage import area, best_area, groups_of, risk_coverage, sums_by_level
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.schema_parts import (
    COUNT,
    SHARE,
    TEXT,
    TEXT_OR_NULL,
    Schema,
    by_name,
    closed,
    listed,
    or_null,
    ref,
    said,
)
from medcls.evaluation.statistics.arrays import Bools, Floats, Indices, ratio
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.statistics.bootstrap_interval import FEWEST_PATIENTS, bootstrap_estimate
from medcls.evaluation.statistics.estimate import Estimate, Method
from medcls.evaluation.statistics.intervals import Limits, clopper_pearson, expanded_tail
from medcls.evaluation.statistics.patient_bootstrap import replicate_sums, sum_by_patient
from medcls.evaluation.statistics.proportions import estimate_share
from medcls.evaluation.thresholds.confidence import certainty, certainty_rule, check_same_labels, decided_wrongly
from medcls.evaluation.thresholds.operating_point import OperatingPoint

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)


@dataclass(frozen=True)
class SelectivePoint:
    """What the classifier does on the cases that it keeps.

    Attributes:
        coverage: Share of cases kept.
        least_certainty: Cases of at least this certainty are kept.
        n_kept: How many.
        n_referred: How many go to a reader.
        risk: Share of the kept that are decided wrongly.
        per_label: Sensitivity and specificity among the kept, for each label with metrics of its own.
    """

    coverage: float
    least_certainty: float
    n_kept: int
    n_referred: int
    risk: Estimate
    per_label: Mapping[str, Mapping[str, Estimate]]

    def to_json(self) -> dict[str, Any]:
        """The point as plain JSON."""
        estimates = {
            label: {name: estimate.to_json() for name, estimate in both.items()}
            for label, both in self.per_label.items()
        }
        return {
            "coverage": self.coverage,
            "least_certainty": self.least_certainty,
            "n_kept": self.n_kept,
            "n_referred": self.n_referred,
            "risk": self.risk.to_json(),
            "per_label": estimates,
        }


@dataclass(frozen=True, eq=False)
class SelectiveCurve:
    """The risk-coverage curve.

    Attributes:
        certainty: How certainty is measured.
        coverage: ``(k,)`` rising to 1, at most 100 points.
        risk: ``(k,)``.
        low: ``(k,)`` lower pointwise limits of the risk; ``None`` without a band.
        high: ``(k,)`` the upper ones.
        aurc: Area under the curve, over every level of certainty.
        best_aurc: What it would be if all wrong cases were the least certain ones; ``None`` without cases.
        points: At coverages of about 1, 0.95, 0.9, 0.8, 0.7, 0.6 and 0.5.
        reason: Why there is no curve or no band.
    """

    certainty: str
    coverage: Floats
    risk: Floats
    low: Floats | None
    high: Floats | None
    aurc: Estimate
    best_aurc: float | None
    points: tuple[SelectivePoint, ...]
    reason: str | None

    def starting_from(self, rates: Mapping[str, Mapping[str, Estimate]], accuracy: Estimate | None) -> SelectiveCurve:
        """The same with the metrics of all cases as they stand elsewhere: one metric has one interval.

        Args:
            rates: Sensitivity and specificity on all cases, by label.
            accuracy: On all cases; ``None`` where there is none that a case's decision is right or wrong in.
        """
        if not self.points or self.points[0].n_referred:
            return self
        whole = replace(self.points[0], per_label=rates)
        whole = whole if accuracy is None else replace(whole, risk=accuracy.complement)
        return replace(self, points=(whole, *self.points[1:]))

    def to_json(self) -> dict[str, Any]:
        """The curve as plain JSON, valid under :func:`selective_schema`."""
        return {
            "certainty": self.certainty,
            "coverage": self.coverage.tolist(),
            "risk": self.risk.tolist(),
            "low": None if self.low is None else self.low.tolist(),
            "high": None if self.high is None else self.high.tolist(),
            "aurc": self.aurc.to_json(),
            "best_aurc": self.best_aurc,
            "points": [point.to_json() for point in self.points],
            "reason": self.reason,
        }


def selective_curve(
    predictions: Predictions,
    operating_point: OperatingPoint,
    settings: EvaluationSettings | None = None,
    seed: int = 0,
) -> SelectiveCurve:
    """The risk at every coverage, with a pointwise band that resamples patients.

    Args:
        predictions: The cases, with calibrated probabilities.
        operating_point: Chosen elsewhere.
        settings: Confidence level and number of replicates.
        seed: Seed of the bootstrap.

    Raises:
        UsageError: The operating point is for other labels.
    """
    check_same_labels(predictions, operating_point)
    settings = settings or EvaluationSettings()
    rule = certainty_rule(operating_point)
    if not predictions.n_cases:
        nothing = "there are no cases"
        empty = np.zeros(0)
        return SelectiveCurve(rule, empty, empty, None, None, Estimate.undefined(nothing), None, (), nothing)
    cases = _Cases.of(predictions, operating_point)
    kept = cases.kept_at(COVERAGES)
    by_patient = sum_by_patient(cases.resampling, np.concatenate((cases.curve_columns(), cases.columns(kept)), axis=1))
    drawn = replicate_sums(cases.resampling, by_patient, replicates=settings.replicates, seed=seed)
    width = 2 * cases.n_groups
    coverage, risk = risk_coverage(by_patient[:, :width].sum(axis=0)[None, :])
    drawn_coverage, drawn_risk = risk_coverage(drawn[:, :width])
    exact = area(*risk_coverage(sums_by_level(cases.certainty, cases.wrong)))
    # Replicates use at most 100 levels: what that changes is taken off again.
    drawn_aurc = area(drawn_coverage, drawn_risk) + exact - area(coverage, risk)
    low, high, reason = _band(drawn_risk, risk[0], cases.resampling.n_patients, settings.confidence)
    return SelectiveCurve(
        certainty=rule,
        coverage=coverage[0],
        risk=risk[0],
        low=low,
        high=high,
        aurc=_aurc(float(exact[0]), drawn_aurc, cases, settings.confidence),
        best_aurc=best_area(int(cases.wrong.sum()), cases.wrong.size),
        points=tuple(cases.points(kept, drawn[:, width:], settings.confidence)),
        reason=reason,
    )


def selective_schema() -> Schema:
    """The schema of :meth:`SelectiveCurve.to_json`; an ``estimate`` is looked for under ``$defs``."""
    point = closed(
        {
            "coverage": said(SHARE, "Share of cases kept."),
            "least_certainty": SHARE,
            "n_kept": COUNT,
            "n_referred": COUNT,
            "risk": ref("estimate"),
            "per_label": by_name(closed({"sensitivity": ref("estimate"), "specificity": ref("estimate")})),
        }
    )
    shares = listed(SHARE)
    return closed(
        {
            "certainty": said(TEXT, "How certainty is measured."),
            "coverage": shares,
            "risk": said(shares, "Share of the kept cases that are decided wrongly."),
            "low": said(or_null(shares), "Pointwise lower limits of the risk."),
            "high": said(or_null(shares), "Pointwise upper limits of the risk."),
            "aurc": said(ref("estimate"), "Area under the risk-coverage curve."),
            "best_aurc": said(or_null(SHARE), "If all wrong cases were the least certain ones."),
            "points": listed(point),
            "reason": TEXT_OR_NULL,
        },
        "What is gained when the least certain cases are referred to a reader.",
    )


@dataclass(frozen=True, eq=False)
class _Cases:
    """The cases in the order of certainty: ``group`` 0 holds the most certain ones."""

    predictions: Predictions
    called: Bools
    certainty: Floats
    wrong: Bools
    group: Indices
    resampling: PatientResampling

    @classmethod
    def of(cls, predictions: Predictions, point: OperatingPoint) -> _Cases:
        called, certain = point.decide(predictions.probabilities), certainty(predictions, point)
        wrong = decided_wrongly(predictions, called)
        resampling = predictions.resampling
        return cls(predictions, called, certain, wrong, groups_of(certain), resampling)

    @property
    def n_groups(self) -> int:
        return int(self.group.max()) + 1

    def curve_columns(self) -> Floats:
        """``(n, 2 k)``: which group a case is in, then the same for the wrong ones."""
        columns = np.zeros((self.group.size, 2 * self.n_groups))
        columns[np.arange(self.group.size), self.group] = 1.0
        columns[self.wrong, self.n_groups + self.group[self.wrong]] = 1.0
        return columns

    def kept_at(self, coverages: tuple[float, ...]) -> list[Bools]:
        """Which cases are kept at each coverage, or at the next greater one that ties allow; no choice twice."""
        falling = np.sort(self.certainty)[::-1]
        places = [max(0, int(np.ceil(coverage * falling.size - 1e-9)) - 1) for coverage in coverages]
        return [self.certainty >= least for least in dict.fromkeys(falling[places].tolist())]

    def shares(self, kept: Bools) -> list[tuple[Bools, Bools]]:
        """What is counted among the kept, and of which of them: wrong ones, then each label's two rates."""
        counted = [(self.wrong & kept, kept)]
        for one in self.predictions.columns():
            positive, called = self.predictions.reference[:, one.column], self.called[:, one.column]
            ups, downs = positive & kept, ~positive & one.known & kept
            counted += [(ups & called, ups), (downs & ~called, downs)]
        return counted

    def columns(self, kept: list[Bools]) -> Floats:
        """Every share's numerator and denominator, ``(n, 2 * shares * points)``."""
        return np.stack([one for mask in kept for both in self.shares(mask) for one in both], axis=1).astype(np.float64)

    def points(self, kept: list[Bools], drawn: Floats, confidence: float) -> list[SelectivePoint]:
        """The points from replicates ``(b, 2 * shares * points)`` of :meth:`columns`."""
        n, labels, made = self.group.size, self.predictions.space.scored, []
        reasons = ["", *["no kept case has the label", "every kept case has the label"] * len(labels)]
        parts = np.split(drawn, len(kept), axis=1)
        for mask, part in zip(kept, parts, strict=True):
            estimates = [
                estimate_share(
                    *both, self.resampling, ratio(part[:, 2 * i], part[:, 2 * i + 1]), confidence, reasons[i]
                )
                for i, both in enumerate(self.shares(mask))
            ]
            rates = zip(labels, estimates[1::2], estimates[2::2], strict=True)
            n_kept = int(mask.sum())
            made.append(
                SelectivePoint(
                    coverage=n_kept / n,
                    least_certainty=float(self.certainty[mask].min()),
                    n_kept=n_kept,
                    n_referred=n - n_kept,
                    risk=estimates[0],
                    per_label={label: {"sensitivity": se, "specificity": sp} for label, se, sp in rates},
                )
            )
        return made


def _band(
    drawn: Floats, observed: Floats, n_patients: int, confidence: float
) -> tuple[Floats | None, Floats | None, str | None]:
    if n_patients < FEWEST_PATIENTS:
        return None, None, f"too few patients to resample ({n_patients}): no band"
    tail = expanded_tail(confidence, n_patients)
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return np.minimum(low, observed), np.maximum(high, observed), None


def _aurc(value: float, drawn: Floats, cases: _Cases, confidence: float) -> Estimate:
    n = cases.resampling.n_patients

    def fallback() -> tuple[Limits, Method]:
        """The least and the greatest area that any order of certainty could give at exact limits of the risk."""
        low, high = clopper_pearson(float(cases.wrong.mean()) * n, n, confidence)
        least = low + (1 - low) * math.log1p(-low) if low < 1 else 1.0
        return (least, high - high * math.log(high)), Method.CLOPPER_PEARSON

    return bootstrap_estimate(value, drawn.clip(0.0, 1.0), n, confidence, fallback)
