"""Decision curve: what a classifier is worth to someone who would act at a given probability.

Vickers and Elkin, Medical Decision Making 2006;26:565. Who acts at a probability of ``t`` accepts (1 - t) / t needless
actions for a needed one. The net benefit counts the needed ones and takes the needless ones off at that rate::

    net benefit = Se p - (1 - Sp) (1 - p) t / (1 - t)

``p`` is the prevalence: the sample's, or a stated one where the sample's was made by design, as in a case-control
study. A classifier is useful at ``t`` when it is worth more than acting on everybody and than acting on nobody (0).
It needs calibrated probabilities: a case is called when ``p >= t``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation.schema_parts import FLAG, NUMBER, SHARE, TEXT_OR_NULL, Schema, closed, listed, or_null, said
from medcls.evaluation.statistics.arrays import Bools, Floats, as_floats, as_pair, ratio
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.statistics.bootstrap_interval import FEWEST_PATIENTS
from medcls.evaluation.statistics.estimate import Undefined, missing_class
from medcls.evaluation.statistics.intervals import expanded_tail
from medcls.evaluation.statistics.patient_bootstrap import replicate_sums, sum_by_patient

THRESHOLDS: Floats = np.linspace(0.01, 0.99, 99)
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit at each threshold; that of acting on nobody is 0 everywhere.

    Attributes:
        prevalence: The one that the curve is for; ``None`` when there is no curve.
        prevalence_stated: It was stated by the caller, not the sample's.
        thresholds: ``(t,)`` rising, each between 0 and 1.
        net_benefit: ``(t,)`` of the classifier, or ``None``.
        low: ``(t,)`` lower pointwise limits, or ``None`` without a band.
        high: ``(t,)`` the upper ones.
        treat_all: ``(t,)`` of acting on everybody, or ``None``.
        confidence: Confidence level at each threshold.
        reason: Why there is no curve or no band, or what a reader must know of the band.
    """

    prevalence: float | None
    prevalence_stated: bool
    thresholds: Floats
    net_benefit: Floats | None
    low: Floats | None
    high: Floats | None
    treat_all: Floats | None
    confidence: float
    reason: str | None

    @property
    def useful(self) -> tuple[tuple[float, float], ...]:
        """The ranges of thresholds (first, last) at which the classifier is worth more than all and than nobody."""
        if self.net_benefit is None or self.treat_all is None:
            return ()
        better = np.concatenate(
            ([False], self.net_benefit > np.maximum(self.treat_all, 0.0) + _ROUNDING, [False])
        ).astype(np.int8)
        firsts, ends = np.flatnonzero(np.diff(better) == 1), np.flatnonzero(np.diff(better) == -1)
        return tuple(
            (float(self.thresholds[first]), float(self.thresholds[end - 1]))
            for first, end in zip(firsts, ends, strict=True)
        )

    def to_json(self) -> dict[str, Any]:
        """The curve as plain JSON, valid under :func:`decision_curve_schema`."""
        arrays = {name: getattr(self, name) for name in ("net_benefit", "low", "high", "treat_all")}
        return {
            "prevalence": self.prevalence,
            "prevalence_stated": self.prevalence_stated,
            "thresholds": self.thresholds.tolist(),
            **{name: None if array is None else array.tolist() for name, array in arrays.items()},
            "useful": [list(one) for one in self.useful],
            "confidence": self.confidence,
            "reason": self.reason,
        }


def decision_curve(
    positive: ArrayLike,
    probabilities: ArrayLike,
    patients: ArrayLike,
    *,
    thresholds: Sequence[float] | Floats | None = None,
    prevalence: float | None = None,
    settings: EvaluationSettings | None = None,
    seed: int = 0,
) -> DecisionCurve:
    """The decision curve with a pointwise band that resamples patients within label.

    Args:
        positive: ``(n,)`` booleans, the reference.
        probabilities: ``(n,)`` calibrated, 0 to 1.
        patients: ``(n,)`` identifiers.
        thresholds: Each between 0 and 1; default 0.01, 0.02, ... 0.99.
        prevalence: A stated one, between 0 and 1, in place of the sample's.
        settings: Confidence level and number of replicates.
        seed: Seed of the bootstrap.

    Raises:
        UsageError: The shapes differ, or a threshold, probability or prevalence is none.
    """
    settings = settings or EvaluationSettings()
    reference, numbers = as_pair(positive, probabilities)
    cuts = np.unique(as_floats(THRESHOLDS if thresholds is None else thresholds, "the thresholds"))
    _check(numbers, cuts, prevalence)
    missing = missing_class(reference)
    if missing is not None:
        return _no_curve(missing, cuts, prevalence, settings.confidence)
    p = float(reference.mean()) if prevalence is None else float(prevalence)
    resampling = PatientResampling.of(patients, reference)
    by_patient = sum_by_patient(resampling, _columns(reference, numbers, cuts))
    observed = _net_benefit(by_patient.sum(axis=0)[None, :], cuts, p)[0]
    low, high, reason = _band(by_patient, resampling, cuts, p, settings, seed, reference)
    return DecisionCurve(
        prevalence=p,
        prevalence_stated=prevalence is not None,
        thresholds=cuts,
        net_benefit=observed,
        low=None if low is None else np.minimum(low, observed),
        high=None if high is None else np.maximum(high, observed),
        treat_all=p - (1 - p) * cuts / (1 - cuts),
        confidence=settings.confidence,
        reason=reason,
    )


