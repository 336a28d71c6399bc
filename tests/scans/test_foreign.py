"""What is no scan, or none that is read, is called what it is, under the right code, with something that helps."""

from __future__ import annotations

import bz2
import io
import struct
import zipfile
import zlib
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from medcls.errors import ScanRefused
from medcls.scans import find_scans, read_scan
from medcls.scans.core.transfer_syntaxes import not_decoded
from medcls.scans.dicom.pixels.run_lengths import decode_runs
from medcls.scans.probe.foreign import foreign
from tests.factories.dicom import SC, instance, save
from tests.fuzzing.dicom_seeds import JPEG, compressed, packed
from tests.fuzzing.reader import _PYTHON

STORAGE = "1.2.840.10008.5.1.4.1.1."


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return out.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
FILES = {
    "page.dcm": (b"<!DOCTYPE html>\n<html><title>404</title></html>", "not-an-image", "web page", "download it again"),
    "answer.dcm": (b'{"error": "no such study"}', "not-an-image", "a text", "download it again"),
    "answer.nii": ("é <?xml version='1.0'?>".encode(), "not-an-image", "a text", "download it again"),
    "wide.dcm": ("not found".encode("utf-16"), "not-an-image", "a text", "download it again"),
    "pointer.nii.gz": (POINTER, "not-an-image", "Git LFS pointer", "git lfs pull"),
    "annex.dcm": (b"/annex/objects/MD5E-s12--ab.dcm\n", "not-an-image", "git-annex pointer", "git annex get"),
    "report.dcm": (b"%PDF-1.7\n" + bytes(99), "not-an-image", "PDF", "Leave it out"),
    "sheet.dcm": (zipped("[Content_Types].xml", "xl/workbook.xml"), "not-an-image", "office", "Leave it out"),
    "old.ima": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "not-an-image", "office", "Leave it out"),
    "viewer.bin": (b"MZ\x90\0" + bytes(99), "not-an-image", "a program", "Leave it out"),
    "brain.gii": (b"<?xml version='1.0'?>\n<!DOCTYPE GIFTI>\n<GIFTI/>", "not-an-image", "surface", "Leave it out"),
    "voxels.img": (bytes([7, 1, 200, 3]) * 60, "not-an-image", "bare voxels", "the header"),
    "empty.dcm": (b"", "damaged", "empty", "again"),
    "zeros.nii": (bytes(5000), "damaged", "zeros", "again"),
    "x.mnc": (b"CDF\1" + bytes(99), "unsupported", "MINC", "NIfTI"),
    "x.mat": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(99), "unsupported", "MATLAB", "NIfTI"),
    "x.h5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "unsupported", "HDF5", "NIfTI"),
    "x.npy": (b"\x93NUMPY\1\0" + bytes(99), "unsupported", "NumPy", "NIfTI"),
    "x.npz": (zipped("volume.npy"), "unsupported", "Python", "NIfTI"),
    "x.heic": (b"\0\0\0\x18ftypheic" + bytes(99), "unsupported", "HEIC", "PNG"),
    "x.webp": (b"RIFF\0\0\0\0WEBPVP8 " + bytes(99), "unsupported", "WebP", "PNG"),
    "x.jp2": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99), "unsupported", "JPEG 2000", "PNG"),
    "x.cr2": (b"II*\0\x10\0\0\0CR\2\0" + bytes(99), "unsupported", "camera", "TIFF"),
    "x.raf": (b"FUJIFILMCCD-RAW " + bytes(99), "unsupported", "camera", "TIFF"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path, name):
    data, code, what, remedy = FILES[name]
    (tmp_path / name).write_bytes(data)
    (refused,) = find_scans(tmp_path).refused
    assert (refused.name, refused.code) == (name, code)
    assert what in refused.reason
    assert remedy in refused.remedy


def test_what_lies_beside_scans_is_passed_over_and_called_what_it_is_when_named(tmp_path):
    for name in ("viewer.exe", "autorun.inf", "VERSION", "LOCKFILE", "README", "x.bval", "x.json"):
        (tmp_path / name).write_bytes(b"MZ" + bytes(9))
    assert find_scans(tmp_path).refused == ()
    with pytest.raises(ScanRefused, match="a program"):
        read_scan(tmp_path / "viewer.exe")
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(40))
    with pytest.raises(ScanRefused, match="Name the folder"):
        read_scan(tmp_path / "DICOMDIR")


def test_a_link_that_leads_nowhere_is_not_taken_for_a_device(tmp_path):
    (tmp_path / "x.nii").symlink_to(tmp_path / ".git" / "annex" / "x")
    (refused,) = find_scans(tmp_path).refused
    assert (refused.code, refused.reason) == ("unreadable", "the link leads to no file")


@given(st.binary(max_size=1024), st.sampled_from(["x", "x.dcm", "x.img", "x.npz", "x.txt"]))
def test_any_bytes_are_called_something(head, name):
    error = foreign(head, Path(name))
    assert error.what
    assert error.remedy
    assert not _PYTHON.search(str(error))


