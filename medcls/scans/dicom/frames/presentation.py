"""What a header says of how a picture is to be shown: which way its greys go, what it was processed for, where the sides are.

MONOCHROME1 (PS3.3 C.7.6.3.1.2) and the Presentation LUT Shape INVERSE (C.11.6.1.2) both say that low values are shown bright.
The DX image module (C.8.11.3) has them stand together, so they are one inversion and never two.
"""

from __future__ import annotations

from collections.abc import Mapping

from medcls.scans.core.notes import Note
from medcls.scans.dicom.frame import Header
from medcls.scans.dicom.parse import text as t
from medcls.scans.dicom.parse.sop_classes import is_xray_projection

FOR_PROCESSING = "for processing"
_OF_CLASS = {
    f"1.2.840.10008.5.1.4.1.1.1.{kind}": intent
    for number in ("1", "2", "3")  # DX, MG, intra-oral
    for kind, intent in ((number, "for presentation"), (f"{number}.1", FOR_PROCESSING))
}
_MEASURED = frozenset({"CT", "MR", "PT", "NM"})  # values of these are measurements, however they are shown
_ROWS = {
    "R": "the patient's left on the left",
    "H": "the head on the right",
    "F": "the feet on the right",
}
_COLUMNS = {"H": "the head at the bottom"}


def presentation_attributes(dataset: t.Attributes) -> dict[str, str]:
    """Photometric interpretation, LUT shape, intent, and where the rows and columns of a radiograph point."""
    intent = t.text(dataset, "PresentationIntentType") or _OF_CLASS.get(t.text(dataset, "SOPClassUID"), "")
    radiograph = is_xray_projection(t.text(dataset, "Modality").upper())
    return {
        "photometric": t.text(dataset, "PhotometricInterpretation").upper(),
        "lut_shape": t.text(dataset, "PresentationLUTShape").lower(),
        "presentation_intent": intent.lower(),
        "patient_orientation": " ".join(t.words(dataset, "PatientOrientation")) if radiograph else "",
    }


def inverted_by(header: Header) -> str:
    """What of the header says that low values are shown bright; empty where nothing does."""
    if header.photometric == "MONOCHROME1":
        return "MONOCHROME1"
    inverse = header.photometric == "MONOCHROME2" and header.attributes.get("lut_shape") == "inverse"
    return "PresentationLUTShape INVERSE" if inverse else ""


def presentation_doubts(header: Header) -> list[str]:
    """Notes on what the stored values do not show by themselves."""
    found, shape, by = [], header.attributes.get("lut_shape", ""), inverted_by(header)
    disagree = shape == ("inverse" if header.photometric == "MONOCHROME2" else "identity")
    if by and is_xray_projection(header.modality):
        if disagree:
            found.append(
                Note.PRESENTATION.says(f"{header.photometric} and PresentationLUTShape {shape.upper()} disagree")
            )
    elif by and header.modality not in _MEASURED:
        found.append(Note.PRESENTATION.says(f"shown inverted ({by}); the values are as stored"))
    if header.attributes.get("presentation_intent") == FOR_PROCESSING:
        found.append(Note.PRESENTATION.says("FOR PROCESSING: raw values of the detector, not as a reader sees them"))
    sides = unusual_sides(header.attributes)
    if sides:
        found.append(Note.MIRRORED.says(f"by PatientOrientation the picture has {sides}; it was not turned"))
    return found


def unusual_sides(attributes: Mapping[str, str]) -> str:
    """In what a radiograph is otherwise than upright with the patient's left on the right; empty where in nothing.

    PatientOrientation (C.7.6.1.1.1) says where rows point, to the right of the picture, and columns, to its bottom.
    """
    rows, _, columns = attributes.get("patient_orientation", "").partition(" ")
    return " and ".join(filter(None, (_ROWS.get(rows[:1], ""), _COLUMNS.get(columns[:1], ""))))
