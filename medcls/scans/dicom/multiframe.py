"""Frames of enhanced multi-frame objects (Multi-frame Functional Groups Module, PS3.3 C.7.6.16)."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset

from medcls.scans.dicom import text as t
from medcls.scans.dicom.frames import Frame, Header


def enhanced_frames(dataset: Dataset, header: Header, path: str | Path) -> list[Frame]:
    """The frames of a file that has a functional group for each."""
    shared = (t.items(dataset, "SharedFunctionalGroupsSequence") or [Dataset()])[0]
    per_frame = t.items(dataset, "PerFrameFunctionalGroupsSequence")
    uid = t.text(dataset, "SOPInstanceUID")
    return [
        _frame(dataset, _Groups(shared, groups), header, path, uid, index) for index, groups in enumerate(per_frame)
    ]


def _frame(dataset: Dataset, groups: _Groups, header: Header, path: str | Path, uid: str, index: int) -> Frame:
    """One frame, its attributes taken from its own functional groups, then from the shared ones."""
    position = groups.numbers("PlanePositionSequence", "ImagePositionPatient", 3)
    orientation = groups.numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6)
    slope = groups.numbers("PixelValueTransformationSequence", "RescaleSlope", 1)
    intercept = groups.numbers("PixelValueTransformationSequence", "RescaleIntercept", 1)
    thickness = groups.numbers("PixelMeasuresSequence", "SliceThickness", 1)
    return Frame(
        path=str(path),
        sop_uid=uid,
        header=header,
        index=index,
        position=position,
        orientation=orientation,
        spacing=groups.numbers("PixelMeasuresSequence", "PixelSpacing", 2),
        slope=slope[0] if slope else _root_number(dataset, "RescaleSlope", 1.0),
        intercept=intercept[0] if intercept else _root_number(dataset, "RescaleIntercept", 0.0),
        thickness=thickness[0] if thickness else None,
        splits=_splits(dataset, groups),
    )


def _root_number(dataset: Dataset, keyword: str, default: float) -> float:
    found = t.number(dataset, keyword)
    return default if found is None else found


def _splits(dataset: Dataset, groups: _Groups) -> dict[str, str]:
    frame_type = ""
    for sequence in ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence"):
        frame_type = frame_type or groups.text(sequence, "FrameType").replace("\\", " ")
    component = groups.text("MRImageFrameTypeSequence", "ComplexImageComponent")
    gradient = groups.item("MRDiffusionSequence", "DiffusionGradientDirectionSequence")
    dimensions = groups.text("FrameContentSequence", "DimensionIndexValues")
    splits = {
        "echo": groups.text("MREchoSequence", "EffectiveEchoTime"),
        "type": " ".join([*frame_type.split()[2:], component]).strip(),
        "b-value": groups.text("MRDiffusionSequence", "DiffusionBValue"),
        "direction": t.text(gradient, "DiffusionGradientOrientation")
        or groups.text("MRDiffusionSequence", "DiffusionDirectionality"),
        "time": groups.text("FrameContentSequence", "TemporalPositionIndex"),
        "phase": groups.text("CardiacSynchronizationSequence", "NominalPercentageOfCardiacPhase"),
        "trigger": groups.text("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
        "inversion": groups.text("MRModifierSequence", "InversionTimes"),
        "flip angle": groups.text("MRTimingAndRelatedParametersSequence", "FlipAngle"),
        "energy": groups.text("CTXRayDetailsSequence", "KVP"),
        "stack": groups.text("FrameContentSequence", "StackID"),
        "acquisition": groups.text("FrameContentSequence", "FrameAcquisitionNumber")
        or t.text(dataset, "AcquisitionNumber"),
        "acquisition time": groups.text("FrameContentSequence", "FrameReferenceDateTime"),
    }
    # Dimension Index Values (C.7.6.17) say at last what the writer meant to be apart, one dimension at a time.
    for place, part in enumerate(dimensions.split("\\") if dimensions else (), start=1):
        splits[f"dimension {place}"] = part
    splits["file"] = t.text(dataset, "SOPInstanceUID")
    return {name: value for name, value in splits.items() if value}


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
