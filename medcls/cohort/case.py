"""Case: one row that gets one label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medcls.config.settings import Partition
from medcls.scans import ScanSource


@dataclass(frozen=True)
class Case:
    """One scan and its reference label.

    Attributes:
        name: The case's own name in the user's table; never written out unless asked (see :mod:`medcls.privacy`).
        patient: The patient's identifier; partitions never share one. Empty: taken from the scan's header, else the
            case is its own patient.
        scan: A file, or the folder of a DICOM series, perhaps with ``#`` and which of its scans.
        reference: Indices into the cohort's labels: exactly one, or any number for multi-label.
        partition: Where the case is used; ``None`` until the cohort is split.
        source: The scan found at ``scan``; ``None`` until it is located.
        covariates: Further covariates: from the user's table, then from the scan's header.
        line: The line of the user's table that the case ends at; ``None`` where there is no table.
        names_patient: Whether the table or the header names the patient; else the case stands for one.
        notes: What search, reading and preparing noted of the scan, as ``infer`` gives them: a code of
            :class:`medcls.scans.core.notes.Note` and words, or words alone.
        unknown: Indices of labels of which it is not known whether the case has them; none of them is in ``reference``.
    """

    name: str
    patient: str
    scan: Path
    reference: tuple[int, ...]
    partition: Partition | None = None
    source: ScanSource | None = None
    covariates: Mapping[str, str] = field(default_factory=dict)
    line: int | None = None
    names_patient: bool = True
    notes: tuple[str, ...] = ()
    unknown: tuple[int, ...] = ()

    def left_out(self, code: str, reason: str) -> Exclusion:
        """The case as one that is not used."""
        known = (self.line, self.reference, self.partition, self.scan, self.unknown)
        return Exclusion(self.name, self.patient, code, reason, *known)

    def knows(self, label: int) -> bool:
        """Whether it is known if the case has a label."""
        return label not in self.unknown


@dataclass(frozen=True)
class Exclusion:
    """A case that is not used, and why.

    Attributes:
        name: The case's name.
        patient: The patient's identifier; empty when not known.
        code: A refusal code of the scans, or ``no-label``, ``no-scan``, ``duplicate``.
        reason: The reason in words, without names.
        line: As :attr:`Case.line`.
        reference: As :attr:`Case.reference`, where it is known: a case without a prediction still counts.
        partition: As :attr:`Case.partition`, where it is given.
        scan: As :attr:`Case.scan`, where one is named.
        unknown: As :attr:`Case.unknown`.
    """

    name: str
    patient: str
    code: str
    reason: str
    line: int | None = None
    reference: tuple[int, ...] | None = None
    partition: Partition | None = None
    scan: Path | None = None
    unknown: tuple[int, ...] = ()


def codes_in_words(excluded: Iterable[Exclusion]) -> str:
    """Why cases are left out: ``2 as not-an-image, 1 as several-scans``, the most frequent first."""
    return ", ".join(f"{n} as {code}" for code, n in Counter(one.code for one in excluded).most_common())


def reference_matrix(cases: Sequence[Case | Exclusion], labels: int) -> NDArray[np.bool_]:
    """References as ``(cases, labels)`` booleans; false where :func:`known_matrix` is."""
    reference = np.zeros((len(cases), labels), dtype=np.bool_)
    for row, case in enumerate(cases):
        reference[row, list(case.reference or ())] = True
    return reference


def known_matrix(cases: Sequence[Case | Exclusion], labels: int) -> NDArray[np.bool_]:
    """Whether it is known if a case has a label, as ``(cases, labels)`` booleans."""
    known = np.ones((len(cases), labels), dtype=np.bool_)
    for row, case in enumerate(cases):
        known[row, list(case.unknown) if case.reference is not None else slice(None)] = False
    return known
