"""Predictive values at stated prevalences: what a prediction means where the disease is rarer or more common than here.

By Bayes' theorem from sensitivity and specificity, which are taken to be the same there as here: that is so only where
the same kind of patients is seen, in the same stages, with the same scanners (spectrum). At the sample's own
prevalence they equal the shares of the 2x2 table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation.schema_parts import SHARE, Schema, closed, ref, said
from medcls.evaluation.statistics.arrays import Bools, Floats, as_bools, ratio
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.statistics.bootstrap_interval import bootstrap_estimate
from medcls.evaluation.statistics.estimate import Estimate, Method, missing_class
from medcls.evaluation.statistics.intervals import Limits, clopper_pearson
from medcls.evaluation.statistics.patient_bootstrap import replicate_sums, sum_by_patient

SCREENED = 1000
_Formula = Callable[[Floats, Floats, float], Floats]
"""Sensitivities, specificities and a prevalence in, metrics out; NaN where undefined."""


@dataclass(frozen=True)
class PredictiveValues:
    """What predictions mean at one prevalence.

    Attributes:
        prevalence: Share of patients with the label, above 0 and below 1.
        ppv: Share of the cases predicted positive that have the label: Se p / (Se p + (1 - Sp)(1 - p)).
        npv: Share of the cases predicted negative that do not have it: Sp (1 - p) / (Sp (1 - p) + (1 - Se) p).
        number_needed_to_read: How many positive predictions a reader must look at to find one that is right: 1 / PPV.
        calls_per_1000: How many of 1,000 are predicted positive.
        missed_per_1000: How many of 1,000 have the label and are predicted negative.
    """

    prevalence: float
    ppv: Estimate
    npv: Estimate
    number_needed_to_read: Estimate
    calls_per_1000: Estimate
    missed_per_1000: Estimate

    def to_json(self) -> dict[str, Any]:
        """The metrics as plain JSON, valid under :func:`predictive_values_schema`."""
        return {
            "prevalence": self.prevalence,
            "ppv": self.ppv.to_json(),
            "npv": self.npv.to_json(),
            "number_needed_to_read": self.number_needed_to_read.to_json(),
            "calls_per_1000": self.calls_per_1000.to_json(),
            "missed_per_1000": self.missed_per_1000.to_json(),
        }


def ppv_at(sensitivity: Floats, specificity: Floats, prevalence: float) -> Floats:
    """Positive predictive value; NaN where nobody is predicted positive."""
    right = sensitivity * prevalence
    return ratio(right, right + (1 - specificity) * (1 - prevalence))


def npv_at(sensitivity: Floats, specificity: Floats, prevalence: float) -> Floats:
    """Negative predictive value; NaN where everybody is predicted positive."""
    right = specificity * (1 - prevalence)
    return ratio(right, right + (1 - sensitivity) * prevalence)


def predictive_values(
    positive: ArrayLike,
    called: ArrayLike,
    patients: ArrayLike,
    prevalences: Sequence[float],
    settings: EvaluationSettings | None = None,
    seed: int = 0,
) -> tuple[PredictiveValues, ...]:
    """PPV, NPV and the work of reading at each prevalence.

    Intervals resample patients within label, so that sensitivity and specificity vary and the prevalence does not.
    Where that shows no spread (no false positive, say) exact intervals of sensitivity and specificity, each at half
    the error, are combined at their worst.

    Args:
        positive: ``(n,)`` booleans, the reference.
        called: ``(n,)`` booleans, the decisions at the operating point.
        patients: ``(n,)`` identifiers.
        prevalences: Shares, each above 0 and below 1.
        settings: Confidence level and number of replicates.
        seed: Seed of the bootstrap.

    Raises:
        UsageError: The shapes differ, or a prevalence is outside 0 to 1.
    """
    settings = settings or EvaluationSettings()
    if not all(0 < prevalence < 1 for prevalence in prevalences):
        raise UsageError("a prevalence is between 0 and 1", remedy="Give shares, such as 0.05 for 5 %")
    reference, decided = as_bools(positive, "the reference"), as_bools(called, "the decisions")
    if reference.ndim != 1 or reference.shape != decided.shape:
        raise UsageError(f"the reference has shape {reference.shape} and the decisions have {decided.shape}")
    missing = missing_class(reference)
    if missing is not None:
        nothing = Estimate.undefined(missing.reason)
        return tuple(PredictiveValues(prevalence, *[nothing] * 5) for prevalence in prevalences)
    rates = _Rates.of(reference, decided, PatientResampling.of(patients, reference), settings, seed)
    return tuple(_at(rates, prevalence) for prevalence in prevalences)


def predictive_values_schema() -> Schema:
    """The schema of :meth:`PredictiveValues.to_json`; an ``estimate`` is looked for under ``$defs``."""
    return closed(
        {
            "prevalence": SHARE,
            "ppv": said(
                ref("estimate"), "Share of the cases predicted positive that have the label, at this prevalence."
            ),
            "npv": said(
                ref("estimate"), "Share of the cases predicted negative that do not have the label, at this prevalence."
            ),
            "number_needed_to_read": said(
                ref("estimate"), "Positive predictions to read to find one that is right: 1 / PPV."
            ),
            "calls_per_1000": said(ref("estimate"), "Predicted positive among 1,000 at this prevalence."),
            "missed_per_1000": said(ref("estimate"), "False negatives among 1,000 at this prevalence."),
        },
        "What a prediction means at a stated prevalence, by Bayes' theorem.",
    )


@dataclass(frozen=True, eq=False)
class _Rates:
    """Sensitivity and specificity: as observed, in replicates ``(b,)``, and in exact limits at half the error."""

    observed: tuple[Floats, Floats]
    replicates: tuple[Floats, Floats]
    exact: tuple[Limits, Limits]
    n_patients: int
    confidence: float

    @classmethod
    def of(
        cls, positive: Bools, called: Bools, resampling: PatientResampling, settings: EvaluationSettings, seed: int
    ) -> _Rates:
        cells = np.stack((positive & called, positive, ~positive & ~called, ~positive), axis=1).astype(np.float64)
        by_patient = sum_by_patient(resampling, cells)
        tp, ups, tn, downs = replicate_sums(resampling, by_patient, replicates=settings.replicates, seed=seed).T
        observed = np.float64(called[positive].mean()), np.float64((~called[~positive]).mean())
        sizes = resampling.count(positive), resampling.count(~positive)
        shared = 1 - (1 - settings.confidence) / 2
        exact = [clopper_pearson(float(rate) * n, n, shared) for rate, n in zip(observed, sizes, strict=True)]
        return cls(
            observed=(np.asarray(observed[0]), np.asarray(observed[1])),
            replicates=(ratio(tp, ups), ratio(tn, downs)),
            exact=(exact[0], exact[1]),
            n_patients=min(sizes),
            confidence=settings.confidence,
        )

    def estimate(self, formula: _Formula, prevalence: float, *, falls: bool = False, undefined: str = "") -> Estimate:
        """A metric that never falls with sensitivity, and falls with specificity or never does."""
        value = float(formula(*self.observed, prevalence))
        if np.isnan(value):
            return Estimate.undefined(undefined)

        def fallback() -> tuple[Limits, Method]:
            (low_se, high_se), (low_sp, high_sp) = self.exact
            corners = ((low_se, high_sp), (high_se, low_sp)) if falls else ((low_se, low_sp), (high_se, high_sp))
            low, high = (float(formula(np.asarray(se), np.asarray(sp), prevalence)) for se, sp in corners)
            return (low, high), Method.BONFERRONI

        drawn = formula(*self.replicates, prevalence)
        if self.stuck:
            drawn = np.full_like(drawn, value)
        return bootstrap_estimate(value, drawn, self.n_patients, self.confidence, fallback)

    @property
    def stuck(self) -> bool:
        """Resampling never moves a rate of 0 or 1, however little is known of it."""
        return any(float(rate) in (0.0, 1.0) for rate in self.observed)


def _at(rates: _Rates, prevalence: float) -> PredictiveValues:
    ppv = rates.estimate(ppv_at, prevalence, undefined="no case is predicted positive")
    missed = rates.estimate(_found, prevalence)
    most = SCREENED * prevalence
    return PredictiveValues(
        prevalence=prevalence,
        ppv=ppv,
        npv=rates.estimate(npv_at, prevalence, undefined="every case is predicted positive"),
        number_needed_to_read=_inverse(ppv),
        calls_per_1000=rates.estimate(_calls, prevalence, falls=True),
        missed_per_1000=_from(most, missed),
    )


def _calls(sensitivity: Floats, specificity: Floats, prevalence: float) -> Floats:
    return np.asarray(SCREENED * (sensitivity * prevalence + (1 - specificity) * (1 - prevalence)))


def _found(sensitivity: Floats, specificity: Floats, prevalence: float) -> Floats:
    return np.asarray(SCREENED * sensitivity * prevalence)


def _inverse(ppv: Estimate) -> Estimate:
    """1 / PPV; percentiles of a falling function are the function of the percentiles, the other way round."""
    if ppv.value is None or ppv.low is None or ppv.high is None:
        return ppv
    if not ppv.value:
        return Estimate.undefined("no positive prediction is right")
    if not ppv.low:
        return Estimate.undefined(f"the PPV may be 0, so that {1 / ppv.value:.3g} would stand without an upper limit")
    return Estimate(1 / ppv.value, 1 / ppv.high, 1 / ppv.low, ppv.method, ppv.reason)


def _from(most: float, found: Estimate) -> Estimate:
    """What is left of ``most``: for the missed, from the found."""
    if found.value is None or found.low is None or found.high is None:
        return found
    return Estimate(most - found.value, most - found.high, most - found.low, found.method, found.reason)