def test_a_pair_is_read_by_whichever_of_its_files_is_named(tmp_path):
    volume = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    nibabel.save(nibabel.Nifti1Pair(volume, np.diag([2, 2, 2, 1])), tmp_path / "x.img")
    for name in ("x.img", "x.hdr"):
        assert (read_scan(tmp_path / name).array[0] == volume).all()


OBJECTS = {
    "Microscopy Bulk Simple Annotations": ("91.1", "SM"),
    "Segmentation": ("66.4", "SEG"),
    "RT Structure Set": ("481.3", "RTSTRUCT"),
    "RT Segment Annotation": ("481.11", "RTSEGANN"),
    "Enhanced SR": ("88.22", "SR"),
    "Comprehensive SR": ("88.33", "CT"),
    "Key Object Selection Document": ("88.59", "KO"),
    "Grayscale Softcopy Presentation State": ("11.1", "PR"),
    "12-lead ECG Waveform": ("9.1.1", "ECG"),
    "Encapsulated PDF": ("104.1", "CT"),
    "Encapsulated STL": ("104.3", "M3D"),
    "Parametric Map": ("30", "MR"),
    "Raw Data": ("66", "MR"),
    "MR Spectroscopy": ("4.2", "MR"),
    "Real World Value Mapping": ("67", "RWV"),
    "CT Performed Procedure Protocol": ("200.2", "CT"),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_a_dicom_object_without_an_image_is_no_damaged_image(tmp_path, name):
    end, modality = OBJECTS[name]
    empty = instance(SOPClassUID=STORAGE + end, Modality=modality)
    for keyword in ("Rows", "Columns", "PixelData"):
        delattr(empty, keyword)
    save(empty, tmp_path / "x")
    (refused,) = find_scans(tmp_path).refused
    assert (refused.code, refused.reason) == ("not-an-image", f"a DICOM object without an image: {name}")


def test_an_image_without_its_pixels(tmp_path):
    bare = instance()
    del bare.PixelData
    save(bare, tmp_path / "x")
    (refused,) = find_scans(tmp_path).refused
    assert (refused.code, refused.reason) == ("damaged", "the header of an image, without its pixels")
    bare.private_block(0x7FE1, "GEMS_Ultrasound_MovieGroup_001", create=True).add_new(0x10, "OB", bytes(512))
    save(bare, tmp_path / "x")
    (refused,) = find_scans(tmp_path).refused
    assert refused.code == "unsupported"
    assert refused.reason.endswith("private elements of GEMS_Ultrasound_MovieGroup_001")
    bare.private_block(0x7FE1, "Doe^Jane", create=True).add_new(0x10, "OB", bytes(1024))
    save(bare, tmp_path / "x")
    assert find_scans(tmp_path).refused[0].reason.endswith("of the manufacturer")
    del bare.Rows
    save(bare, tmp_path / "x")
    assert find_scans(tmp_path).refused[0].code == "damaged"


@pytest.mark.parametrize("end", ["100", "101", "102", "103", "104", "105", "106", "107", "108", "102.1"])
def test_a_video_in_dicom_without_its_decoder_is_called_one(end):
    refused = not_decoded(JPEG + end)
    assert refused.code == "unsupported"
    assert refused.what.startswith("a video, compressed as ")


def test_a_file_that_begins_twice(tmp_path):
    data = packed(instance())
    start = 144 + int.from_bytes(data[140:144], "little")
    for again in (data, data[128:]):
        (tmp_path / "x").write_bytes(data[:start] + again)
        (refused,) = find_scans(tmp_path).refused
        assert (refused.code, refused.reason.split(":")[0]) == ("damaged", "the file begins twice")
    (tmp_path / "x").write_bytes(data[:start] + data[132:start] + data[start:])
    assert read_scan(tmp_path / "x").shape == (4, 3)
    other = data[132:start].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0")
    (tmp_path / "x").write_bytes(data[:start] + other + data[start:])
    assert "two transfer syntaxes" in find_scans(tmp_path).refused[0].reason


def literals(data: bytes, claimed: int) -> bytes:
    """A segment of literal runs, the last of which claims so many bytes more than there are."""
    parts = [data[start : start + 100] for start in range(0, len(data), 100)]
    whole = b"".join(bytes([len(part) - 1]) + part for part in parts[:-1])
    return whole + bytes([len(parts[-1]) - 1 + claimed]) + parts[-1]


def runs(*segments: bytes) -> bytes:
    starts = np.cumsum([64, *map(len, segments[:-1])])
    return struct.pack("<16I", len(segments), *starts, *[0] * (15 - len(segments))) + b"".join(segments)


@given(st.binary(min_size=4, max_size=300), st.integers(0, 27), st.integers(0, 3))
def test_a_last_run_may_claim_too_much(values, claimed, padding):
    data = runs(literals(values, claimed) + bytes(padding), literals(values[::-1], claimed))
    assert decode_runs(data, 2, len(values)).tobytes() == values + values[::-1]
    with pytest.raises(ScanRefused, match=f"{len(values)} of {len(values) + 9} values"):
        decode_runs(runs(literals(values, claimed)), 1, len(values) + 9)
    with pytest.raises(ScanRefused, match=f"more than the {len(values)} values"):
        decode_runs(runs(literals(values, 0) + b"\0\1"), 1, len(values))


def test_a_run_length_file_whose_last_run_claims_too_much(tmp_path):
    picture = (np.arange(15 * 14).reshape(15, 14) * 257).astype(np.uint16)
    planes = [literals(part.tobytes(), 30) for part in ((picture >> 8).astype("u1"), picture.astype("u1"))]
    image = instance(picture)
    (tmp_path / "x").write_bytes(compressed(image, "1.2.840.10008.1.2.5", [runs(*planes)]))
    assert np.array_equal(read_scan(tmp_path / "x").array[0].T, picture)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("alpha", [65535, 32768])
def test_grey_of_sixteen_bits_with_alpha(tmp_path, alpha):
    grey = (np.arange(12 * 16).reshape(12, 16) * 300).astype(np.uint16)
    rows = np.dstack([grey, np.full_like(grey, alpha)]).astype(">u2")
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 12, 16, 4, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)))
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b""))
    scan = read_scan(tmp_path / "x.png")
    expected = (grey.astype(np.uint32) * alpha + 32767) // 65535
    assert (scan.photometric, scan.array.dtype) == ("grey", np.uint16)
    assert np.array_equal(scan.array[0].T, expected)
    assert scan.notes[0].startswith("alpha: ")


