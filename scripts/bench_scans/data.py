"""The files that are read: made here, from a seed."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite

from .headers import INTERCEPT, ROOT, add_pixels, ct_header, ct_volume, file_meta, place

EXPLICIT = "1.2.840.10008.1.2.1"
_JPEG = "1.2.840.10008.1.2.4."
SYNTAXES = {
    "RLE": "1.2.840.10008.1.2.5",
    "JPEG-LS": _JPEG + "80",
    "JPEG 2000 lossless": _JPEG + "90",
    "JPEG lossless SV1": _JPEG + "70",
    "JPEG baseline": _JPEG + "50",
    "HTJ2K lossless": _JPEG + "201",
}
_OLD = 1_600_000_000  # every file looks old, as in an archive: an index need not fear a change within the clock's grain


@dataclass(frozen=True)
class Series:
    """A CT series on disk.

    Attributes:
        folder: Where its files are, and nothing else.
        names: File names in slice order.
        spans: Offset and length of each slice's pixels or codestream in its file.
        size: Rows and columns.
        dtype: Type of the stored values.
        intercept: What the rescale adds.
        tolerance: How far a lossy decoder may differ from the reference.
    """

    folder: Path
    names: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    size: int
    dtype: str
    intercept: int
    tolerance: int

    @property
    def paths(self) -> list[Path]:
        return [self.folder / name for name in self.names]

    @property
    def truth(self) -> NDArray[Any]:
        """``(x, y, z)`` int16 values after the rescale."""
        loaded: NDArray[Any] = np.load(self.folder.with_suffix(".npy"))
        return loaded

    @property
    def volume_bytes(self) -> int:
        return self.size * self.size * len(self.names) * 2

    def save(self) -> None:
        record = {**asdict(self), "folder": str(self.folder)}
        self.folder.with_suffix(".json").write_text(json.dumps(record), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Series:
        record = json.loads(folder.with_suffix(".json").read_text(encoding="utf-8"))
        spans = tuple((start, length) for start, length in record["spans"])
        return cls(**{**record, "folder": folder, "names": tuple(record["names"]), "spans": spans})


def write_series(folder: Path, *, slices: int, size: int, seed: int, syntax: str = EXPLICIT) -> Series:
    """Write one series; compressed where the syntax says so.

    Raises:
        ImportError: No encoder of this syntax is installed.
    """
    rng = np.random.default_rng(seed)
    stored: NDArray[Any] = ct_volume(rng, slices, size)
    lossy = syntax == SYNTAXES["JPEG baseline"]
    if lossy:
        stored = (stored >> 4).astype(np.uint8)
    folder.mkdir(parents=True)
    encode = None if syntax == EXPLICIT else encoder(syntax)
    order = rng.permutation(slices)  # file names say nothing about the order of slices
    names, spans, decoded = [], [], []
    for index, pixels in enumerate(stored):
        name = f"IM{order[index]:05d}"
        dataset = ct_header(size)
        place(dataset, number=index + 1, height=float(index), uid=f"{ROOT}.4.{index + 1}")
        if lossy:
            dataset.BitsAllocated = dataset.BitsStored = 8
            dataset.HighBit, dataset.LossyImageCompression = 7, "01"
            dataset.LargestImagePixelValue = 255
        dataset.file_meta = file_meta(dataset, syntax)
        stream = pixels.tobytes() if encode is None else encode(pixels)
        if encode is None:
            add_pixels(dataset, pixels)
        else:
            dataset.PixelData = encapsulate([stream])
            dataset["PixelData"].VR = "OB"
        dcmwrite(folder / name, dataset, enforce_file_format=True)
        names.append(name)
        spans.append(((folder / name).read_bytes().rindex(stream), len(stream)))
        decoded.append(_reference_of_lossy(stream) if lossy else pixels)
    values = (np.stack(decoded).astype(np.int16) + np.int16(INTERCEPT)).transpose(2, 1, 0)
    np.save(folder.with_suffix(".npy"), values)
    make_old(folder)
    done = Series(folder, tuple(names), tuple(spans), size, str(stored.dtype), INTERCEPT, 2 if lossy else 0)
    done.save()
    return done


def encoder(syntax: str) -> Callable[[NDArray[Any]], bytes]:
    """What turns ``(rows, columns)`` stored values into a codestream."""
    import imagecodecs

    encoders: dict[str, Callable[[NDArray[Any]], bytes | bytearray]] = {
        "RLE": _run_lengths,
        "JPEG-LS": imagecodecs.jpegls_encode,
        "JPEG 2000 lossless": lambda pixels: imagecodecs.jpeg2k_encode(
            pixels, level=0, reversible=True, codecformat="j2k", bitspersample=12
        ),
        "JPEG lossless SV1": lambda pixels: imagecodecs.jpeg8_encode(
            pixels, lossless=True, predictor=1, bitspersample=12
        ),
        "JPEG baseline": lambda pixels: imagecodecs.jpeg8_encode(pixels, level=90),
        "HTJ2K lossless": lambda pixels: imagecodecs.htj2k_encode(pixels, reversible=True),
    }
    names = {uid: name for name, uid in SYNTAXES.items()}
    encode = encoders[names[syntax]]
    return lambda pixels: bytes(encode(pixels))


def _run_lengths(pixels: NDArray[Any]) -> bytes:
    from pydicom.pixels.encoders import RLELosslessEncoder

    coded: bytes = RLELosslessEncoder.encode(
        pixels, encoding_plugin="pydicom", rows=pixels.shape[0], columns=pixels.shape[1], samples_per_pixel=1,
        number_of_frames=1, bits_allocated=16, bits_stored=16, pixel_representation=0,
        photometric_interpretation="MONOCHROME2",
    )  # fmt: skip
    return coded


def _reference_of_lossy(stream: bytes) -> NDArray[Any]:
    """What a lossy codestream means: there is no truth but a decoder's, here libjpeg-turbo in Pillow."""
    from PIL import Image

    with Image.open(io.BytesIO(stream)) as image:
        return np.array(image)


