"""Frames of enhanced multi-frame objects (Multi-frame Functional Groups Module, PS3.3 C.7.6.16)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydicom.dataset import Dataset

from medcls.scans.dicom.frame import Frame, Header
from medcls.scans.dicom.frames.cine import enhanced_times, in_time, is_enhanced_xray
from medcls.scans.dicom.frames.completeness import concatenation_of
from medcls.scans.dicom.parse import text as t
from medcls.scans.dicom.values.rescale import rescale_of
from medcls.scans.dicom.values.suv import uptake_attributes

_PLACES = frozenset(["(0020,9057)", "(0020,0032)", "(0020,9113)", "(0018,602C)"])
"""In-Stack Position Number, Image Position, and its sequence, as pointers are written in text."""

_UNITS = {"Bq/ml": "BQML", "g/ml{SUVbw}": "GML", "{SUVbw}g/ml": "GML"}
"""Codes of units (UCUM, as in CID 84 and 85), and what they are in other PET."""


def enhanced_frames(dataset: Dataset, header: Header, path: str | Path) -> list[Frame]:
    """The frames of a file that has a functional group for each."""
    shared = (t.items(dataset, "SharedFunctionalGroupsSequence") or [Dataset()])[0]
    per_frame = t.items(dataset, "PerFrameFunctionalGroupsSequence")
    header = replace(header, declared={**header.declared, **concatenation_of(dataset)})
    uid, groups = t.text(dataset, "SOPInstanceUID"), [_Groups(shared, own) for own in per_frame]
    if is_enhanced_xray(header):
        moments = (own.text("FrameContentSequence", "FrameAcquisitionDateTime") for own in groups)
        header = in_time(header, *enhanced_times(dataset, moments))
    if header.modality == "PT":
        header = replace(header, attributes={**header.attributes, **uptake_attributes(dataset, _mapped_unit(groups))})
    headers = {"": header}  # one for each unit
    found = []
    for index, own in enumerate(groups):
        unit = "" if header.modality == "PT" else own.text("PixelValueTransformationSequence", "RescaleType")
        if unit not in headers:
            headers[unit] = replace(header, attributes={**header.attributes, "units": unit})
        found.append(_frame(dataset, own, headers[unit], path, uid, index))
    return found


def _mapped_unit(frames: list[_Groups]) -> str:
    """The unit of rescaled values by the frames' real world value maps (C.7.6.16.2.11); empty where these scale otherwise."""
    units = set()
    for groups in frames:
        world, plain = groups.item("RealWorldValueMappingSequence"), groups.item("PixelValueTransformationSequence")
        scaling = [t.number(world, name) for name in ("RealWorldValueSlope", "RealWorldValueIntercept")]
        if None in scaling or scaling != [t.number(plain, name) for name in ("RescaleSlope", "RescaleIntercept")]:
            return ""
        units.add(t.text((t.items(world, "MeasurementUnitsCodeSequence") or [Dataset()])[0], "CodeValue"))
    return _UNITS.get(units.pop(), "") if len(units) == 1 else ""


def _frame(dataset: Dataset, groups: _Groups, header: Header, path: str | Path, uid: str, index: int) -> Frame:
    """One frame, its attributes taken from its own functional groups, then from the shared ones."""
    position = groups.numbers("PlanePositionSequence", "ImagePositionPatient", 3)
    orientation = groups.numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6)
    rescale = rescale_of([groups.item("PixelValueTransformationSequence"), dataset], header.sop_class)
    thickness = groups.numbers("PixelMeasuresSequence", "SliceThickness", 1)
    number = groups.numbers("FrameContentSequence", "InStackPositionNumber", 1)
    return Frame(
        path=str(path),
        sop_uid=uid,
        header=header,
        index=index,
        position=position,
        orientation=orientation,
        spacing=groups.numbers("PixelMeasuresSequence", "PixelSpacing", 2),
        slope=rescale.slope,
        intercept=rescale.intercept,
        thickness=thickness[0] if thickness else None,
        splits=_splits(dataset, groups),
        number=int(number[0]) if number else None,
        rescale=rescale.said,
    )


