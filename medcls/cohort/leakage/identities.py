"""One patient under two identifiers: what the headers and the pixels say against the table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medcls.cohort.case import Case
from medcls.cohort.patient_key import header_patient

MEANINGS: Mapping[str, str] = {
    "header": "one PatientID and issuer in the header under several patients of the table",
    "study": "one study under several patients",
    "pixels": "identical images under several patients",
}
_FEW = 3  # patients of the table that one true PatientID may stand for; many share a placeholder such as ANON
_SHARE = 0.05


@dataclass(frozen=True)
class SharedIdentity:
    """Cases of several patients that seem to be one.

    Attributes:
        kind: One of :data:`MEANINGS`.
        cases: The cases.
    """

    kind: str
    cases: tuple[Case, ...]


def find_shared_identities(cases: Sequence[Case], content: Mapping[str, str]) -> tuple[SharedIdentity, ...]:
    """Groups of cases whose header, study or pixels are one patient's and whose patients differ.

    A PatientID under more than three patients and more than a twentieth of them is a placeholder, and is not used. A case
    whose patient is not known (it counts as its own) is no second patient.

    Args:
        cases: The cases.
        content: Case name to a digest of its scan's voxels.
    """
    groups: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in cases:
        if case.patient == case.name:
            continue
        for key in _keys(case, content):
            groups[key].append(case)
    most = max(_FEW, _SHARE * len({case.patient for case in cases}))
    found: dict[frozenset[str], SharedIdentity] = {}
    for (kind, _), members in groups.items():
        patients = len({_patient(case, kind) for case in members})
        if patients > 1 and not (kind == "header" and patients > most):
            names = frozenset(case.name for case in members)
            found.setdefault(names, SharedIdentity(kind, tuple(members)))
    return tuple(sorted(found.values(), key=lambda one: list(MEANINGS).index(one.kind)))


def _keys(case: Case, content: Mapping[str, str]) -> list[tuple[str, str]]:
    header, study = (header_patient(case.source), case.source.study_uid) if case.source else ("", "")
    keys = [("header", header), ("study", study), ("pixels", content.get(case.name, ""))]
    return [key for key in keys if key[1]]


def _patient(case: Case, kind: str) -> str:
    """Whose a case is: for one study, the header's word counts too, because the table may name both alike."""
    header = case.source.patient_id if case.source else ""
    return f"{case.patient}\x1e{header}" if kind == "study" else case.patient
