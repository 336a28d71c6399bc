"""A patient as one text: PatientID with the issuer that makes it unique, packed and unpacked here alone."""

from __future__ import annotations

from medcls.privacy import Pseudonyms
from medcls.scans import ScanSource
from medcls.tables.words import is_placeholder

_BETWEEN = "\x1f"  # stands in no DICOM text and in no table


def header_patient(source: ScanSource) -> str:
    """The key of the patient that a scan's header names; empty where it names none, or has a placeholder for one."""
    identifier = source.patient_id
    return "" if is_placeholder(identifier) else patient_key(identifier, source.identity.get("issuer", ""))


def patient_key(identifier: str, issuer: str = "") -> str:
    """The key of a patient: the same number from two hospitals is two patients (PS3.3 C.7.1.1, Issuer of Patient ID)."""
    return f"{issuer}{_BETWEEN}{identifier}" if identifier and issuer else identifier


def patient_pseudonym(key: str, pseudonyms: Pseudonyms) -> str:
    """The pseudonym of a patient: the same that ``infer`` gives a scan with this patient in its header."""
    issuer, _, identifier = key.rpartition(_BETWEEN)
    return pseudonyms.patient(identifier, issuer)


def identifier_of(key: str) -> str:
    """The patient's identifier without its issuer."""
    return key.rpartition(_BETWEEN)[2]
