"""Real scans: each is read right or refused with the right code; nibabel and the uncompressed twins are the judges."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from medcls.scans import find_scans, read_scan

REFUSED = {
    "ct_head_phantom_gantrytilt_GE": "uneven-spacing",
    "dicom2nifti/failing/sliceincrement/001": "gap",
    "dicom2nifti/failing/sliceincrement/002": "gap",
    "dicom2nifti/failing/gantrytilting/001": "tilted",
}


@pytest.fixture(scope="module")
def found(shared_data):
    return find_scans(shared_data / "dicom")


def test_every_dicom_series_is_read_or_refused_with_its_code(found):
    assert {item.name: item.code for item in found.refused} == REFUSED
    assert len(found.scans) == 93
    for source in found.scans:
        scan = read_scan(source)
        assert (scan.shape, scan.channels) == (source.shape, source.channels)
        assert np.allclose(scan.spacing, source.spacing)


def test_every_file_is_accounted_for(found, shared_data):
    files = {path for path in (shared_data / "dicom").rglob("*") if path.is_file()}
    seen = [path for item in (*found.scans, *found.refused) for path in item.paths]
    assert set(seen) | set(found.ignored) == files


@pytest.mark.parametrize("syntax", ["J2KR", "JLSL", "JPLL", "RLE"])
def test_lossless_files_equal_their_uncompressed_twins(shared_data, syntax):
    folder = shared_data / "dicom" / "wg04"
    files = sorted((folder / syntax).iterdir())
    assert files
    for path in files:
        twin = folder / "REF" / path.name.replace(syntax, "UNC")
        one, other = read_scan(path), read_scan(twin)
        assert np.array_equal(one.array, other.array), path.name
        assert np.array_equal(one.affine, other.affine)


@pytest.mark.parametrize("syntax", ["JPLY", "JLSN", "J2KI"])
def test_lossy_files_are_near_their_uncompressed_twins(shared_data, syntax):
    folder = shared_data / "dicom" / "wg04"
    for path in sorted((folder / syntax).iterdir()):
        one, other = read_scan(path), read_scan(folder / "REF" / path.name.replace(syntax, "UNC"))
        inner = other.array > other.array.min()  # the rim of padding is blurred by the compression itself
        error = np.abs(one.array.astype(float) - other.array)[inner]
        assert np.sqrt((error**2).mean()) <= 0.04 * np.ptp(other.array), path.name


def test_philips_field_map_and_magnitude_are_two_volumes_with_their_own_scale(shared_data):
    found = find_scans(shared_data / "dicom" / "enhanced_multiframe" / "Philips")
    ranges = [(scan.array.min(), scan.array.max()) for scan in (read_scan(source) for source in found.scans)]
    assert len(ranges) == 2
    assert ranges[0][0] < -400 < 0 <= ranges[1][0]


def test_a_scan_rewritten_by_an_archive_is_the_same_scan(shared_data):
    folder = shared_data / "dicom" / "enhanced_agfa_vs_siemens"
    for one, other in zip(find_scans(folder / "Agfa").scans, find_scans(folder / "Siemens").scans, strict=True):
        first, second = read_scan(one), read_scan(other)
        assert one.part == other.part
        assert np.array_equal(first.array, second.array)
        assert np.allclose(first.affine, second.affine, atol=1e-4)


def test_one_volume_in_five_encodings_is_one_volume(shared_data):
    folder = shared_data / "dicom" / "dicom2nifti" / "generic"
    names = ["compressed", "compressed_rle", "compressed_j2k", "compressed_jpegls", "compressed_jpeg"]
    first, *others = [read_scan(folder / name / "001") for name in names]
    for other in others:
        assert np.array_equal(first.array, other.array)


def test_every_nifti_volume_agrees_with_nibabel_or_is_refused(shared_data):
    found = find_scans(shared_data / "nifti")
    assert {item.name: item.code for item in found.refused} == {"pcasl.nii.gz": "four-dimensional"}
    assert len(found.scans) == 14
    for source in found.scans:
        scan, oracle = read_scan(source), nibabel.load(source.paths[0])
        assert np.allclose(scan.affine, oracle.affine)
        data = np.asanyarray(oracle.dataobj)
        expected = np.stack([data[name] for name in "RGB"]) if data.dtype.names else data[None]
        assert np.allclose(scan.array, expected, rtol=1e-6)


@pytest.mark.parametrize("folder", ["brain_yesno", "stomach_ulcer"])
def test_every_picture_of_the_real_sets_is_read(shared_data, folder):
    found = find_scans(shared_data / folder)
    assert len(found.scans) >= 100
    assert not found.refused
    assert {read_scan(source).array.dtype for source in found.scans} == {np.dtype(np.uint8)}