def test_a_preview_of_a_raw_picture_is_not_taken_for_the_picture(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.dng") as writer:
        preview, whole = np.zeros((8, 8, 3), np.uint8), np.zeros((64, 64), np.uint16)
        writer.write(preview, photometric="rgb", subifds=1, subfiletype=1)
        writer.write(whole, photometric="minisblack")
    (refused,) = find_scans(tmp_path).refused
    assert (refused.code, refused.reason) == ("unsupported", "this is a camera's raw picture")


NRRD = "NRRD0004\ntype: short\ndimension: {}\nsizes: {}\nencoding: {}\n{}\n"
NRRDS = {
    "text": (NRRD.format(2, "2 2", "ascii", "").encode() + b"1 2\n3 4\n", "unsupported", "voxels written as text"),
    "packed": (
        NRRD.format(2, "2 2", "bzip2", "endian: little\n").encode() + bz2.compress(bytes(8)),
        "unsupported",
        "voxels that are neither raw nor gzip",
    ),
    "list": (
        NRRD.format(1, "4", "raw", "endian: little\n").encode() + bytes(8),
        "not-an-image",
        "one axis alone: a list of values, and no image",
    ),
}


@pytest.mark.parametrize("name", NRRDS)
def test_a_nrrd_of_another_kind(tmp_path, name):
    data, code, what = NRRDS[name]
    (tmp_path / "x.nrrd").write_bytes(data)
    (refused,) = find_scans(tmp_path).refused
    assert (refused.code, refused.reason) == (code, what)
    assert "uncompressed" not in refused.remedy


def test_a_nrrd_that_says_nothing_of_its_place_is_read(tmp_path):
    data = NRRD.format(2, "3 2", "raw", "endian: little\n").encode() + np.arange(6, dtype="<i2").tobytes()
    (tmp_path / "x.nrrd").write_bytes(data)
    scan = read_scan(tmp_path / "x.nrrd")
    assert not scan.has_geometry
    assert np.array_equal(scan.array[0].T, np.arange(6).reshape(2, 3))


def test_values_on_a_surface_are_no_volume(tmp_path):
    header = nibabel.Nifti2Header()
    header.set_intent(3006)
    nibabel.save(
        nibabel.Nifti2Image(np.zeros((1, 1, 1, 1, 2, 9), np.float32), None, header), tmp_path / "x.dscalar.nii"
    )
    (refused,) = find_scans(tmp_path).refused
    assert refused.code == "not-an-image"
    assert "CIFTI" in refused.reason


def test_floating_point_pixels_are_called_so(tmp_path):
    image = instance(SOPClassUID=SC, Modality="OT")
    image.FloatPixelData = np.zeros(12, np.float32).tobytes()
    image.BitsAllocated = 32
    del image.PixelData
    save(image, tmp_path / "x")
    with pytest.raises(ScanRefused, match="floating-point"):
        read_scan(tmp_path / "x")


def test_imagecodecs_still_refuses_what_our_decoder_of_runs_is_for():
    with pytest.raises(imagecodecs.DicomrleError):
        imagecodecs.dicomrle_decode(runs(literals(bytes(range(200)), 20)), np.dtype("u1"))
