"""Seeds of the fuzz: one small file of every kind that medcls reads, the same bytes every time.

A seed is a folder's worth of files, of which one is mutated. Nothing comes from outside; a user may add real scans.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import tifffile
from PIL import Image

from tests.fuzzing.dicom_seeds import RAMP, dicom_seeds, photograph

MAX_BYTES = 16 * 2**20
"""Larger files of a user's folder are left out, so that writing does not take longer than reading."""


REFUSED = {"mpeg": "unsupported", "nifti-four-dimensional": "four-dimensional"}
"""Seeds that are refused as they are, and with which code; every other one is read."""


@dataclass(frozen=True)
class Seed:
    """Files that make up one small scan.

    Attributes:
        name: What it is, for tables.
        kind: How it is mutated: ``dicom``, ``png``, ``jpeg``, ``gzip``, ``zip`` or ``other``.
        data: The file that is mutated.
        file: Its name.
        beside: Other files that are beside it unchanged, by name.
    """

    name: str
    kind: str
    data: bytes
    file: str
    beside: tuple[tuple[str, bytes], ...] = ()


def project_seeds() -> tuple[Seed, ...]:
    """Every kind that medcls reads, made here."""
    dicom = [Seed(name, "dicom", data, "IM0001", beside) for name, data, beside in dicom_seeds()]
    return (*dicom, *_nifti(), *_itk(), *_raster(), *_archives(dicom), *_freesurfer(), *_packed(dicom))


def seeds_of(folder: Path) -> tuple[Seed, ...]:
    """One seed for each file of a user's folder, at any depth."""
    return tuple(_from_folder(folder))


def _from_folder(folder: Path) -> Iterator[Seed]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and 0 < path.stat().st_size <= MAX_BYTES:
            data = path.read_bytes()
            yield Seed(str(path.relative_to(folder)), _kind(data), data, path.name)


def _kind(data: bytes) -> str:
    if data[128:132] == b"DICM" or data[:1] == b"\x08":
        return "dicom"
    heads = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip"}
    return next((kind for head, kind in heads.items() if data.startswith(head)), "other")


def _nifti() -> Iterator[Seed]:
    volume = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4)
    affine = np.array([[-0.9, 0.1, 0, 5], [0, 0.8, 0.1, -3], [0, 0, 2.5, 7], [0, 0, 0, 1]])
    plain = _saved(nibabel.Nifti1Image(volume, affine))
    yield Seed("nifti-1", "other", plain, "scan.nii")
    yield Seed("nifti-2", "other", _saved(nibabel.Nifti2Image(volume, affine)), "scan.nii")
    big = nibabel.Nifti1Image(volume.astype(">f4"), affine, nibabel.Nifti1Header(endianness=">"))
    yield Seed("nifti-big-endian", "other", _saved(big), "scan.nii")
    scaled = nibabel.Nifti1Image(volume, affine)
    scaled.header.set_slope_inter(0.5, -3)
    yield Seed("nifti-gz", "gzip", gzip.compress(_saved(scaled), mtime=0), "scan.nii.gz")
    colour = np.zeros((5, 4, 3), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    yield Seed("nifti-rgb", "other", _saved(nibabel.Nifti1Image(colour, affine)), "scan.nii")
    series = nibabel.Nifti1Image(np.zeros((3, 3, 3, 2, 1), np.float64), affine)
    yield Seed("nifti-four-dimensional", "gzip", gzip.compress(_saved(series), mtime=0), "scan.nii.gz")
    files = nibabel.Nifti1Pair.make_file_map({key: io.BytesIO() for key in ("header", "image")})
    nibabel.Nifti1Pair(volume, affine).to_file_map(files)
    header, pixels = files["header"].fileobj.getvalue(), files["image"].fileobj.getvalue()
    yield Seed("nifti-pair-header", "other", header, "scan.hdr", (("scan.img", pixels),))
    yield Seed("nifti-pair-pixels", "other", pixels, "scan.img", (("scan.hdr", header),))


def _itk() -> Iterator[Seed]:
    volume = np.arange(6 * 5 * 4, dtype="<i2").tobytes()
    header = (
        "NRRD0004\n# comment\ntype: {}\ndimension: 3\nspace: left-posterior-superior\nsizes: {}\n"
        "space directions: {}\nkinds: {} domain domain\nendian: little\nencoding: {}\nspace origin: {}\n{}\n"
    )
    placed = ("short", "6 5 4", "(0.9,0.1,0) (0,0.8,0.1) (0,0,2.5)", "domain")
    yield Seed("nrrd", "other", header.format(*placed, "raw", "(5,-3,7)", "").encode() + volume, "scan.nrrd")
    packed = header.format(*placed, "gzip", "(5,-3,7)", "a:=b\n").encode() + gzip.compress(volume, mtime=0)
    yield Seed("nrrd-gzip", "other", packed, "scan.nrrd")
    detached = header.format(*placed, "raw", "(5,-3,7)", "data file: scan.raw\n").encode()
    yield Seed("nrrd-detached", "other", detached, "scan.nhdr", (("scan.raw", volume),))
    meta = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = {}\n"
        "TransformMatrix = 1 0 0 0 0 1 0 -1 0\nOffset = 5 -3 7\nCenterOfRotation = 0 0 0\nElementSpacing = 0.9 0.8 2.5\n"
        "DimSize = {}\nAnatomicalOrientation = RAI\n{}ElementDataFile = {}\n"
    )
    plain, colour = "ElementType = MET_SHORT\n", "ElementNumberOfChannels = 3\nElementType = MET_UCHAR\n"
    yield Seed("metaimage", "other", meta.format("False", "6 5 4", plain, "LOCAL").encode() + volume, "scan.mha")
    zipped = meta.format("True", "5 4 4", colour, "LOCAL").encode() + zlib.compress(volume)
    yield Seed("metaimage-zlib-rgb", "other", zipped, "scan.mha")
    apart = meta.format("False", "6 5 4", plain, "scan.raw").encode()
    yield Seed("metaimage-detached", "other", apart, "scan.mhd", (("scan.raw", volume),))
    yield Seed("metaimage-pixels", "other", volume, "scan.raw", (("scan.mhd", apart),))


