"""The bootstrap by patient, stratified by label, for thousands of replicates at once.

A replicate draws patients with replacement within strata; a patient drawn twice brings all cases twice. So a
replicate is a vector of whole-number weights, one for each patient, and every metric is a function of weights: scores
are sorted once, and replicates only add up (Efron and Tibshirani, An Introduction to the Bootstrap, 1993; for
clusters: Field and Welsh, J R Stat Soc B 2007;69:369).

**Strata.** A patient belongs to the rarest label among those of the patient's cases: rarest by number of patients,
earlier column at a tie; patients without any label (multi-label) are a stratum too. With one label for each patient
this is stratification by label; with mixed patients it keeps the rarest label in every replicate. Stratified replicates
keep the mix of labels, so intervals of metrics that depend on it (PPV, NPV, accuracy, Brier's score) hold for this mix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medcls.errors import UsageError
from medcls.evaluation.statistics.arrays import Bools, Floats, Indices, as_bools
from medcls.evaluation.statistics.intervals import expanded_tail

_CHUNK = 1 << 18  # weights held at once: 2 MiB, about what stays near a core
Statistic = Callable[[Floats], Floats]
"""Weights ``(b, patients)`` in, values ``(b,)`` or ``(b, k)`` out."""


@dataclass(frozen=True, eq=False)
class PatientResampling:
    """Which case is whose, and who is drawn with whom.

    Attributes:
        patient: ``(n,)`` index of each case's patient.
        strata: For each stratum, the indices of its patients.
        n_patients: How many patients there are.
    """

    patient: Indices
    strata: tuple[Indices, ...]
    n_patients: int

    @classmethod
    def of(cls, patients: ArrayLike, reference: ArrayLike) -> PatientResampling:
        """Group cases by patient, and patients by label.

        Args:
            patients: ``(n,)`` identifiers.
            reference: ``(n,)`` or ``(n, labels)`` booleans; one column is a positive label against the rest.

        Raises:
            UsageError: The lengths differ.
        """
        truth = as_bools(reference, "the reference")
        truth = np.stack((~truth, truth), axis=1) if truth.ndim == 1 else truth
        names = np.asarray(patients)
        if names.ndim != 1 or truth.ndim != 2 or len(names) != len(truth):
            raise UsageError(f"{names.shape} patients do not fit a reference of shape {truth.shape}")
        found, patient = np.unique(names, return_inverse=True)
        stratum = _rarest_label(truth, patient, found.size)
        strata = tuple(np.flatnonzero(stratum == label) for label in np.unique(stratum))
        return cls(patient.astype(np.intp), strata, found.size)

    def weights(self, replicates: int, seed: int) -> Iterator[Floats]:
        """How often each patient is drawn, in chunks of ``(b, patients)``; the same whatever the chunk.

        Memory is bounded by the chunk, not by ``replicates``.
        """
        generators = np.random.default_rng(seed).spawn(len(self.strata))
        rows = max(1, min(replicates, _CHUNK // max(1, self.n_patients, self.patient.size)))
        for start in range(0, replicates, rows):
            chunk = np.zeros((min(rows, replicates - start), self.n_patients))
            for stratum, generator in zip(self.strata, generators, strict=True):
                chunk[:, stratum] = _times_drawn(generator, len(chunk), stratum.size)
            yield chunk

    def replicate(self, statistics: Sequence[Statistic], *, replicates: int, seed: int) -> list[Floats]:
        """Each statistic ``(replicates,)`` or ``(replicates, k)``, all on the same draws."""
        chunks = [[statistic(weights) for statistic in statistics] for weights in self.weights(replicates, seed)]
        return [np.concatenate(parts) for parts in zip(*chunks, strict=True)]

    @cached_property
    def unstratified(self) -> PatientResampling:
        """The same patients, drawn from all of them."""
        return replace(self, strata=(np.arange(self.n_patients),) if self.n_patients else ())

    def within(self, cases: Bools) -> PatientResampling:
        """The same draws of the same patients, for the statistics of some of their cases ``(n,)``."""
        return self if cases.all() else replace(self, patient=self.patient[cases])

    def count(self, cases: Bools) -> int:
        """How many patients have one of the cases that ``cases`` ``(n,)`` marks."""
        return int(np.unique(self.patient[cases]).size)

    def sums(self, columns: Floats) -> Statistic:
        """The statistic 'weighted sum over cases' of each column of ``(n, k)``."""
        by_patient = np.zeros((self.n_patients, columns.shape[1]))
        np.add.at(by_patient, self.patient, columns)

        def weighted_sums(weights: Floats) -> Floats:
            return np.asarray(weights @ by_patient)

        return weighted_sums


def percentiles(replicates: Floats, confidence: float, n_patients: int | None = None) -> tuple[float, float]:
    """The percentile interval of ``(b,)`` replicates, which must all be defined.

    Args:
        replicates: The metric on each replicate.
        confidence: Confidence level.
        n_patients: How many patients the spread rests on; when given, the interval is expanded as by
            :func:`medcls.evaluation.statistics.intervals.expanded_tail`.
    """
    tail = (1 - confidence) / 2 if n_patients is None else expanded_tail(confidence, n_patients)
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return float(low), float(high)


def _times_drawn(generator: np.random.Generator, rows: int, size: int) -> NDArray[np.intp]:
    """How often each of ``size`` is drawn in ``size`` draws with replacement, ``(rows, size)``."""
    drawn = generator.integers(0, size, size=(rows, size))
    drawn += np.arange(rows)[:, None] * size
    return np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)


def _rarest_label(reference: Bools, patient: Indices, n_patients: int) -> Indices:
    labels = reference.shape[1]
    has = np.zeros((n_patients, labels), dtype=np.bool_)
    np.logical_or.at(has, patient, reference)
    rarity = np.empty(labels, dtype=np.intp)
    rarity[np.argsort(has.sum(axis=0), kind="stable")] = np.arange(labels)
    return np.asarray(np.where(has, rarity, labels).min(axis=1, initial=labels), dtype=np.intp)
