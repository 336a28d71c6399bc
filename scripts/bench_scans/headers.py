"""A CT header as scanners write it: about 120 elements, private ones and nested sequences among them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID

ROOT = "1.2.826.0.1.3680043.10.99999"
CT_IMAGE = UID("1.2.840.10008.5.1.4.1.1.2")
INTERCEPT = -1024

_PLAIN: dict[str, Any] = {
    "SpecificCharacterSet": "ISO_IR 100", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"],
    "InstanceCreationDate": "20200102", "InstanceCreationTime": "101112.343000", "SOPClassUID": CT_IMAGE,
    "StudyDate": "20200102", "SeriesDate": "20200102", "AcquisitionDate": "20200102", "ContentDate": "20200102",
    "StudyTime": "100000.000000", "SeriesTime": "100500.000000", "AcquisitionTime": "100612.345678",
    "ContentTime": "100612.345678", "AccessionNumber": "A000123", "Modality": "CT", "Manufacturer": "MADE UP",
    "InstitutionName": "A hospital", "InstitutionAddress": "A street 1, a town", "ReferringPhysicianName": "Doe^J",
    "StationName": "CT01", "StudyDescription": "Thorax with contrast", "SeriesDescription": "Thorax 1.0 B31f",
    "InstitutionalDepartmentName": "Radiology", "PhysiciansOfRecord": "Doe^J", "OperatorsName": "Roe^R",
    "ManufacturerModelName": "Scanner 64", "PatientName": "Doe^Jane", "PatientID": "P000001",
    "PatientBirthDate": "19600101", "PatientSex": "F", "PatientAge": "060Y", "PatientSize": "1.65",
    "PatientWeight": "63", "AdditionalPatientHistory": "none known", "PregnancyStatus": 4,
    "ContrastBolusAgent": "APPLIED", "BodyPartExamined": "CHEST", "ScanOptions": "FAST", "SliceThickness": "1.0",
    "KVP": "120", "DataCollectionDiameter": "500", "DeviceSerialNumber": "12345", "SoftwareVersions": "VA48A",
    "ProtocolName": "ThoraxRoutine", "ContrastBolusVolume": "80", "ReconstructionDiameter": "360",
    "DistanceSourceToDetector": "1085.6", "DistanceSourceToPatient": "595", "GantryDetectorTilt": "0",
    "TableHeight": "152", "RotationDirection": "CW", "ExposureTime": "500", "XRayTubeCurrent": "210",
    "Exposure": "105", "FilterType": "WEDGE_3", "GeneratorPower": "50", "FocalSpots": ["1.2"],
    "DateOfLastCalibration": "20200101", "TimeOfLastCalibration": "071500", "ConvolutionKernel": "B31f",
    "PatientPosition": "HFS", "SingleCollimationWidth": 0.6, "TotalCollimationWidth": 38.4, "TableSpeed": 46.0,
    "TableFeedPerRotation": 23.0, "SpiralPitchFactor": 0.6, "CTDIvol": 7.1, "StudyID": "1", "SeriesNumber": "4",
    "AcquisitionNumber": "2", "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
    "PositionReferenceIndicator": "SN", "ImageComments": "made by a program", "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2", "PixelSpacing": ["0.703125", "0.703125"], "BitsAllocated": 16,
    "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0, "SmallestImagePixelValue": 0,
    "LargestImagePixelValue": 4095, "WindowCenter": ["40", "-600"], "WindowWidth": ["400", "1200"],
    "RescaleIntercept": str(INTERCEPT), "RescaleSlope": "1", "RescaleType": "HU",
    "WindowCenterWidthExplanation": ["MEDIASTINUM", "LUNG"], "RequestingPhysician": "Doe^J",
    "RequestingService": "Internal medicine", "RequestedProcedureDescription": "CT thorax",
    "PerformedProcedureStepStartDate": "20200102", "PerformedProcedureStepStartTime": "100000",
    "PerformedProcedureStepID": "S1", "PerformedProcedureStepDescription": "CT thorax", "BurnedInAnnotation": "NO",
    "LossyImageCompression": "00", "IrradiationEventUID": ROOT + ".9.1", "FrameOfReferenceUID": ROOT + ".9.2",
}  # fmt: skip


def ct_header(size: int) -> Dataset:
    """The header of a slice of ``size`` by ``size`` pixels; what differs between slices is still missing."""
    dataset = Dataset()
    for keyword, value in _PLAIN.items():
        setattr(dataset, keyword, value)
    dataset.Rows = dataset.Columns = size
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = ROOT + ".1", ROOT + ".2"
    for group, creator in ((0x0021, "BENCH MEDCOM 01"), (0x0045, "BENCH CT 02")):
        block = dataset.private_block(group, creator, create=True)
        for number in range(6):
            block.add_new(number, "LO", f"private text {number}")
        block.add_new(0x20, "DS", ["0.5", "0.25", "0.125"])
        block.add_new(0x21, "OB", bytes(range(256)) * 2)
    dataset.ReferencedStudySequence = Items([_reference("1.2.840.10008.3.1.2.3.1", ".3.1")])
    dataset.ReferencedImageSequence = Items([_reference(CT_IMAGE, f".3.{number}") for number in (2, 3)])
    request = Dataset()
    request.ScheduledProcedureStepID, request.RequestedProcedureID = "SP1", "RP1"
    request.ScheduledProtocolCodeSequence = Items([_code("CTTHX", "CT thorax")])
    dataset.RequestAttributesSequence = Items([request])
    dataset.ProcedureCodeSequence = Items([_code("CTTHX", "CT thorax")])
    return dataset


def place(dataset: Dataset, *, number: int, height: float, uid: str) -> None:
    """Give a slice its number, its position and its SOP instance UID."""
    dataset.SOPInstanceUID = UID(uid)
    dataset.InstanceNumber = str(number)
    dataset.ImagePositionPatient = ["-180.0", "-180.0", f"{height:.1f}"]
    dataset.SliceLocation = f"{height:.1f}"


def add_pixels(dataset: Dataset, pixels: NDArray[Any]) -> None:
    """Store ``(rows, columns)`` uint16 or uint8 without compression."""
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"


def file_meta(dataset: Dataset, syntax: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return meta


def ct_volume(rng: np.random.Generator, slices: int, size: int) -> NDArray[np.uint16]:
    """Stored values of a chest-like series, ``(slices, rows, columns)``, 12 bits: lungs, spine, table, noise."""
    from scipy import ndimage

    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    values = np.empty((slices, size, size), dtype=np.uint16)
    for index in range(slices):
        wide = 1 + 0.1 * np.sin(index / max(1, slices) * np.pi)
        body = (x / 0.85 / wide) ** 2 + (y / 0.6) ** 2 < 1
        lungs = ((np.abs(x) - 0.38) / 0.25 / wide) ** 2 + (y / 0.4) ** 2 < 1
        spine = x**2 + (y - 0.38) ** 2 < 0.01
        clean = np.select([spine, lungs, body, np.abs(y - 0.75) < 0.01], [700.0, -820.0, 45.0, -200.0], -1000.0)
        noise = ndimage.gaussian_filter(rng.standard_normal((size, size), dtype=np.float32), 0.7) * 40
        values[index] = np.clip(ndimage.gaussian_filter(clean, 0.8) + noise - INTERCEPT, 0, 4095)
    return values


def _reference(kind: str, end: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = UID(kind), UID(ROOT + end)
    return item


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "99LOCAL", meaning
    return item
