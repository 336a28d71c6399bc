"""Stomach: endoscopy frames, some as JPEG and some as DICOM VL Endoscopic Images."""

from __future__ import annotations

import io
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, VLEndoscopicImageStorage

from medcls.files import write_bytes
from medcls.synthesis.dicom_attributes import Device, common_dataset, set_file_meta, uid
from medcls.synthesis.lesion import Lesion
from medcls.synthesis.look import Probed, WrittenCase
from medcls.synthesis.mucosa import Ulcer, draw_stomach, draw_ulcer, frame_shape, paint_frame
from medcls.synthesis.plan import Patient, Stream

DEVICES = (
    Device("OLYMPUS MEDICAL SYSTEMS", "EVIS EXERA III"),
    Device("FUJIFILM", "ELUXEO 7000"),
    Device("PENTAX Medical", "EPK-i7010"),
)
DEFAULT_SIZE = 224
_QUALITY = 90
_JPEG, _JPEG_IN_DICOM, _DICOM = range(3)


def write_stomach_patient(patient: Patient, root: Path, look: Probed) -> list[WrittenCase]:
    """Write the frames of one patient's examination.

    Args:
        patient: Who.
        root: Folder of the cohort.
        look: Size (rows of a frame; a quarter more columns) and difficulty.
    """
    anatomy = patient.stream(Stream.ANATOMY)
    stomach = draw_stomach(anatomy)
    spots = patient.stream(Stream.LESION)
    device = DEVICES[patient.rank % len(DEVICES)]
    cases = []
    for frame in range(int(anatomy.integers(2, 5))):
        rng = patient.stream(Stream.VISIT, frame)
        form = int(rng.choice((_JPEG, _JPEG, _JPEG_IN_DICOM, _DICOM)))
        ulcer = draw_ulcer(spots, look) if patient.positive else None
        pixels = paint_frame(rng, spots, stomach, ulcer, look)

        name = f"IM{frame + 1:06d}" + (".jpg" if form == _JPEG else "")
        scan = PurePosixPath("FRAMES", patient.folder, "ST000001", name)
        if form == _JPEG:
            write_bytes(root / scan, _jpeg(pixels))
        else:
            dataset = _frame_dataset(patient, frame, device, pixels, compressed=form == _JPEG_IN_DICOM)
            (root / scan).parent.mkdir(parents=True, exist_ok=True)
            dcmwrite(root / scan, dataset, enforce_file_format=True)
        lesion = _place(ulcer, look.size) if ulcer else None
        cases.append(WrittenCase(f"{patient.folder}-{frame + 1}", scan, patient.age(0), lesion))
    return cases


def _place(ulcer: Ulcer, size: int) -> Lesion:
    rows, columns = frame_shape(size)
    centre = (ulcer.column * rows + (columns - 1) / 2, ulcer.row * rows + (rows - 1) / 2)
    return Lesion(centre, ulcer.radius * rows, centre, "ulcer")


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY, subsampling="4:2:2")
    return buffer.getvalue()


def _frame_dataset(
    patient: Patient, frame: int, device: Device, pixels: NDArray[np.uint8], *, compressed: bool
) -> Dataset:
    """A VL Endoscopic Image (DICOM PS3.3 A.32.1), native or with JPEG inside."""
    dataset = common_dataset(patient, 0, device, VLEndoscopicImageStorage, "ES")
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.SeriesDescription = "Gastroscopy"
    dataset.BodyPartExamined = "STOMACH"
    dataset.InstanceNumber = frame + 1
    dataset.AcquisitionContextSequence = []
    dataset.BurnedInAnnotation = "NO"
    dataset.SamplesPerPixel = 3
    dataset.PhotometricInterpretation = "YBR_FULL_422" if compressed else "RGB"
    dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    if compressed:
        encoded = _jpeg(pixels)
        dataset.PixelData = encapsulate([encoded])
        dataset["PixelData"].VR = "OB"
        dataset.LossyImageCompression = "01"
        dataset.LossyImageCompressionRatio = round(pixels.nbytes / len(encoded), 2)
        dataset.LossyImageCompressionMethod = "ISO_10918_1"
    else:
        dataset.add_new("PixelData", "OB", pixels.tobytes() + b"\0" * (pixels.size % 2))
        dataset.LossyImageCompression = "00"
    syntax = JPEGBaseline8Bit if compressed else ExplicitVRLittleEndian
    set_file_meta(dataset, uid(patient, 0, "frame", frame), syntax)
    return dataset