def write_folders(root: Path, *, files: int, a_series: int, seed: int) -> dict[str, list[str]]:
    """Write many series of small CT slices, one folder each, as an archive of exams looks.

    One slice is encoded, and what differs between slices is put into its bytes at equal length.

    Returns:
        For each folder under ``root``, its file names in slice order; also saved beside as JSON.
    """
    rng = np.random.default_rng(seed)
    template = ct_header(16)
    place(template, number=77777, height=7777.7, uid=f"{ROOT}.55555.77777")
    template.SeriesInstanceUID, template.StudyInstanceUID = f"{ROOT}.2.66666", f"{ROOT}.1.66666"
    template.PatientID = "P66666"
    add_pixels(template, rng.integers(0, 4096, (16, 16)).astype(np.uint16))
    template.file_meta = file_meta(template, EXPLICIT)
    buffer = io.BytesIO()
    dcmwrite(buffer, template, enforce_file_format=True)
    layout: dict[str, list[str]] = {}
    for series in range(-(-files // a_series)):
        folder = f"P{series // 4:04d}/S{series:05d}"
        (root / folder).mkdir(parents=True)
        of_series = buffer.getvalue().replace(b"66666", b"%05d" % series).replace(b"55555", b"%05d" % series)
        count = min(a_series, files - series * a_series)
        names = [f"IM{number:05d}" for number in rng.permutation(count)]
        for index, name in enumerate(names):
            body = of_series.replace(b"77777", b"%05d" % (index + 1)).replace(b"7777.7", b"%06.1f" % index)
            (root / folder / name).write_bytes(body)
        layout[folder] = names
    make_old(root)
    root.with_suffix(".json").write_text(json.dumps(layout), encoding="utf-8")
    return layout


def write_nifti(folder: Path, *, shape: tuple[int, int, int], seed: int) -> tuple[Path, Path, NDArray[Any]]:
    """Write a brain-like int16 volume as ``.nii.gz`` (level 6) and ``.nii``.

    Returns:
        Both files, and the values ``(x, y, z)``.
    """
    import nibabel
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    axes = np.meshgrid(*(np.linspace(-1, 1, length, dtype=np.float32) for length in shape), indexing="ij")
    radius = np.sqrt(sum((axis / 0.8) ** 2 for axis in axes))
    texture = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 3)
    texture = texture / texture.std() * 900 + rng.standard_normal(shape, dtype=np.float32) * 60
    values = np.where(radius < 1, np.clip(5000 + texture, 1, 9999), 0).astype(np.int16)
    image = nibabel.Nifti1Image(values, np.diag([-1.0, 1.0, 1.0, 1.0]))
    image.header.set_xyzt_units("mm", "sec")
    plain, packed = folder / "brain.nii", folder / "brain.nii.gz"
    nibabel.save(image, plain)
    packed.write_bytes(gzip.compress(plain.read_bytes(), compresslevel=6, mtime=0))
    make_old(folder)
    return packed, plain, values


def make_old(folder: Path) -> None:
    """Set every time of change under a folder to a day long ago, and read every file once so that it is in memory."""
    for here, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(here, name)
            path.read_bytes()
            os.utime(path, (_OLD, _OLD))
        os.utime(here, (_OLD, _OLD))