def _splits(dataset: Dataset, groups: _Groups) -> dict[str, str]:
    frame_type = ""
    for sequence in ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence"):
        frame_type = frame_type or groups.text(sequence, "FrameType").replace("\\", " ")
    component = groups.text("MRImageFrameTypeSequence", "ComplexImageComponent")
    gradient = groups.item("MRDiffusionSequence", "DiffusionGradientDirectionSequence")
    splits = {
        "echo": groups.text("MREchoSequence", "EffectiveEchoTime"),
        "type": " ".join([*frame_type.split()[2:], component]).strip(),
        "origin": " ".join(frame_type.split()[:2]),
        "b-value": groups.text("MRDiffusionSequence", "DiffusionBValue"),
        "direction": t.text(gradient, "DiffusionGradientOrientation")
        or groups.text("MRDiffusionSequence", "DiffusionDirectionality"),
        "time": groups.text("FrameContentSequence", "TemporalPositionIndex"),
        "phase": groups.text("CardiacSynchronizationSequence", "NominalPercentageOfCardiacPhase"),
        "trigger": groups.text("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
        "inversion": groups.text("MRModifierSequence", "InversionTimes"),
        "flip angle": groups.text("MRTimingAndRelatedParametersSequence", "FlipAngle"),
        "energy": groups.text("CTXRayDetailsSequence", "KVP"),
        "kernel": groups.text("CTReconstructionSequence", "ConvolutionKernel"),
        "algorithm": groups.text("CTReconstructionSequence", "ReconstructionAlgorithm"),
        "contrast": groups.text("ContrastBolusUsageSequence", "ContrastBolusAgentPhase")
        or groups.text("ContrastBolusUsageSequence", "ContrastBolusAgentAdministered"),
        "stack": groups.text("FrameContentSequence", "StackID"),
        "acquisition": groups.text("FrameContentSequence", "FrameAcquisitionNumber")
        or t.text(dataset, "AcquisitionNumber"),
        "acquisition time": groups.text("FrameContentSequence", "FrameReferenceDateTime"),
        "repetition time": groups.text("MRTimingAndRelatedParametersSequence", "RepetitionTime"),
        "thickness": groups.text("PixelMeasuresSequence", "SliceThickness"),
        **_dimensions(dataset, groups),
    }
    splits["file"] = t.text(dataset, "SOPInstanceUID")
    return {name: value for name, value in splits.items() if value}


def _dimensions(dataset: Dataset, groups: _Groups) -> dict[str, str]:
    """Dimension Index Values (C.7.6.17): what the writer meant to be apart; but for those that count positions."""
    values = groups.text("FrameContentSequence", "DimensionIndexValues")
    pointers = [t.text(item, "DimensionIndexPointer") for item in t.items(dataset, "DimensionIndexSequence")]
    return {
        f"dimension {place + 1}": value
        for place, value in enumerate(values.split("\\") if values else ())
        if place >= len(pointers) or pointers[place] not in _PLACES
    }


class _Groups:
    """Look-up of functional group macros: per frame first, then shared."""

    def __init__(self, shared: Dataset, per_frame: Dataset) -> None:
        self._places = (per_frame, shared)

    def item(self, sequence: str, nested: str = "") -> Dataset:
        for place in self._places:
            found = t.value(place, sequence)
            if found is not None and len(found):
                inner = t.value(found[0], nested) if nested else found
                return inner[0] if inner is not None and len(inner) else Dataset()
        return Dataset()

    def text(self, sequence: str, keyword: str) -> str:
        return t.text(self.item(sequence), keyword)

    def numbers(self, sequence: str, keyword: str, count: int) -> tuple[float, ...] | None:
        return t.numbers(self.item(sequence), keyword, count)