def decision_curve_schema() -> Schema:
    """The schema of :meth:`DecisionCurve.to_json`."""
    numbers = or_null(listed(NUMBER))
    return closed(
        {
            "prevalence": or_null(SHARE),
            "prevalence_stated": said(FLAG, "The prevalence was stated; else it is the sample's."),
            "thresholds": listed(SHARE),
            "net_benefit": said(numbers, "Se p - (1 - Sp)(1 - p) t / (1 - t), for each threshold t."),
            "low": said(numbers, "Pointwise lower limits."),
            "high": said(numbers, "Pointwise upper limits."),
            "treat_all": said(numbers, "The same of acting on everybody; of acting on nobody it is 0."),
            "useful": said(listed(listed(SHARE)), "Ranges of thresholds (first, last) at which it beats both."),
            "confidence": SHARE,
            "reason": TEXT_OR_NULL,
        },
        "Decision curve (Vickers and Elkin 2006).",
    )


def _columns(positive: Bools, probabilities: Floats, cuts: Floats) -> Floats:
    """``(n, 2 (t + 1))``: in how many thresholds' reach a case is, one column each, positives first."""
    reach = np.searchsorted(cuts, probabilities, side="right")
    columns = np.zeros((positive.size, 2 * (cuts.size + 1)))
    columns[np.arange(positive.size), reach + np.where(positive, 0, cuts.size + 1)] = 1.0
    return columns


def _net_benefit(sums: Floats, cuts: Floats, prevalence: float) -> Floats:
    """``(b, t)`` from sums of :func:`_columns` ``(b, 2 (t + 1))``; NaN where a replicate has one class only."""
    rates = []
    for half in np.split(sums, 2, axis=1):
        called = np.cumsum(half[:, ::-1], axis=1)[:, ::-1]
        rates.append(ratio(called[:, 1:], called[:, :1]))
    tpr, fpr = rates
    return np.asarray(tpr * prevalence - fpr * (1 - prevalence) * cuts / (1 - cuts))


def _band(
    by_patient: Floats,
    resampling: PatientResampling,
    cuts: Floats,
    prevalence: float,
    settings: EvaluationSettings,
    seed: int,
    positive: Bools,
) -> tuple[Floats | None, Floats | None, str | None]:
    n_patients = min(resampling.count(positive), resampling.count(~positive))
    if n_patients < FEWEST_PATIENTS:
        return None, None, f"too few patients to resample ({n_patients}): no band"
    drawn = _net_benefit(
        replicate_sums(resampling, by_patient, replicates=settings.replicates, seed=seed), cuts, prevalence
    )
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    if 2 * len(drawn) < settings.replicates:
        return None, None, "undefined in most bootstrap replicates: no band"
    tail = expanded_tail(settings.confidence, n_patients)
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    flat = (np.ptp(drawn, axis=0) <= _ROUNDING).any()
    return (
        low,
        high,
        "where all or none are predicted positive the band has no width, which is no certainty" if flat else None,
    )


def _no_curve(missing: Undefined, cuts: Floats, prevalence: float | None, confidence: float) -> DecisionCurve:
    return DecisionCurve(prevalence, prevalence is not None, cuts, None, None, None, None, confidence, missing.reason)


def _check(probabilities: Floats, cuts: Floats, prevalence: float | None) -> None:
    if probabilities.size and not (probabilities.min() >= 0 and probabilities.max() <= 1):
        raise UsageError("a decision curve needs probabilities between 0 and 1")
    if cuts.ndim != 1 or not cuts.size or cuts[0] <= 0 or cuts[-1] >= 1:
        raise UsageError("thresholds of a decision curve are between 0 and 1, and there is at least one")
    if prevalence is not None and not 0 < prevalence < 1:
        raise UsageError("a prevalence is between 0 and 1", remedy="Give a share, such as 0.05 for 5 %")
