"""Fifty scans, each broken in its own way, with the code that it must be refused with."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import imagecodecs
import nibabel
import numpy as np
import tifffile
from PIL import Image
from pydicom.dataset import Dataset

from tests.factories.dicom import enhanced
from tests.fuzzing.dicom_seeds import JPEG, RAMP, compressed, marked, packed, photograph
from tests.fuzzing.mutations import png_chunk

Files = dict[str, bytes]


@dataclass(frozen=True)
class Broken:
    """One broken scan.

    Attributes:
        name: What is wrong with it.
        code: The only code that says so.
        make: Its files, by name.
    """

    name: str
    code: str
    make: Callable[[], Files]


def series(heights: Sequence[float] = (0.0, 2.0, 4.0, 6.0), **changes: Any) -> list[Dataset]:
    """Slices of one series."""
    made = [marked(RAMP[:3, :4].copy(), number=number, **changes) for number, _ in enumerate(heights)]
    for dataset, height in zip(made, heights, strict=True):
        dataset.ImagePositionPatient = [0, 0, height]
    return made


def _files(datasets: Sequence[Dataset]) -> Files:
    return {f"IM{number}": packed(dataset) for number, dataset in enumerate(datasets)}


def _bent(change: Callable[[list[Dataset]], object], heights: Sequence[float] = (0.0, 2.0, 4.0, 6.0)) -> Files:
    made = series(heights)
    change(made)
    return _files(made)


def _one(**changes: Any) -> Callable[[], Files]:
    return lambda: {"IM1": packed(marked(**changes))}


def _each(name: str, values: Sequence[Any]) -> Callable[[], Files]:
    def change(made: list[Dataset]) -> None:
        for dataset, value in zip(made, values, strict=True):
            setattr(dataset, name, value)

    return lambda: _bent(change)


def _tilted() -> Files:
    return _each("ImagePositionPatient", [[0, 0.4 * n, 2.0 * n] for n in range(4)])()


def _cut_slice() -> Files:
    files = _files(series())
    return {**files, "IM2": files["IM2"][:-10]}


def _syntax(end: str, code: bytes, **changes: Any) -> Callable[[], Files]:
    return lambda: {"IM1": compressed(marked(**changes), JPEG + end, [code])}


def _unknown_syntax() -> Files:
    known = _syntax("102", bytes(64))()
    return {name: data.replace(b"1.2.4.102", b"1.2.4.999") for name, data in known.items()}


def _lying_pixels() -> Files:
    whole = packed(marked())
    return {"IM1": whole.replace(struct.pack("<I", RAMP.nbytes), struct.pack("<I", 2**32 - 2))}


def _cut_code() -> Files:
    code = imagecodecs.jpegls_encode(RAMP)
    return _syntax("80", code[: len(code) // 2])()


def _bent_htj2k() -> Files:
    """One byte too many among the coded data: a decoder was seen to report nothing and to give zeros."""
    code = imagecodecs.htj2k_encode(RAMP, reversible=True)
    return _syntax("201", code[:133] + b"\0" + code[133:])()


def _few_frames() -> Files:
    dataset = enhanced([np.stack([RAMP] * 3)])
    dataset.NumberOfFrames = 5
    return {"IM1": packed(dataset)}


def _nifti(array: Any = None, affine: Any = None, **header: Any) -> bytes:
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5) if array is None else array
    image = nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine)
    for name, value in header.items():
        image.header[name] = value
    data = bytearray(image.to_bytes())
    if "scl_slope" in header:  # nibabel writes none of its own header
        struct.pack_into("<f", data, 112, header["scl_slope"])
    return bytes(data)


def _packed_nifti(change: Callable[[bytes], bytes]) -> Callable[[], Files]:
    noise = np.random.default_rng(0).integers(0, 9999, (9, 9, 9)).astype(np.int16)
    return lambda: {"x.nii.gz": change(gzip.compress(_nifti(noise), mtime=0))}


def _flipped(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 0xFF]) + data[len(data) // 2 + 1 :]


def _singular() -> Files:
    data = bytearray(_nifti())
    struct.pack_into("<12f", data, 280, *[1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0])
    return {"x.nii": bytes(data)}


def _dim(*sizes: int) -> Callable[[], Files]:
    def make() -> Files:
        data = bytearray(_nifti())
        struct.pack_into("<8h", data, 40, *sizes)
        return {"x.nii": bytes(data)}

    return make


def _analyze() -> Files:
    data = bytearray(_nifti()[:348])
    data[344:348] = bytes(4)
    return {"x.hdr": bytes(data), "x.img": bytes(120)}


def _picture(kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(photograph()).save(out, format=kind, **options)
    return out.getvalue()


def _animation() -> Files:
    more = [Image.fromarray(photograph()[::-1]), Image.fromarray(photograph()[:, ::-1])]
    return {"x.gif": _picture("GIF", save_all=True, append_images=more)}


def _pages() -> Files:
    out = io.BytesIO()
    tifffile.imwrite(out, np.stack([RAMP] * 3), photometric="minisblack")
    return {"x.tif": out.getvalue()}


def _huge_png() -> Files:
    data = _picture("PNG")
    header = struct.pack(">II", 2**30, 2**30) + data[24:29]
    return {"x.png": data[:8] + png_chunk(b"IHDR", header) + data[33:]}


BROKEN: tuple[Broken, ...] = (
    Broken("missing slice", "gap", lambda: _files(series((0, 2, 4, 8, 10)))),
    Broken("duplicate position", "duplicate-slices", lambda: _files(series((0, 2, 2, 4)))),
    Broken("uneven slices", "uneven-spacing", lambda: _files(series((0, 2, 4.7, 6)))),
    Broken("tilted gantry", "tilted", _tilted),
    Broken("two patients", "inconsistent", _each("PatientID", ["a", "b", "b", "a"])),
    Broken("two units", "inconsistent", _each("RescaleType", ["HU", "HU", "US", "HU"])),
    Broken(
        "no positions", "no-geometry", lambda: _bent(lambda made: [delattr(d, "ImagePositionPatient") for d in made])
    ),
    Broken("skewed directions", "bad-geometry", _each("ImageOrientationPatient", [[1, 0, 0, 0.5, 1, 0]] * 4)),
    Broken("parallel directions", "bad-geometry", _each("ImageOrientationPatient", [[1, 0, 0, 1, 0, 0]] * 4)),
    Broken("cut pixels in a series", "damaged", _cut_slice),
    Broken("cut pixels", "damaged", lambda: {"IM1": packed(marked())[:-50]}),
    Broken("cut header", "damaged", lambda: {"IM1": packed(marked())[:700]}),
    Broken("lying length", "damaged", _lying_pixels),
    Broken("garbage", "not-an-image", lambda: {"IM1": bytes(range(7, 250)) * 9}),
    Broken("empty file", "damaged", lambda: {"IM1": b""}),
    Broken("garbage behind a preamble", "not-an-image", lambda: {"IM1": bytes(128) + b"DICM" + b"\xff" * 900}),
    Broken("localizer", "localizer", _one(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])),
    Broken("report", "not-an-image", _one(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR")),
    Broken("segmentation", "not-an-image", _one(SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4", Modality="SEG")),
    Broken("dose sheet", "not-an-image", _one(ImageType=["DERIVED", "SECONDARY", "DOSE_INFO"])),
    Broken("no pixels", "damaged", _one(PixelData=None)),
    Broken("no rows", "damaged", _one(Rows=0)),
    Broken("more rows than pixels", "damaged", _one(Rows=2000)),
    Broken("64-bit words", "unsupported", _one(BitsAllocated=64, BitsStored=64, HighBit=63)),
    Broken("more bits than words", "damaged", _one(BitsStored=17, HighBit=16)),
    Broken("two samples", "unsupported", _one(SamplesPerPixel=2)),
    Broken("many frames", "too-large", _one(NumberOfFrames=2**31 - 1)),
    Broken("frames without places", "no-geometry", _one(NumberOfFrames=2)),
    Broken("fewer frames than declared", "damaged", _few_frames),
    Broken("mpeg-2", "unsupported", _syntax("100", bytes(64))),
    Broken("h.264", "unsupported", _syntax("102", bytes(64))),
    Broken("unknown syntax", "unsupported", _unknown_syntax),
    Broken("codestream of another kind", "damaged", _syntax("90", imagecodecs.jpegls_encode(RAMP))),
    Broken("codestream of another size", "damaged", _syntax("80", imagecodecs.jpegls_encode(RAMP[:8]))),
    Broken("codestream of noise", "damaged", _syntax("70", bytes(range(256)))),
    Broken("cut codestream", "damaged", _cut_code),
    Broken("codestream that its decoder gives up on in silence", "damaged", _bent_htj2k),
    Broken("cut .nii.gz", "damaged", _packed_nifti(lambda data: data[: len(data) // 2])),
    Broken("flipped .nii.gz", "damaged", _packed_nifti(_flipped)),
    Broken("cut .nii", "damaged", lambda: {"x.nii": _nifti()[:-20]}),
    Broken("singular affine", "bad-geometry", _singular),
    Broken("not finite", "not-finite", lambda: {"x.nii": _nifti(np.full((3, 3, 3), np.nan, np.float32))}),
    Broken("infinite slope", "not-finite", lambda: {"x.nii": _nifti(scl_slope=np.inf)}),
    Broken("four-dimensional", "four-dimensional", lambda: {"x.nii": _nifti(np.zeros((3, 3, 3, 2), np.int16))}),
    Broken("larger than its file", "damaged", _dim(3, 300, 300, 300, 1, 1, 1, 1)),
    Broken("analyze", "unsupported", _analyze),
    Broken("cut png", "damaged", lambda: {"x.png": _picture("PNG")[:-100]}),
    Broken("huge png", "too-large", _huge_png),
    Broken("animation", "several-images", _animation),
    Broken("pages", "several-images", _pages),
)
