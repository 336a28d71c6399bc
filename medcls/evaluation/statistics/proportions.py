"""A share of some cases with its interval, whichever way the cases belong to patients."""

from __future__ import annotations

from medcls.evaluation.statistics.arrays import Bools, Floats
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.statistics.bootstrap_interval import bootstrap_estimate
from medcls.evaluation.statistics.estimate import Estimate, Method
from medcls.evaluation.statistics.intervals import Limits, clopper_pearson, wilson


def estimate_share(
    marked: Bools,
    cases: Bools,
    resampling: PatientResampling,
    replicates: Floats,
    confidence: float,
    undefined: str,
    method: Method = Method.PATIENT_BOOTSTRAP,
) -> Estimate:
    """The share of ``cases`` that are ``marked``.

    Wilson's interval where the cases come from different patients; else the bootstrap by patient, and where that says
    nothing Clopper and Pearson's with a patient as one trial.

    Args:
        marked: ``(n,)``.
        cases: ``(n,)`` the cases that the share is of.
        resampling: Which of the ``n`` cases is whose.
        replicates: ``(b,)`` the share in each replicate, NaN where there are no such cases.
        confidence: Confidence level.
        undefined: The reason to give when there are no such cases.
        method: Which bootstrap the replicates are of.
    """
    n = int(cases.sum())
    if not n:
        return Estimate.undefined(undefined)
    share = float(marked[cases].mean())
    n_patients = resampling.count(cases)
    if n_patients == n:
        return Estimate.around(share, wilson(int(marked[cases].sum()), n, confidence), Method.WILSON)

    def fallback() -> tuple[Limits, Method]:
        return clopper_pearson(share * n_patients, n_patients, confidence), Method.CLOPPER_PEARSON

    return bootstrap_estimate(share, replicates, n_patients, confidence, fallback, (0.0, 1.0), method)
