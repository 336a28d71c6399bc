"""Header attributes that name nobody, and identifiers, kept apart (Patient, Study, Equipment modules, PS3.3 C.7)."""

from __future__ import annotations

import re

from medcls.scans.dicom.frames.presentation import presentation_attributes
from medcls.scans.dicom.parse import text as t
from medcls.scans.dicom.parse.elements import Elements
from medcls.scans.dicom.values.suv import uptake_attributes

_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}

_PLAIN = {
    "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName",
    "body_part": "BodyPartExamined",
    "view": "ViewPosition",
    "patient_position": "PatientPosition",
    "units": "RescaleType",
}
_NUMERIC = {"field_strength": "MagneticFieldStrength", "slice_thickness": "SliceThickness"}


def attributes_of(dataset: t.Attributes) -> dict[str, str]:
    """Sex, age in years, scanner, kernel, year and the like, of PET how it becomes SUV; only what the header has."""
    attributes = {name: t.text(dataset, keyword) for name, keyword in _PLAIN.items()}
    attributes["sex"] = _sex(t.text(dataset, "PatientSex"))
    attributes["age"] = age_in_years(t.text(dataset, "PatientAge"))
    for name, keyword in _NUMERIC.items():
        found = t.number(dataset, keyword)
        attributes[name] = "" if found is None else f"{found:g}"
    attributes["kernel"] = t.text(dataset, "ConvolutionKernel").replace("\\", " ")
    attributes["laterality"] = t.text(dataset, "ImageLaterality") or t.text(dataset, "Laterality")
    attributes["year"] = _year(dataset)
    spacing = t.numbers(dataset, "PixelSpacing", 2) or t.numbers(dataset, "ImagerPixelSpacing", 2)
    attributes["pixel_spacing"] = f"{spacing[0]:g} {spacing[1]:g}" if spacing else ""
    burned = t.text(dataset, "BurnedInAnnotation").upper()
    attributes["burned_in"] = {"YES": "yes", "NO": "no"}.get(burned, "")
    attributes |= presentation_attributes(dataset)
    attributes["bit_depth"] = t.text(dataset, "BitsStored") or t.text(dataset, "BitsAllocated")
    attributes["lossy"] = {"00": "no", "01": "yes"}.get(t.text(dataset, "LossyImageCompression"), "")
    if t.text(dataset, "Modality").upper() == "PT" and not isinstance(dataset, Elements):
        attributes |= uptake_attributes(dataset)
    return {name: value for name, value in attributes.items() if value}


def identity_of(dataset: t.Attributes) -> dict[str, str]:
    """Identifiers of patient, order, study and series, and the institution; the patient's name, to mask it in paths."""
    identity = {
        "patient_id": t.text(dataset, "PatientID"),
        "issuer": t.text(dataset, "IssuerOfPatientID"),
        "patient_name": t.text(dataset, "PatientName"),
        "accession": t.text(dataset, "AccessionNumber"),
        "study_uid": t.text(dataset, "StudyInstanceUID"),
        "series_uid": t.text(dataset, "SeriesInstanceUID"),
        "institution": t.text(dataset, "InstitutionName"),
    }
    return {name: value for name, value in identity.items() if value}


def identity_of_instance(dataset: t.Attributes) -> dict[str, str]:
    """:func:`identity_of`, and which instance it is: of a file that stands alone."""
    uid = t.text(dataset, "SOPInstanceUID")
    return identity_of(dataset) | ({"sop_uids": uid} if uid else {})


def age_in_years(age: str) -> str:
    """PatientAge (VR AS, PS3.5 6.2: ``036M``, ``064Y``) in years; empty when it is not one."""
    match = re.fullmatch(r"\s*(\d{1,3})\s*([DWMY])\s*", age.upper())
    return f"{int(match[1]) * _YEARS[match[2]]:.4g}" if match else ""


def _sex(sex: str) -> str:
    return sex.upper() if sex.upper() in ("M", "F", "O") else ""


def _year(dataset: t.Attributes) -> str:
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate"):
        match = re.match(r"(19|20)\d\d", t.text(dataset, keyword))
        if match:
            return match[0]
    return ""
