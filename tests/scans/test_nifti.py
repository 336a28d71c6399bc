"""NIfTI files are read as nibabel reads them, and what nibabel lets pass in silence is refused or noted."""

from __future__ import annotations

import gzip

import nibabel
import numpy as np
import pytest

from medcls.errors import ScanRefused
from medcls.scans import find_scans, read_scan

AFFINE = np.array([[-2.0, 0.1, 0, 30], [0, 3, 0.2, -40], [0.3, 0, 4, 7], [0, 0, 0, 1]])
DATA = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


def write(path, data=DATA, affine=AFFINE, kind=nibabel.Nifti1Image, **header):
    image = kind(data, affine)
    image.set_sform(affine, 1)
    image.set_qform(None, 0)
    for key, value in header.items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


def code_of(path):
    with pytest.raises(ScanRefused) as caught:
        read_scan(path)
    return caught.value.code


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", ">i2", ">f4", "f8"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_volumes_agree_with_nibabel(tmp_path, dtype, suffix, kind):
    path = tmp_path / f"x{suffix}"
    image = kind(DATA.astype(dtype), AFFINE)
    image = kind(DATA.astype(dtype), AFFINE, kind.header_class(endianness=">")) if dtype[0] == ">" else image
    nibabel.save(image, path)
    scan, oracle = read_scan(path), nibabel.load(path)
    assert np.array_equal(scan.array[0], oracle.get_fdata())
    assert np.allclose(scan.affine, oracle.affine)
    assert scan.array.dtype.isnative
    assert scan.kind == "nifti"


def test_the_name_does_not_matter(tmp_path):
    write(tmp_path / "x.nii.gz").rename(tmp_path / "no-extension")
    assert np.array_equal(read_scan(tmp_path / "no-extension").array[0], DATA)


def test_header_and_image_pairs_are_one_scan(tmp_path):
    nibabel.save(nibabel.Nifti1Pair(DATA, AFFINE), tmp_path / "x.hdr")
    found = find_scans(tmp_path)
    assert [scan.name for scan in found.scans] == ["x.hdr"]
    assert not found.refused
    assert np.array_equal(read_scan(found.scans[0]).array[0], DATA)
    (tmp_path / "x.img").unlink()
    assert code_of(tmp_path / "x.hdr") == "damaged"


def test_scaling_is_applied_and_slope_zero_means_none(tmp_path):
    path = write(tmp_path / "x.nii")
    raw = bytearray(path.read_bytes())
    raw[112:120] = np.array([0.5, -3], "<f4").tobytes()
    path.write_bytes(bytes(raw))
    assert np.array_equal(read_scan(path).array[0], DATA * 0.5 - 3)
    raw[112:120] = np.array([0, 5], "<f4").tobytes()
    path.write_bytes(bytes(raw))
    assert np.array_equal(read_scan(path).array[0], DATA)


def test_trailing_axes_of_one_are_dropped_and_real_ones_refused(tmp_path):
    assert read_scan(write(tmp_path / "a.nii", DATA[..., None])).shape == (2, 3, 4)
    assert read_scan(write(tmp_path / "b.nii", DATA[:, :, :1])).shape == (2, 3)
    assert code_of(write(tmp_path / "c.nii", np.stack([DATA, DATA], axis=-1))) == "four-dimensional"


def test_no_form_code_keeps_voxel_sizes_and_claims_no_geometry(tmp_path):
    path = write(tmp_path / "x.nii")
    raw = bytearray(path.read_bytes())
    raw[252:256] = bytes(4)
    path.write_bytes(bytes(raw))
    scan = read_scan(path)
    assert not scan.has_geometry
    assert np.allclose(scan.affine, np.diag([*nibabel.load(path).header.get_zooms(), 1]))
    assert scan.notes
    assert find_scans(path).scans[0].axes == ""


def test_sizes_of_nothing_and_a_qform_that_is_no_rotation(tmp_path):
    image = nibabel.Nifti1Image(DATA, AFFINE)
    image.set_sform(None, 0)
    image.set_qform(np.diag([-2.0, 3, 4, 1]), 1)
    nibabel.save(image, tmp_path / "x.nii")
    good = (tmp_path / "x.nii").read_bytes()
    assert np.allclose(read_scan(tmp_path / "x.nii").affine, np.diag([-2, 3, 4, 1]))

    def changed(place, values):
        values = np.array(values, "<f4").tobytes()
        (tmp_path / "x.nii").write_bytes(good[:place] + values + good[place + len(values) :])
        return tmp_path / "x.nii"

    assert code_of(changed(256, [0.9, 0.9, 0.9])) == "bad-geometry"
    assert code_of(changed(80, [0])) == "bad-geometry"  # had become 1 mm
    good = changed(252, [0]).read_bytes()  # neither form has a code
    assert "side-unknown: neither sform nor qform: voxel sizes are known," in read_scan(changed(80, [2])).notes[0]
    assert "side-unknown: neither sform nor qform: voxel sizes are not known," in read_scan(changed(80, [0])).notes[0]


