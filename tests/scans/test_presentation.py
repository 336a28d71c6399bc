"""How a picture is to be shown: greys, intent and sides as the header has them, read once, noted, and seen by the audit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.pixels import apply_presentation_lut

from medcls.cohort.leakage.confounding import header_attributes
from medcls.cohort.leakage.mixtures import mixture_warnings
from medcls.scans import Scan, find_scans, read_scan
from tests.factories.audits import case
from tests.factories.dicom import DX, instance, save

PIXELS = np.array([[10, 20], [30, 110]], dtype=np.uint16)
US, CR = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.1"


def radiograph(folder: Path, **changes: object) -> Scan:
    return read_scan(save(instance(PIXELS, **{"SOPClassUID": DX, "Modality": "DX", **changes}), folder / "dx"))


def codes(scan: Scan) -> list[str]:
    return [note.split(": ")[0] for note in scan.notes if not note.startswith("pixel-units")]


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted", "noted"),
    [
        ("MONOCHROME2", None, False, []),
        ("MONOCHROME2", "IDENTITY", False, []),
        ("MONOCHROME1", None, True, ["inverted"]),
        ("MONOCHROME1", "INVERSE", True, ["inverted"]),
        ("MONOCHROME2", "INVERSE", True, ["inverted", "presentation"]),
        ("MONOCHROME1", "IDENTITY", True, ["inverted", "presentation"]),
    ],
)
def test_greys_are_inverted_once_and_a_header_that_disagrees_with_itself_is_noted(
    tmp_path, photometric, shape, inverted, noted
):
    given = {"PhotometricInterpretation": photometric, **({"PresentationLUTShape": shape} if shape else {})}
    scan = radiograph(tmp_path, **given)
    expected = int(PIXELS.max()) + int(PIXELS.min()) - PIXELS if inverted else PIXELS
    assert scan.array[0].T.tolist() == expected.tolist()
    assert codes(scan) == noted
    if shape == "INVERSE":  # pydicom's own, whose values begin at 0
        shown = apply_presentation_lut(PIXELS.astype(int), instance(PIXELS, **given))
        assert (scan.array[0].T - shown == PIXELS.min()).all()


def test_measured_values_are_never_inverted_and_other_pictures_say_that_they_were_not(tmp_path):
    ct = read_scan(save(instance(PIXELS, PresentationLUTShape="INVERSE"), tmp_path / "ct"))
    assert ct.array[0].T.tolist() == PIXELS.tolist()
    assert not codes(ct)
    us = instance(PIXELS, SOPClassUID=US, Modality="US", PhotometricInterpretation="MONOCHROME1")
    shown = read_scan(save(us, tmp_path / "us"))
    assert shown.array[0].T.tolist() == PIXELS.tolist()
    assert codes(shown) == ["presentation"]


@pytest.mark.parametrize(
    ("sop_class", "given", "intent"),
    [
        (DX, "FOR PROCESSING", "for processing"),
        (DX, None, "for presentation"),
        (f"{DX}.1", None, "for processing"),
        (f"{DX}.1", "FOR PRESENTATION", "for presentation"),
        (CR, None, None),
    ],
)
def test_raw_pictures_say_so_by_attribute_or_else_by_class(tmp_path, sop_class, given, intent):
    scan = radiograph(tmp_path, SOPClassUID=sop_class, **({"PresentationIntentType": given} if given else {}))
    assert scan.attributes.get("presentation_intent") == intent
    assert codes(scan) == (["presentation"] if intent == "for processing" else [])


@pytest.mark.parametrize(
    ("orientation", "words"),
    [
        (["L", "F"], ""),
        (["P", "F"], ""),
        (["A", "FR"], ""),
        (["R", "F"], "the patient's left on the left"),
        (["L", "H"], "the head at the bottom"),
        (["RA", "HP"], "the patient's left on the left and the head at the bottom"),
        (["F", "L"], "the feet on the right"),
    ],
)
def test_mirrored_and_turned_radiographs_are_noted_and_left_as_they_are(tmp_path, orientation, words):
    scan = radiograph(tmp_path, PatientOrientation=orientation, PresentationIntentType="FOR PRESENTATION")
    assert scan.array[0].T.tolist() == PIXELS.tolist()
    assert scan.attributes["patient_orientation"] == " ".join(orientation)
    assert codes(scan) == (["mirrored"] if words else [])
    assert words in "".join(scan.notes)


def test_a_cohort_of_raw_and_processed_of_mirrored_and_upright_is_seen_by_the_audit(tmp_path):
    cases = []
    for number in range(6):
        changes = {"PresentationIntentType": "FOR PROCESSING" if number < 2 else "FOR PRESENTATION"}
        changes |= {"PatientOrientation": ["R" if number == 5 else "L", "F"], "SOPClassUID": DX, "Modality": "DX"}
        (source,) = find_scans(save(instance(PIXELS, **changes), tmp_path / f"{number}" / "dx")).scans
        cases.append(case(f"c{number}", covariates=dict(source.attributes)))
    assert {"presentation_intent", "patient_orientation"} <= set(header_attributes(cases))
    raw, mirrored = mixture_warnings(cases)
    assert raw.startswith("2 of 6 cases are raw")
    assert mirrored.startswith("1 of 6 cases are mirrored")
    assert mixture_warnings(cases[:2]) == mixture_warnings(cases[2:5]) == []
