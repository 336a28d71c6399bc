"""Real scans: each is read right or refused with the right code; dcm2niix and the uncompressed twins are the judges."""

from __future__ import annotations

import subprocess
from itertools import product

import nibabel
import numpy as np
import pytest
from dcm2niix import bin as dcm2niix

from medcls.scans import find_scans, read_scan

REFUSED = {
    "ct_head_phantom_gantrytilt_GE": "uneven-spacing",
    "dicom2nifti/failing/sliceincrement/001": "gap",
    "dicom2nifti/failing/sliceincrement/002": "gap",
    "dicom2nifti/siemens/fmri/001/IM-0001-0001.dcm": "mosaic",
    "dicom2nifti/siemens/fmri/001/IM-0001-0002.dcm": "mosaic",
}


@pytest.fixture(scope="module")
def found(shared_data):
    return find_scans(shared_data / "dicom")


def test_every_dicom_series_is_read_or_refused_with_its_code(found):
    assert {item.name: item.code for item in found.refused} == REFUSED
    assert len(found.scans) == 92
    for source in found.scans:
        scan = source.read()
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


CONVERTED = {
    "ct_chest_siemens_B40f_LungDx-A0002": 1,
    "mr_brain_siemens_HFS": 1,
    "mr_brain_siemens_HFDR": 1,
    "dicom2nifti/ge/anatomical/001": 1,
    "dicom2nifti/ge/dti/001": 2,
    "dicom2nifti/generic/anatomical/001_implicit": 1,
    "dicom2nifti/generic/anatomical/002_non_isotropic": 1,
    "dicom2nifti/generic/compressed/001": 1,
    "dicom2nifti/generic/compressed_jpeg/001": 1,
    "dicom2nifti/generic/rgb/001": 1,
    "dicom2nifti/hitachi/anatomical/001": 1,
    "dicom2nifti/hyperfine/anatomical/001": 1,
    "dicom2nifti/siemens_multiframe/anatomical/001": 1,
    "dicom2nifti/failing/sliceorientation/001": 2,
    "enhanced_multiframe/Siemens/XA10": 4,
    "enhanced_agfa_vs_siemens/Agfa": 4,
    "enhanced_agfa_vs_siemens/Siemens": 4,
    # dcm2niix applies Philips' private scale instead of the rescale of the standard: equal up to a factor.
    "dicom2nifti/philips_enhanced/anatomical/001": 1,
}


@pytest.mark.parametrize("series", CONVERTED)
def test_voxels_lie_where_dcm2niix_puts_them(shared_data, tmp_path, series):
    folder = shared_data / "dicom" / series
    command = [dcm2niix, "-b", "n", "-z", "n", "-f", "%s_%e", "-o", str(tmp_path), str(folder)]
    subprocess.run(command, capture_output=True, check=True)
    volumes = [volume for path in sorted(tmp_path.glob("*.nii")) for volume in _volumes(nibabel.load(path))]
    scans = [source.read() for source in find_scans(folder).scans]
    assert len(volumes) == len(scans) == CONVERTED[series]
    for scan in scans:
        assert any(_agree(scan, *volume, scaled="philips" in series) for volume in volumes)


def _volumes(image):
    data = np.asanyarray(image.dataobj)
    if data.dtype.names:
        yield np.stack([data[name] for name in "RGB"]), image.affine
    elif data.ndim == 4:
        yield from ((data[None, ..., index], image.affine) for index in range(data.shape[3]))
    else:
        yield data[None], image.affine


def _agree(scan, data, affine, *, scaled):
    """Whether both give every voxel the same value at the same place, 1e-4 mm in the affine's terms."""
    steps = np.linalg.inv(affine) @ scan.affine  # our voxel index to theirs: flips and swaps of axes only
    whole = np.rint(steps)
    if np.abs(affine @ whole - scan.affine)[:3, :3].max() > 1e-4:
        return False
    corners = np.array([[*corner, 1] for corner in product(*[(0, size - 1) for size in scan.shape])]).T
    if np.abs(affine @ whole @ corners - scan.affine @ corners).max() > 1e-3:
        return False
    index = np.rint(whole[:3, :3] @ np.indices(scan.shape).reshape(3, -1) + whole[:3, 3:]).astype(int)
    theirs = data[(slice(None), *index)].astype(np.float64)
    ours = scan.array.reshape(scan.channels, -1).astype(np.float64)
    if scaled:
        factor = (theirs @ ours.T / (ours @ ours.T)).item()
        return np.allclose(theirs, ours * factor, rtol=1e-4, atol=1e-3 * factor)
    return np.allclose(theirs, ours, rtol=1e-6, atol=1e-4)


def test_philips_field_map_and_magnitude_are_two_volumes_with_their_own_scale(shared_data):
    found = find_scans(shared_data / "dicom" / "enhanced_multiframe" / "Philips")
    ranges = [(scan.array.min(), scan.array.max()) for scan in (source.read() for source in found.scans)]
    assert len(ranges) == 2
    assert ranges[0][0] < -400 < 0 <= ranges[1][0]


def test_a_scan_rewritten_by_an_archive_is_the_same_scan(shared_data):
    folder = shared_data / "dicom" / "enhanced_agfa_vs_siemens"
    for one, other in zip(find_scans(folder / "Agfa").scans, find_scans(folder / "Siemens").scans, strict=True):
        first, second = one.read(), other.read()
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
        scan, oracle = source.read(), nibabel.load(source.paths[0])
        assert np.allclose(scan.affine, oracle.affine)
        data = np.asanyarray(oracle.dataobj)
        expected = np.stack([data[name] for name in "RGB"]) if data.dtype.names else data[None]
        assert np.allclose(scan.array, expected, rtol=1e-6)


@pytest.mark.parametrize("folder", ["brain_yesno", "stomach_ulcer"])
def test_every_picture_of_the_real_sets_is_read(shared_data, folder):
    found = find_scans(shared_data / folder)
    assert len(found.scans) >= 100
    assert not found.refused
    assert {source.read().array.dtype for source in found.scans} == {np.dtype(np.uint8)}