def _freesurfer() -> Iterator[Seed]:
    volume = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4)
    data = bytes(nibabel.MGHImage(volume, np.diag([-0.9, 0.8, 2.5, 1])).to_bytes())
    yield Seed("mgh", "other", data, "scan.mgh")
    yield Seed("mgz", "gzip", gzip.compress(data, mtime=0), "scan.mgz")


def _packed(dicom: list[Seed]) -> Iterator[Seed]:
    """Files that are packed by themselves."""
    plain = next(seed.data for seed in dicom if seed.name == "ct-explicit")
    yield Seed("dicom-gz", "gzip", gzip.compress(plain, mtime=0), "IM1.dcm.gz")
    yield Seed("dicom-bz2", "other", bz2.compress(plain), "IM1.dcm.bz2")
    yield Seed("dicom-xz", "other", lzma.compress(plain), "IM1.dcm.xz")
    yield Seed("dicom-zstd", "other", imagecodecs.zstd_encode(plain), "IM1.dcm.zst")


def _saved(image: nibabel.Nifti1Image) -> bytes:
    return bytes(image.to_bytes())


def _raster() -> Iterator[Seed]:
    grey, colour = RAMP.astype(np.uint8), photograph()
    alpha = np.dstack([colour, grey])
    yield Seed("png-grey", "png", _pillow(Image.fromarray(grey), "PNG"), "x.png")
    yield Seed("png-16", "png", imagecodecs.png_encode(RAMP), "x.png")
    yield Seed("png-rgb-16", "png", imagecodecs.png_encode(colour.astype(np.uint16) * 200), "x.png")
    yield Seed("png-palette", "png", _pillow(Image.fromarray(colour).quantize(16), "PNG", transparency=3), "x.png")
    yield Seed("png-alpha", "png", _pillow(Image.fromarray(alpha), "PNG"), "x.png")
    yield Seed("png-alpha-16", "png", imagecodecs.png_encode(alpha.astype(np.uint16) * 200), "x.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    yield Seed("jpeg-exif", "jpeg", _pillow(Image.fromarray(colour), "JPEG", exif=exif), "x.jpg")
    yield Seed("jpeg-grey-progressive", "jpeg", _pillow(Image.fromarray(grey), "JPEG", progressive=True), "x.jpg")
    yield Seed("jpeg-cmyk", "jpeg", _pillow(Image.fromarray(colour).convert("CMYK"), "JPEG"), "x.jpg")
    yield Seed("bmp", "other", _pillow(Image.fromarray(colour), "BMP"), "x.bmp")
    yield Seed("bmp-palette", "other", _pillow(Image.fromarray(grey).convert("P"), "BMP"), "x.bmp")
    yield Seed("gif", "other", _pillow(Image.fromarray(grey), "GIF"), "x.gif")
    for compression in (None, "zlib", "lzw", "packbits", "jpeg", "zstd", "lzma", "jpeg2000", "webp"):
        pixels = grey if compression == "jpeg" else colour
        yield Seed(f"tiff-{compression or 'plain'}", "other", _tiff(pixels, compression), "x.tif")
    yield Seed("tiff-16-tiled", "other", _tiff(RAMP, "zlib", tile=(16, 16), predictor=True), "x.tif")
    yield Seed("tiff-float-big", "other", _tiff(RAMP.astype(np.float32), None, bigtiff=True, byteorder=">"), "x.tif")
    yield Seed("tiff-palette", "other", _pillow(Image.fromarray(colour).quantize(8), "TIFF"), "x.tif")
    yield Seed("tiff-ccitt", "other", _pillow(Image.fromarray(grey > 80), "TIFF", compression="group4"), "x.tif")


def _pillow(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format=kind, **options)  # type: ignore[arg-type]
    return out.getvalue()


def _tiff(pixels: np.ndarray, compression: str | None, *, byteorder: str = "<", bigtiff: bool = False, **more) -> bytes:
    out = io.BytesIO()
    photometric = "rgb" if pixels.ndim == 3 else "minisblack"
    with tifffile.TiffWriter(out, byteorder=byteorder, bigtiff=bigtiff) as writer:
        writer.write(pixels, photometric=photometric, compression=compression, software="", metadata=None, **more)
    return out.getvalue()


def _archives(dicom: list[Seed]) -> Iterator[Seed]:
    chosen = {seed.name: seed for seed in dicom}
    members = [chosen[name] for name in ("ct-explicit", "jpeg-ls", "mr-implicit")]
    for packing, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            for number, seed in enumerate(members):
                archive.writestr(zipfile.ZipInfo(f"study/{number}/IM{number}"), seed.data, method)
        yield Seed(f"zip-{packing}", "zip", out.getvalue(), "study.zip")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number, seed in enumerate(members):
            member = tarfile.TarInfo(f"study/{number}/IM{number}")
            member.size = len(seed.data)
            tar.addfile(member, io.BytesIO(seed.data))
    yield Seed("tar-gz", "gzip", gzip.compress(out.getvalue(), mtime=0), "study.tar.gz")
    yield Seed("tar", "other", out.getvalue(), "study.tar")