@pytest.mark.parametrize(
    ("intent", "held"), [(1002, "labels"), (5, "a statistic"), (1007, "vectors"), (0, ""), (2001, "")]
)
def test_what_is_no_picture_by_its_intent_says_so(tmp_path, intent, held):
    notes = [note for note in read_scan(write(tmp_path / "x.nii", intent_code=intent)).notes if "intent" in note]
    assert notes == (
        [f"presentation: by the intent of its header the file holds {held}, and no picture"] if held else []
    )


def test_forms_that_differ_are_noted_and_the_sform_taken(tmp_path):
    image = nibabel.Nifti1Image(DATA, AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(np.diag([1.0, 1, 1, 1]), 1)
    nibabel.save(image, tmp_path / "x.nii")
    scan = read_scan(tmp_path / "x.nii")
    assert np.allclose(scan.affine, AFFINE)
    assert any("differ" in note for note in scan.notes)


def test_micrometres_become_millimetres(tmp_path):
    scan = read_scan(write(tmp_path / "x.nii", xyzt_units=3))
    assert np.allclose(scan.affine[:3], AFFINE[:3] / 1000)


@pytest.mark.parametrize(
    "broken", [np.diag([1.0, 1, 0, 1]), np.array([[1.0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]])]
)
def test_singular_affines_are_refused(tmp_path, broken):
    path = write(tmp_path / "x.nii")
    raw = bytearray(path.read_bytes())
    raw[280:328] = broken[:3].astype("<f4").tobytes()
    path.write_bytes(bytes(raw))
    assert code_of(path) == "bad-geometry"


def test_voxels_that_are_not_finite_are_replaced_and_noted(tmp_path):
    data = DATA.astype(np.float32)
    data[0, 0, :3] = [np.nan, np.inf, -np.inf]
    scan = read_scan(write(tmp_path / "x.nii", data))
    assert scan.array[0, 0, 0].tolist() == [3, 23, 3, 3]
    assert "3 voxels" in scan.notes[0]
    assert code_of(write(tmp_path / "y.nii", np.full((2, 3, 4), np.nan, np.float32))) == "not-finite"


@pytest.mark.parametrize("channels", ["RGB", "RGBA"])
def test_coloured_voxels_become_three_channels(tmp_path, channels):
    data = np.zeros((2, 3, 4), dtype=[(name, "u1") for name in channels])
    for number, name in enumerate(channels):
        data[name] = DATA + number
    scan = read_scan(write(tmp_path / "x.nii.gz", data))
    assert scan.photometric == "rgb"
    assert np.array_equal(scan.array, np.stack([DATA, DATA + 1, DATA + 2]))
    assert bool(scan.notes) == (channels == "RGBA")


def test_complex_voxels_are_refused(tmp_path):
    assert code_of(write(tmp_path / "x.nii", DATA.astype(np.complex64))) == "unsupported"


def test_a_file_cut_short_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 999, (20, 20, 20), dtype=np.int16)
    path = write(tmp_path / "x.nii.gz", noise)
    path.write_bytes(path.read_bytes()[:-500])
    assert code_of(path) == "damaged"
    path = write(tmp_path / "y.nii", noise)
    path.write_bytes(path.read_bytes()[:-1])
    assert code_of(path) == "damaged"


def test_a_small_file_that_declares_a_huge_volume_is_refused_from_its_header(tmp_path):
    path = write(tmp_path / "x.nii")
    raw = bytearray(path.read_bytes())
    raw[42:48] = np.array([1200, 1200, 1200], "<i2").tobytes()
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(bytes(raw)))
    assert [item.code for item in find_scans(tmp_path / "bomb.nii.gz").refused] == ["damaged"]
    raw[42:48] = np.array([30000, 30000, 30000], "<i2").tobytes()
    path.write_bytes(bytes(raw))
    assert code_of(path) == "too-large"


@pytest.mark.parametrize(
    ("packed", "length", "code"),
    [(b"", None, "damaged"), (b"", 5, "damaged"), (b"no volume", None, "not-an-image")],
)
def test_a_packed_file_with_nothing_in_it_is_no_archive(tmp_path, packed, length, code):
    content = gzip.compress(packed)[:length]
    path = tmp_path / "x.nii.gz"
    path.write_bytes(content)
    assert code_of(path) == code
    (refused,) = find_scans(tmp_path).refused
    assert refused.code == code
    assert "archive" not in refused.reason + refused.remedy
