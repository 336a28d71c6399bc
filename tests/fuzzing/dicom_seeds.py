"""DICOM seeds: every transfer syntax and kind of object that is read, with marked identifiers that must never be shown."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian

from tests.factories.dicom import DX, MR, SC, enhanced, instance

JPEG = "1.2.840.10008.1.2.4."
IMPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"
BIG, RLE = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5"
RAMP = (np.add.outer(np.arange(16) * 7, np.arange(24) * 3) % 251).astype(np.uint16)
SECRETS = ("Qzsecret", "QZ-ID-", "1.2.77771.", "<script")
"""Parts of names, identifiers and markup of every DICOM seed; seen in a prediction, they were let out."""

Made = tuple[str, bytes, tuple[tuple[str, bytes], ...]]


def photograph() -> np.ndarray:
    """``(rows, columns, 3)`` uint8."""
    return np.stack([RAMP, RAMP[::-1], np.full_like(RAMP, 90)], axis=-1).astype(np.uint8)


def marked(pixels: np.ndarray | None = None, number: int = 1, **changes: Any) -> Dataset:
    """One instance whose identifiers are all marked."""
    dataset = instance(RAMP if pixels is None else pixels, **changes)
    return _mark(dataset, number)


def _mark(dataset: Dataset, number: int = 1) -> Dataset:
    dataset.SOPInstanceUID = f"1.2.77771.3.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.77771.1", "1.2.77771.2"
    dataset.PatientName, dataset.PatientID, dataset.IssuerOfPatientID = "Qzsecret^Name", "QZ-ID-1", "Qzsecret"
    dataset.StudyDescription, dataset.SeriesDescription = "Qzsecret", "<script>Qzsecret</script>"
    dataset.AccessionNumber, dataset.InstitutionName = "QZ-ID-2", "Qzsecret"
    return dataset


def packed(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The bytes of a whole file."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    out = io.BytesIO()
    dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


def compressed(dataset: Dataset, syntax: str, frames: list[bytes], **options: Any) -> bytes:
    """The bytes of a file with these codestreams."""
    even = [code + b"\0" * (len(code) % 2) for code in frames]
    dataset.PixelData = encapsulate(even, **options)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return packed(dataset, syntax)


def dicom_seeds() -> Iterator[Made]:
    """Name, bytes, and files beside."""
    for name, data in (*_native(), *_single(), *_colour(), *_objects(), *_multi_frame()):
        yield name, data, ()
    yield _one_of_a_series()


def _native() -> Iterator[tuple[str, bytes]]:
    signed = RAMP.astype(np.int16) - 60
    ct = {"RescaleSlope": 1, "RescaleIntercept": -1024, "PixelPaddingValue": -60}
    yield "ct-explicit", packed(marked(signed, **ct))
    yield "mr-implicit", packed(marked(SOPClassUID=MR, Modality="MR", EchoTime=12.5), IMPLICIT)
    big = marked()
    big.PixelData = RAMP.astype(">u2").tobytes()
    yield "big-endian", packed(big, BIG)
    yield "deflated", packed(marked(signed), DEFLATED)
    whole = packed(marked(), IMPLICIT)
    yield "bare", whole[144 + int.from_bytes(whole[140:144], "little") :]
    bits = marked(np.zeros((8, 8), np.uint8), BitsAllocated=1, BitsStored=1, HighBit=0)
    bits.PixelData = bytes(range(8))
    yield "one-bit", packed(bits)
    yield "twelve-bits", packed(marked(BitsStored=12, HighBit=13))
    yield "radiograph", packed(marked(SOPClassUID=DX, Modality="DX", PhotometricInterpretation="MONOCHROME1"))


def _single() -> Iterator[tuple[str, bytes]]:
    codecs: dict[str, tuple[str, Callable[[np.ndarray], bytes]]] = {
        "jpeg-lossless-sv1": ("70", lambda a: imagecodecs.ljpeg_encode(a, bitspersample=16)),
        "jpeg-lossless-14": (
            "57",
            lambda a: imagecodecs.jpeg8_encode(a, lossless=True, predictor=4, bitspersample=16),
        ),
        "jpeg-ls": ("80", lambda a: imagecodecs.jpegls_encode(a)),
        "jpeg-ls-near": ("81", lambda a: imagecodecs.jpegls_encode(a, level=2)),
        "jpeg-2000": ("90", lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=True)),
        "jpeg-2000-boxes": ("91", lambda a: imagecodecs.jpeg2k_encode(a, codecformat="jp2", level=30)),
        "htj2k": ("201", lambda a: imagecodecs.htj2k_encode(a, reversible=True)),
        "htj2k-lossy": ("203", lambda a: imagecodecs.htj2k_encode(a, level=4)),
    }
    for name, (end, encode) in codecs.items():
        yield name, compressed(marked(), JPEG + end, [encode(RAMP)])
    eight = RAMP.astype(np.uint8)
    yield "jpeg-baseline", compressed(marked(eight), JPEG + "50", [imagecodecs.jpeg8_encode(eight, level=90)])
    twelve = imagecodecs.jpeg8_encode(RAMP * 16, bitspersample=12, level=90)
    yield "jpeg-extended-12", compressed(marked(BitsStored=12, HighBit=11), JPEG + "51", [twelve])
    yield "rle", _run_lengths(marked())
    fragments = [imagecodecs.jpegls_encode(RAMP)]
    yield "fragments", compressed(marked(), JPEG + "80", fragments, fragments_per_frame=4)
    yield "no-offset-table", compressed(marked(), JPEG + "80", fragments, has_bot=False, fragments_per_frame=3)
    yield "mpeg", compressed(marked(), JPEG + "102", [bytes(range(64))])


def _run_lengths(dataset: Dataset) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.compress(RLE, generate_instance_uid=False)
    return packed(dataset, RLE)


def _colour() -> Iterator[tuple[str, bytes]]:
    colour = photograph()
    shown = {"SOPClassUID": SC, "Modality": "ES"}
    yield "rgb", packed(marked(colour, **shown))
    planes = marked(colour, **shown, PlanarConfiguration=1)
    planes.PixelData = np.moveaxis(colour, -1, 0).tobytes()
    yield "rgb-planes", packed(planes)
    yield "ybr-full", packed(marked(colour, **shown, PhotometricInterpretation="YBR_FULL"))
    half = marked(colour, **shown, PhotometricInterpretation="YBR_FULL_422")
    half.PixelData = colour[..., :2].tobytes()
    yield "ybr-422", packed(half)
    palette = marked(RAMP.astype(np.uint8) % 8, **shown, PhotometricInterpretation="PALETTE COLOR")
    for number, name in enumerate(("Red", "Green", "Blue")):
        setattr(palette, f"{name}PaletteColorLookupTableDescriptor", [8, 0, 16])
        table = (np.arange(8) * 8000 + number).astype("<u2").tobytes()
        setattr(palette, f"{name}PaletteColorLookupTableData", table)
    yield "palette", packed(palette)
    code = imagecodecs.jpeg8_encode(colour, level=90)
    ybr = marked(colour, **shown, PhotometricInterpretation="YBR_FULL_422")
    yield "jpeg-colour", compressed(ybr, JPEG + "50", [code])
    code = imagecodecs.jpeg2k_encode(colour, codecformat="j2k", reversible=True, mct=True)
    rct = marked(colour, **shown, PhotometricInterpretation="YBR_RCT")
    yield "jpeg-2000-colour", compressed(rct, JPEG + "90", [code])
    yield "rle-colour", _run_lengths(marked(colour, **shown))
    yield "jpeg-ls-colour", compressed(marked(colour, **shown), JPEG + "80", [imagecodecs.jpegls_encode(colour)])


def _objects() -> Iterator[tuple[str, bytes]]:
    nested = marked()
    nested.ReferencedImageSequence = Items([_nest(12)])
    nested.RequestAttributesSequence = Items([_nest(2), _nest(3)])
    yield "sequences", packed(nested)
    undefined = marked()
    undefined.ReferencedImageSequence = Items([_nest(6)])
    _open_ended(undefined)
    yield "sequences-undefined", packed(undefined)
    _open_ended(undefined)
    yield "sequences-implicit", packed(undefined, IMPLICIT)
    private = marked()
    for group in (0x0019, 0x0043, 0x2001):
        block = private.private_block(group, "QZ-ID- VENDOR", create=True)
        block.add_new(0x0C, "IS", "1000")
        block.add_new(0x10, "OB", bytes(range(64)))
        block.add_new(0x39, "SQ", Items([_nest(2)]))
    yield "private", packed(private)
    for name, sets, text in (
        ("iso-2022", ["", "ISO 2022 IR 87"], b"Qzsecret^N=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"),
        ("gb18030", ["GB18030"], "Qzsecret^王小东".encode("gb18030")),
        ("utf-8", ["ISO_IR 192"], "Qzsecret^Ångström".encode()),
    ):
        named = marked(SpecificCharacterSet=sets)
        padded = text + b" " * (len(text) % 2)
        named.PatientName = "z" * len(padded)
        yield name, packed(named).replace(b"z" * len(padded), padded)


def _nest(depth: int) -> Dataset:
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.77771.9"
    if depth:
        item.ReferencedImageSequence = Items([_nest(depth - 1)])
    return item


def _open_ended(dataset: Dataset) -> None:
    """Give every sequence and item an undefined length, closed by delimiters."""
    for element in dataset:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                _open_ended(item)


def _multi_frame() -> Iterator[tuple[str, bytes]]:
    volumes = [np.stack([RAMP + 10 * number for number in range(3)]) for _ in range(2)]
    yield "enhanced", packed(_mark(enhanced(volumes, spacing=2.0, shuffle=(3, 1, 5, 0, 2, 4))))
    frames = [imagecodecs.jpegls_encode(RAMP + number) for number in range(3)]
    yield "enhanced-jpeg-ls", compressed(_mark(enhanced(volumes[:1])), JPEG + "80", frames)
    yield "enhanced-fragments", compressed(_mark(enhanced(volumes[:1])), JPEG + "80", frames, fragments_per_frame=2)
    yield (
        "enhanced-no-table",
        compressed(_mark(enhanced(volumes[:1])), JPEG + "80", frames, fragments_per_frame=2, has_bot=False),
    )
    extended = _mark(enhanced(volumes[:1]))
    even = [code + b"\0" * (len(code) % 2) for code in frames]
    data, offsets, lengths = encapsulate_extended(even)
    extended.PixelData, extended.ExtendedOffsetTable, extended.ExtendedOffsetTableLengths = data, offsets, lengths
    extended["PixelData"].VR = "OB"
    extended["PixelData"].is_undefined_length = True
    yield "enhanced-extended-table", packed(extended, JPEG + "80")
    clip = marked(
        np.zeros((8, 8), np.uint8), NumberOfFrames=4, SOPClassUID="1.2.840.10008.5.1.4.1.1.3.1", Modality="US"
    )
    clip.PixelData = bytes(4 * 64)
    yield "clip", packed(clip)


def _one_of_a_series() -> Made:
    made = []
    for number in range(4):
        place = [0, 0, 2.5 * number]
        made.append(packed(marked(number=number, ImagePositionPatient=place, InstanceNumber=number + 1)))
    return "series", made[1], tuple((f"IM100{number}", made[number]) for number in (0, 2, 3))
