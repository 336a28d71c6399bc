"""NRRD and MetaImage volumes: SimpleITK, which writes them, says where each voxel is."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from medcls.preprocessing.recipes.checks import _in_hounsfield
from medcls.preprocessing.store.store import content_digest
from medcls.scans import find_scans, inspect_scans, read_scan
from medcls.scans.probe.file_types import sniff
from tests.factories.itk import (
    ATTACHED,
    DETACHED,
    MAKE,
    RAW,
    VOXELS,
    image,
    metaimage,
    nrrd,
    put,
    refused,
    write,
)

FLIP = np.diag([-1.0, -1.0, 1.0])


@st.composite
def volumes(draw):
    dtype = np.dtype(draw(st.sampled_from(["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])))
    shape = tuple(draw(st.integers(2, 5)) for _ in range(3))
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 120, shape).astype(dtype)
    turn = Rotation.from_euler("xyz", [draw(st.floats(-180, 180)) for _ in range(3)], degrees=True).as_matrix()
    turn = turn[:, draw(st.permutations(range(3)))]
    lengths = [draw(st.floats(0.05, 20)) for _ in range(3)]
    return image(values, spacing=lengths, origin=[draw(st.floats(-500, 500)) for _ in range(3)], direction=turn)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=volumes(), ending=st.sampled_from(ATTACHED + DETACHED), compressed=st.booleans(), data=st.data())
def test_every_voxel_has_its_value_and_place(tmp_path, made, ending, compressed, data):
    path = write(tmp_path / f"x{ending}", made, compressed)
    scan = read_scan(path)
    assert scan.shape == made.GetSize()
    index = [data.draw(st.integers(0, size - 1)) for size in made.GetSize()]
    assert scan.array[(0, *index)] == made.GetPixel(index)
    assert np.array_equal(scan.array[0], sitk.GetArrayViewFromImage(made).T)
    place = FLIP @ made.TransformIndexToPhysicalPoint(index)
    assert np.allclose((scan.affine @ [*index, 1])[:3], place, atol=1e-4)
    assert scan.has_geometry
    assert scan.array.dtype.isnative
    assert scan.array.dtype.itemsize <= 4


@pytest.mark.parametrize("ending", ATTACHED + DETACHED)
def test_the_same_volume_as_nifti_is_the_same_scan(tmp_path, ending):
    turn = Rotation.from_euler("xyz", [10, -20, 170], degrees=True).as_matrix()
    made = image(direction=turn)
    write(tmp_path / "x.nii", made)
    scan, other = read_scan(write(tmp_path / f"x{ending}", made)), read_scan(tmp_path / "x.nii")
    assert np.array_equal(scan.array, other.array)
    assert np.allclose(scan.affine, other.affine, atol=1e-4)
    found = {source.kind: source for source in find_scans(tmp_path).scans}
    kind = "nrrd" if ending in (".nrrd", ".nhdr") else "metaimage"
    assert found[kind].axes == found["nifti"].axes
    assert found[kind].spacing == pytest.approx(found["nifti"].spacing, rel=1e-5)
    assert np.allclose(scan.affine, nibabel.load(tmp_path / "x.nii").affine, atol=1e-4)


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        *(("left-posterior-superior", (-1, -1, 1)), ("LPS", (-1, -1, 1))),
        *(("right-anterior-superior", (1, 1, 1)), ("RAS", (1, 1, 1))),
        *(("left-anterior-superior", (-1, 1, 1)), ("LAS", (-1, 1, 1))),
    ],
)
def test_directions_are_in_the_space_that_the_header_names(tmp_path, space, signs):
    fields = {"space": space, "space_directions": "(0,3,0) (2,0,0.5) (0,0,4)", "space_origin": "(10,20,30)"}
    path = put(tmp_path / "x.nrrd", nrrd(RAW, **fields))
    columns = np.array([[0, 2, 0, 10], [3, 0, 0, 20], [0, 0.5, 4, 30]])
    assert np.allclose(read_scan(path).affine[:3], np.array(signs)[:, None] * columns)


def test_units_of_space_become_millimetres(tmp_path):
    path = put(tmp_path / "x.nrrd", nrrd(RAW, space_units='"cm" "cm" "cm"', space_origin="(1,2,3)"))
    scan = read_scan(path)
    assert np.allclose(scan.affine[:3], FLIP @ np.array([[10.0, 0, 0, 10], [0, 10, 0, 20], [0, 0, 10, 30]]))
    assert any("millimetres" in note for note in scan.notes)
    assert refused(put(path, nrrd(RAW, space_units='"s" "s" "s"'))).code == "unsupported"
    alone = {"space": None, "space directions": None, "space origin": None, "spacings": "2 3 4"}
    assert np.allclose(read_scan(put(path, nrrd(RAW, units='"um" "um" "um"', **alone))).spacing, (0.002, 0.003, 0.004))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"old_min": "-1024", "old_max": "3071.5"}, "-1024 to 3071.5"),
        ({"oldmax": "1e3"}, "? to 1e3"),
        ({"old_min": "nan"}, ""),
        ({}, ""),
    ],
)
def test_a_range_before_quantisation_is_noted_and_not_applied(tmp_path, fields, said):
    scan = read_scan(put(tmp_path / "x.nrrd", nrrd(RAW, **fields)))
    assert np.array_equal(scan.array[0].T, VOXELS)
    note = f"unused-table: values are as stored: they were {said} before they were quantised"
    assert scan.notes == ((note,) if said else ())


def test_the_range_of_a_metaimages_voxels_changes_nothing(tmp_path):
    scan = read_scan(put(tmp_path / "x.mha", metaimage(RAW, ElementMin="-1024", ElementMax="3071")))
    assert np.array_equal(scan.array[0].T, VOXELS)
    assert scan.notes == ()


@pytest.mark.parametrize(("unit", "factor"), [("um", 1e-3), ("mm", 1), ("cm", 10), ("?", 1)])
def test_distance_units_of_a_metaimage_become_millimetres(tmp_path, unit, factor):
    fields = {
        "TransformMatrix": "0 1 0 1 0 0 0 0 1",
        "Offset": "1 2 3",
        "ElementSpacing": "2 3 4",
        "DistanceUnits": unit,
    }
    scan = read_scan(put(tmp_path / "x", metaimage(RAW, **fields)))
    assert np.allclose(scan.affine[:3], FLIP @ np.array([[0, 3, 0, 1], [2, 0, 0, 2], [0, 0, 4, 3]]) * factor)
    assert any("millimetres" in note for note in scan.notes) == (factor != 1)
    scan = read_scan(put(tmp_path / "x", metaimage(RAW, **{**fields, "TransformMatrix": None})))
    assert np.allclose(scan.spacing, np.array([2, 3, 4]) * factor)
    assert refused(put(tmp_path / "x", metaimage(RAW, DistanceUnits="inch"))).code == "unsupported"


@pytest.mark.parametrize(
    ("ending", "fields"),
    [
        (".nrrd", {"space": None, "space directions": None, "space origin": None, "spacings": "0.5 2 3"}),
        (".nrrd", {"space": "scanner-xyz", "space directions": "(0.5,0,0) (0,2,0) (0,0,3)"}),
        (".mha", {"TransformMatrix": None, "ElementSpacing": "0.5 2 3"}),
    ],
)
def test_sizes_without_directions_claim_no_geometry(tmp_path, ending, fields):
    scan = read_scan(put(tmp_path / "x", MAKE[ending](RAW, **fields)))
    assert not scan.has_geometry
    assert np.allclose(scan.affine, np.diag([0.5, 2, 3, 1]))
    assert any("which side" in note for note in scan.notes)
    assert find_scans(tmp_path).scans[0].axes == ""


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("ending", ATTACHED + DETACHED)
def test_images_and_colour(tmp_path, ending, compressed):
    grey = read_scan(write(tmp_path / f"grey{ending}", image(VOXELS[0]), compressed))
    assert np.array_equal(grey.array, VOXELS[:1].transpose(0, 2, 1))
    assert not grey.has_geometry
    assert grey.spacing == (0.5, 2.0)
    for shape in ((5, 6, 3), (4, 5, 6, 3)):
        colour = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
        path = write(tmp_path / f"rgb{ending}", image(colour, vector=True), compressed)
        scan = read_scan(path)
        assert (scan.photometric, scan.channels) == ("rgb", 3)
        assert np.array_equal(scan.array, colour.T)
    thin = read_scan(write(tmp_path / f"thin{ending}", image(VOXELS[:1]), compressed))
    assert thin.shape == (6, 5)
    assert thin.has_geometry


@pytest.mark.parametrize("ending", ATTACHED)
def test_files_are_told_by_content(tmp_path, ending):
    data = write(tmp_path / f"x{ending}").read_bytes()
    for name in ("no-ending", "a.dcm", "table.csv", "notes.txt"):
        assert np.array_equal(read_scan(put(tmp_path / name, data)).array[0], VOXELS.T)
    assert refused(put(tmp_path / f"no{ending}", b"no image, whatever its name says")).code == "not-an-image"


def test_other_texts_are_no_metaimages():
    for text in (
        b"ObjectType = Scene\nNDims = 3\nNObjects = 1\nElementDataFile = LOCAL\n",
        b"NDims: 3, as the table says\n",
        b"x = 1\nElementDataFile = y\n",
        b"\0NDims = 3\nElementDataFile = LOCAL\n",
    ):
        assert sniff(text, Path("x")) == "unknown"
    assert sniff(metaimage(b"", Comment="x" * 2000)[:1024], Path("x")) == "metaimage"


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("ending", DETACHED)
def test_a_header_and_its_data_are_one_scan(tmp_path, ending, compressed):
    (tmp_path / "sub.x").mkdir()
    path = write(tmp_path / "sub.x" / f"x.1{ending}", compressed=compressed)
    found = find_scans(tmp_path)
    assert [source.name for source in found.scans] == [f"sub.x/x.1{ending}"]
    assert not found.refused
    source = found.scans[0]
    assert source.paths[0] == path
    assert len(source.paths) == 2
    before = content_digest(source)
    other = write(tmp_path / f"x.1{ending}", image(VOXELS + 1), compressed)
    data = find_scans(other).scans[0].paths[1]
    source.paths[1].write_bytes(data.read_bytes())
    assert content_digest(source) != before  # else two scans with equal headers would share what was made of one
    data.unlink()
    error = refused(other)
    assert (error.code, "missing" in error.what) == ("damaged", True)


def test_bytes_before_the_voxels_are_skipped(tmp_path):
    put(tmp_path / "x.bin", b"head" + RAW)
    for skip in ("4", "-1"):
        detached = {"data_file": "x.bin", "byte_skip": skip}
        scans = [
            read_scan(put(tmp_path / "x.nhdr", nrrd(b"", **detached))),
            read_scan(put(tmp_path / "x.mhd", metaimage(b"", HeaderSize=skip, ElementDataFile="x.bin"))),
        ]
        assert all(np.array_equal(scan.array[0], VOXELS.T) for scan in scans)


def test_big_endian_voxels_are_turned(tmp_path):
    swapped = VOXELS.astype(">i2").tobytes()
    for data in (nrrd(swapped, endian="big"), metaimage(swapped, BinaryDataByteOrderMSB="True")):
        assert np.array_equal(read_scan(put(tmp_path / "x", data)).array[0], VOXELS.T)


@pytest.mark.parametrize("ending", ATTACHED)
def test_voxels_that_are_not_finite_are_replaced_and_noted(tmp_path, ending):
    voxels = VOXELS.astype(np.float32)
    voxels[0, 0, :3] = np.nan, np.inf, -np.inf
    scan = read_scan(write(tmp_path / f"x{ending}", image(voxels)))
    assert scan.array[0, :3, 0, 0].tolist() == [3, 119, 3]
    assert any(note.startswith("replaced-values: 3 voxels") for note in scan.notes)
    assert refused(write(tmp_path / f"x{ending}", image(voxels * np.nan))).code == "not-finite"


def test_archives_hold_attached_headers_alone(tmp_path):
    for ending in (*ATTACHED, *DETACHED):
        write(tmp_path / f"x{ending}", compressed=ending == ".mha")
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for path in sorted(tmp_path.glob("x*")):
            archive.write(path, f"inner/{path.name}")
    found = find_scans(tmp_path / "study.zip")
    assert [source.name for source in found.scans] == ["inner/x.mha", "inner/x.nrrd"]
    assert all(np.array_equal(read_scan(source).array[0], VOXELS.T) for source in found.scans)
    codes = {item.name: item.code for item in found.refused}
    assert {codes["inner/x.mhd"], codes["inner/x.nhdr"]} == {"unsupported"}


def test_no_foreign_byte_meets_simpleitk_in_the_process_of_the_user(tmp_path, monkeypatch):
    path = write(tmp_path / "x.nrrd")
    monkeypatch.setattr(sitk, "ImageFileReader", None)
    monkeypatch.setattr(sitk, "ReadImage", None)
    assert np.array_equal(read_scan(path).array[0], VOXELS.T)


@pytest.mark.parametrize("ending", ATTACHED)
def test_an_inspection_shows_them(tmp_path, ending):
    write(tmp_path / f"x{ending}")
    seen = inspect_scans(tmp_path, read_pixels=True)
    row = seen.rows[0]
    assert (row.shape, row.spacing, row.axes, row.plane, row.verdict) == (
        (6, 5, 4),
        (0.5, 2.0, 3.0),
        "LPS",
        "axial",
        "ok",
    )
    assert re.fullmatch("nrrd|metaimage", row.kind)


@pytest.mark.parametrize("ending", ATTACHED)
def test_values_below_air_are_hounsfield_units_as_in_nifti(tmp_path, ending):
    for shift, hounsfield in ((-1000, True), (0, False)):
        scan = read_scan(write(tmp_path / f"x{ending}", image(VOXELS + np.int16(shift))))
        assert _in_hounsfield(scan, scan.array) == hounsfield
