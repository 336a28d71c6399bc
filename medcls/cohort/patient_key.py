"""A patient as one text: PatientID with the issuer that makes it unique, packed and unpacked here alone."""

from __future__ import annotations

from medcls.privacy import Pseudonyms

_BETWEEN = "\x1f"  # stands in no DICOM text and in no table


def patient_key(identifier: str, issuer: str = "") -> str:
    """The key of a patient: the same number from two hospitals is two patients (PS3.3 C.7.1.1, Issuer of Patient ID)."""
    return f"{issuer}{_BETWEEN}{identifier}" if identifier and issuer else identifier


def patient_pseudonym(key: str, pseudonyms: Pseudonyms) -> str:
    """The pseudonym of a patient: the same that ``infer`` gives a scan with this patient in its header."""
    issuer, _, identifier = key.rpartition(_BETWEEN)
    return pseudonyms.patient(identifier, issuer)
