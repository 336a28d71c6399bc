"""Bootstrap replicates of sums over patients, with patients of equal contributions drawn together.

A sum over cases depends on a patient only through the patient's own sum. Patients of one stratum whose sums are equal
are interchangeable, so how often each *kind* of patient is drawn is multinomial: drawing kinds gives the same
distribution as :meth:`medcls.evaluation.statistics.bootstrap.PatientResampling.replicate`, and where cases are counted there
are few kinds, whatever the number of patients.
"""

from __future__ import annotations

import numpy as np

from medcls.evaluation.statistics.arrays import Floats, Indices
from medcls.evaluation.statistics.bootstrap import PatientResampling

_PATIENTS_A_KIND = 8  # with fewer, drawing the patients themselves costs no more
_CHUNK = 1 << 20


def sum_by_patient(resampling: PatientResampling, columns: Floats) -> Floats:
    """Sums over each patient's cases, ``(patients, k)``, of ``columns`` ``(n, k)``."""
    if resampling.n_patients == len(columns):
        sums = np.empty((resampling.n_patients, columns.shape[1]))
        sums[resampling.patient] = columns
        return sums
    sums = np.zeros((resampling.n_patients, columns.shape[1]))
    np.add.at(sums, resampling.patient, columns)
    return sums


def replicate_sums(resampling: PatientResampling, by_patient: Floats, *, replicates: int, seed: int) -> Floats:
    """Sums over all patients drawn, ``(replicates, k)``, of ``by_patient`` ``(patients, k)``.

    Args:
        resampling: Which patients are drawn with whom.
        by_patient: What each patient adds, in the order of the resampling's patients.
        replicates: How many.
        seed: Of the draws.
    """
    kinds = [_kinds(by_patient[stratum]) for stratum in resampling.strata]
    n_kinds = sum(len(rows) for rows, _ in kinds)
    if n_kinds * _PATIENTS_A_KIND > resampling.n_patients:
        chunks = [weights @ by_patient for weights in resampling.weights(replicates, seed)]
        return np.concatenate(chunks) if chunks else np.zeros((0, by_patient.shape[1]))
    generator = np.random.default_rng(seed)
    total = np.zeros((replicates, by_patient.shape[1]))
    rows_at_once = max(1, _CHUNK // max(1, n_kinds))
    for start in range(0, replicates, rows_at_once):
        part = total[start : start + rows_at_once]
        for rows, counts in kinds:
            drawn = generator.multinomial(counts.sum(), counts / counts.sum(), size=len(part))
            part += drawn.astype(np.float64) @ rows
    return total


def _kinds(rows: Floats) -> tuple[Floats, Indices]:
    """The different rows and how often each occurs; compared as bytes, which is quick for long rows."""
    whole = np.ascontiguousarray(rows + 0.0)  # -0.0 becomes 0.0
    if not whole.shape[1]:
        return np.zeros((1, 0)), np.array([len(rows)])
    keys = whole.view(np.dtype((np.void, whole.dtype.itemsize * whole.shape[1]))).ravel()
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    return whole[first], counts
