"""What every DICOM file of a synthetic cohort says about patient, study and device."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from medcls.synthesis.plan import Patient

_ISSUER = "MEDCLS-SYNTHETIC"


@dataclass(frozen=True)
class Device:
    """A scanner's name in the header.

    Attributes:
        manufacturer: Manufacturer.
        model: ManufacturerModelName.
        kernel: ConvolutionKernel, for CT.
        sharpness: How little the reconstruction smooths, 0 to 1.
        transfer_syntax: How files are encoded.
        padded: Whether what is outside the reconstructed circle is PixelPaddingValue.
    """

    manufacturer: str
    model: str
    kernel: str = ""
    sharpness: float = 0.5
    transfer_syntax: UID = ExplicitVRLittleEndian
    padded: bool = False


def uid(patient: Patient, *parts: object) -> UID:
    """A UID that is always the same for the same patient and parts."""
    entropy = ["medcls", patient.region, str(patient.seed), str(patient.index), *(str(part) for part in parts)]
    return generate_uid(entropy_srcs=["/".join(entropy)])


def common_dataset(patient: Patient, visit: int, device: Device, sop_class: UID, modality: str) -> Dataset:
    """Patient, study, series and equipment modules (DICOM PS3.3 C.7.1 to C.7.5), without pixels."""
    day = patient.visited(visit).strftime("%Y%m%d")
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = day
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "101500"
    dataset.AccessionNumber = f"A{patient.index + 1:06d}{visit + 1:02d}"
    dataset.Modality = modality
    dataset.Manufacturer = device.manufacturer
    dataset.ManufacturerModelName = device.model
    dataset.ReferringPhysicianName = ""
    dataset.PatientName = f"Synthetic^{patient.region.title()}{patient.index + 1:06d}"
    dataset.PatientID = patient.identifier
    dataset.IssuerOfPatientID = _ISSUER
    dataset.PatientBirthDate = patient.born.strftime("%Y%m%d")
    dataset.PatientSex = patient.sex
    dataset.PatientAge = f"{patient.age(visit):03d}Y"
    dataset.StudyInstanceUID = uid(patient, visit)
    dataset.SeriesInstanceUID = uid(patient, visit, "series")
    dataset.StudyID = f"{visit + 1}"
    dataset.SeriesNumber = 1
    dataset.ImageComments = "Synthetic picture, not of a person"
    return dataset


def set_file_meta(dataset: Dataset, instance: UID, transfer_syntax: UID) -> None:
    """Name the instance and its encoding (DICOM PS3.10, 7.1)."""
    dataset.SOPInstanceUID = instance
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = transfer_syntax
    dataset.file_meta = meta
