"""A patient as one text: PatientID with the issuer that makes it unique, packed and unpacked here alone."""

from __future__ import annotations

from medcls.privacy import Pseudonyms
from medcls.scans import ScanSource
from medcls.tables.table import folded
from medcls.tables.words import says_nothing

_BETWEEN = "\x1f"  # stands in no DICOM text and in no table

_PLACEHOLDERS = frozenset(
    {"anon", "anonym", "anonyme", "anonymous", "anonymized", "anonymised", "anonymisiert", "anonymizedpatient"}
    | {"deidentified", "removed", "redacted", "deleted", "hidden", "patient", "patientid", "noid", "noname", "dummy"}
)
"""What programs write into PatientID when they take the patient out, without blanks and signs."""


def header_patient(source: ScanSource) -> str:
    """The key of the patient that a scan's header names; empty where it names none, or has a placeholder for one."""
    identifier = source.patient_id
    return "" if is_placeholder(identifier) else patient_key(identifier, source.identity.get("issuer", ""))


def is_placeholder(identifier: str) -> bool:
    """Whether a PatientID stands for no patient: ANONYMOUS, UNKNOWN, NA, zeros. Scans that share it are not one patient's."""
    plain = "".join(sign for sign in folded(identifier) if sign.isalnum())
    return bool(identifier) and (says_nothing(identifier) or plain in _PLACEHOLDERS or set(plain) in ({"0"}, {"x"}))


def patient_key(identifier: str, issuer: str = "") -> str:
    """The key of a patient: the same number from two hospitals is two patients (PS3.3 C.7.1.1, Issuer of Patient ID)."""
    return f"{issuer}{_BETWEEN}{identifier}" if identifier and issuer else identifier


def patient_pseudonym(key: str, pseudonyms: Pseudonyms) -> str:
    """The pseudonym of a patient: the same that ``infer`` gives a scan with this patient in its header."""
    issuer, _, identifier = key.rpartition(_BETWEEN)
    return pseudonyms.patient(identifier, issuer)
