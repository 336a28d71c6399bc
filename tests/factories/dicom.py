"""Small DICOM files made in memory, with every attribute that a test wants to bend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT, MR, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
DX, SC = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.7"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def instance(pixels: np.ndarray | None = None, **changes: Any) -> Dataset:
    """One CT slice; ``changes`` sets attributes, ``None`` deletes them."""
    pixels = np.arange(12, dtype=np.int16).reshape(3, 4) if pixels is None else pixels
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = CT, generate_uid(), "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PatientID, dataset.PatientName = "patient-1", "Doe^Jane"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SeriesNumber = "1.2.3", "1.2.3.4", 3
    dataset.InstanceNumber = 1
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 0], list(AXIAL)
    dataset.PixelSpacing, dataset.SliceThickness = [0.5, 0.5], 5
    if changes.get("Modality", "CT") == "CT" and not {"RescaleSlope", "RescaleIntercept"} & set(changes):
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    if pixels.dtype.itemsize == 1 and len(dataset.PixelData) % 2:
        dataset.PixelData += b"\0"
    dataset["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 else "OB"
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def save(dataset: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian, frames: Sequence[bytes] = ()) -> Path:
    """Write a file; ``frames`` are codestreams of a compressed syntax."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    if frames:
        dataset.PixelData = encapsulate(list(frames))
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    path.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(path, dataset, enforce_file_format=True)
    return path


def slices(heights: Sequence[float], **changes: Any) -> list[Dataset]:
    """Axial CT slices at these heights, each filled with its height."""
    made = []
    for number, height in enumerate(heights, start=1):
        pixels = np.full((3, 4), round(height * 10), dtype=np.int16)
        pixels[0, 0] += 1  # tells the first corner from the others
        given = {"ImagePositionPatient": [-10.0, -20.0, float(height)], "InstanceNumber": number, **changes}
        made.append(instance(pixels, **given))
    return made


def save_all(datasets: Sequence[Dataset], folder: Path, names: Sequence[str] | None = None) -> Path:
    """Write each into ``folder``, under meaningless names without extension unless given."""
    for number, dataset in enumerate(datasets):
        save(dataset, folder / (names[number] if names else f"I{number:04d}"))
    return folder


def enhanced(
    volumes: Sequence[np.ndarray], *, spacing: float = 2.0, shuffle: Sequence[int] = (), **changes: Any
) -> Dataset:
    """An enhanced MR object; each volume is ``(slices, rows, columns)`` uint16 and gets its own echo time and slope."""
    frames, groups = [], []
    for echo, volume in enumerate(volumes, start=1):
        for number, pixels in enumerate(volume):
            frames.append(pixels)
            groups.append(_groups(echo, number * spacing))
    order = list(shuffle) or list(range(len(frames)))
    dataset = instance(frames[0], SOPClassUID=ENHANCED_MR, Modality="MR", **changes)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(dataset, keyword)
    dataset.NumberOfFrames = len(frames)
    dataset.PixelData = b"".join(frames[index].tobytes() for index in order)
    shared = Dataset()
    shared.PlaneOrientationSequence = Items([_item(ImageOrientationPatient=list(AXIAL))])
    shared.PixelMeasuresSequence = Items([_item(PixelSpacing=[1, 1], SliceThickness=2)])
    dataset.SharedFunctionalGroupsSequence = Items([shared])
    dataset.PerFrameFunctionalGroupsSequence = Items([groups[index] for index in order])
    return dataset


def _groups(echo: int, height: float) -> Dataset:
    groups = Dataset()
    groups.PlanePositionSequence = Items([_item(ImagePositionPatient=[0, 0, height])])
    groups.PixelValueTransformationSequence = Items([_item(RescaleSlope=echo, RescaleIntercept=0)])
    groups.MREchoSequence = Items([_item(EffectiveEchoTime=float(echo * 10))])
    return groups


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
