"""Folders of DICOM slices become the right scans, whatever the names, the order and the company."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from pydicom.dataset import Dataset

from medcls.errors import ScanRefused
from medcls.scans import find_scans, read_scan
from medcls.scans.core.leniency import Leniency
from tests.factories.dicom import AXIAL, DX, MR, SC, enhanced, instance, save, save_all, slices

HEIGHTS = [0.0, 2.5, 5.0, 7.5, 10.0]


def refused(path, **options):
    with pytest.raises(ScanRefused) as caught:
        read_scan(path, **options)
    return caught.value


def test_slices_are_sorted_by_position_not_by_name_or_number(tmp_path):
    made = slices(HEIGHTS)
    for dataset, number in zip(made, [3, 1, 5, 1, 2], strict=True):
        dataset.InstanceNumber = number
    save_all([made[i] for i in (3, 0, 4, 2, 1)], tmp_path)
    scan = read_scan(tmp_path)
    assert scan.array.shape == (1, 4, 3, 5)
    assert scan.array[0, 1, 1].tolist() == [0, 25, 50, 75, 100]
    assert scan.spacing == (0.5, 0.5, 2.5)  # measured; SliceThickness says 5
    assert np.allclose(scan.affine @ [0, 0, 2, 1], [10, 20, 5, 1])
    assert scan.array[0, 0, 0, 0] == scan.array[0, 1, 0, 0] + 1


def test_two_series_in_one_folder_are_two_scans(tmp_path):
    save_all(slices(HEIGHTS), tmp_path, [f"a{i}" for i in range(5)])
    other = slices([1.0, 3.0, 5.0], SeriesInstanceUID="1.2.3.5", SeriesNumber=7)
    save_all(other, tmp_path, [f"b{i}" for i in range(3)])
    found = find_scans(tmp_path)
    assert {scan.name.split("#")[1]: scan.shape for scan in found.scans} == {"s3": (4, 3, 5), "s7": (4, 3, 3)}
    assert refused(tmp_path).code == "several-scans"
    assert read_scan(f"{tmp_path}#s7").shape == (4, 3, 3)


def test_other_files_change_nothing(tmp_path):
    save_all(slices(HEIGHTS), tmp_path / "alone")
    save_all(slices(HEIGHTS), tmp_path / "crowd" / "deep")
    scout = instance(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    save(scout, tmp_path / "crowd" / "deep" / "scout")
    (tmp_path / "crowd" / "deep" / "empty").write_bytes(b"")
    (tmp_path / "crowd" / "deep" / "junk").write_bytes(b"\x00\x01garbage" * 90)
    (tmp_path / "crowd" / "notes.txt").write_text("not a scan")
    alone, crowd = find_scans(tmp_path / "alone"), find_scans(tmp_path / "crowd")
    assert [item.code for item in crowd.refused] == ["damaged", "not-an-image", "localizer"]
    assert [path.name for path in crowd.ignored] == ["notes.txt"]
    one, other = read_scan(alone.scans[0]), read_scan(crowd.scans[0])
    assert np.array_equal(one.array, other.array)
    assert np.array_equal(one.affine, other.affine)


def test_the_order_of_the_walk_does_not_matter(tmp_path):
    across = slices([0.0, 5.0], ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    for dataset in across:
        dataset.ImagePositionPatient = [0, dataset.ImagePositionPatient[2], 0]
    made = [*slices(HEIGHTS), *across]
    save_all(made, tmp_path / "one" / "x")
    save_all(made[::-1], tmp_path / "two" / "x")
    one, two = find_scans(tmp_path / "one"), find_scans(tmp_path / "two")
    assert [s.name for s in one.scans] == [s.name for s in two.scans]
    for first, second in zip(one.scans, two.scans, strict=True):
        assert np.array_equal(read_scan(first).array, read_scan(second).array)


@pytest.mark.parametrize(
    ("heights", "code"),
    [
        ([0, 2, 4, 8, 10], "gap"),
        ([0, 2, 4, 7, 9], "uneven-spacing"),
        ([0, 2, 2, 4, 6], "duplicate-slices"),
    ],
)
def test_what_is_no_even_stack_is_refused(tmp_path, heights, code):
    save_all(slices(heights), tmp_path)
    found = find_scans(tmp_path)
    assert not found.scans
    assert [item.code for item in found.refused] == [code]
    assert len(found.refused[0].paths) == 5
    assert refused(tmp_path).code == code


def test_a_gap_is_interpolated_only_when_asked(tmp_path):
    save_all(slices([0, 2, 4, 8, 10]), tmp_path)
    repeated = read_scan(tmp_path, leniency=Leniency(on_gap="warn"))
    assert repeated.array[0, 1, 1].tolist() == [0, 20, 40, 40, 80, 100]
    assert find_scans(tmp_path, leniency=Leniency(on_gap="resample")).scans[0].shape == (4, 3, 6)
    scan = read_scan(tmp_path, leniency=Leniency(on_gap="resample"))
    assert scan.array[0, 1, 1].tolist() == [0, 20, 40, 60, 80, 100]
    assert scan.spacing[2] == pytest.approx(2.0)
    assert any("missing" in note for note in scan.notes)


def test_a_tilted_gantry_keeps_its_shear(tmp_path):
    made = slices(HEIGHTS)
    for dataset in made:
        height = float(dataset.ImagePositionPatient[2])
        dataset.ImagePositionPatient = [-10.0, -20.0 - 0.25 * height, height]
    save_all(made, tmp_path)
    assert refused(tmp_path).code == "tilted"
    scan = read_scan(tmp_path, leniency=Leniency(on_tilt="warn"))
    assert np.allclose(scan.affine[:3, 2], [0, 0.625, 2.5])
    assert any("tilted" in note for note in scan.notes)


def test_echoes_at_the_same_positions_become_volumes_that_say_so(tmp_path):
    first = slices(HEIGHTS, Modality="MR", SOPClassUID=MR, EchoNumbers=1)
    second = slices(HEIGHTS, Modality="MR", SOPClassUID=MR, EchoNumbers=2)
    for dataset in second:
        dataset.PixelData = (np.frombuffer(dataset.PixelData, "<i2") + 1000).astype("<i2").tobytes()
    save_all([x for pair in zip(first, second, strict=True) for x in pair], tmp_path)
    found = find_scans(tmp_path)
    assert [scan.part for scan in found.scans] == ["echo 1", "echo 2"]
    values = [read_scan(scan).array[0, 1, 1].tolist() for scan in found.scans]
    assert values == [[0, 25, 50, 75, 100], [1000, 1025, 1050, 1075, 1100]]


def test_a_second_attribute_is_used_when_one_is_not_enough(tmp_path):
    made = []
    for echo in (1, 2):
        for time in (1, 2, 3):
            made += slices(HEIGHTS, Modality="MR", EchoNumbers=echo, TemporalPositionIdentifier=time)
    save_all(made, tmp_path)
    parts = [scan.part for scan in find_scans(tmp_path).scans]
    assert len(parts) == 6
    assert parts[0] == "echo 1, time 1"


def test_acquisition_numbers_that_change_within_a_volume_do_not_split_it(tmp_path):
    made = slices(HEIGHTS)
    for number, dataset in enumerate(made):
        dataset.AcquisitionNumber = number // 2
    save_all(made, tmp_path)
    assert read_scan(tmp_path).shape == (4, 3, 5)


def test_a_series_spread_over_folders_is_one_and_copies_are_two(tmp_path):
    made = slices(HEIGHTS)
    save_all(made[:2], tmp_path / "spread" / "1")
    save_all(made[2:], tmp_path / "spread" / "2")
    save_all(made, tmp_path / "copies" / "1")
    save_all(made, tmp_path / "copies" / "2")
    assert [s.shape for s in find_scans(tmp_path / "spread").scans] == [(4, 3, 5)]
    assert [s.name for s in find_scans(tmp_path / "copies").scans] == ["1", "2"]


def test_two_patients_under_one_series_are_refused(tmp_path):
    made = slices(HEIGHTS)
    made[2].PatientID = "patient-2"
    save_all(made, tmp_path)
    error = refused(tmp_path)
    assert error.code == "inconsistent"
    assert "patient-2" not in str(error)


def test_slices_without_positions_are_refused_and_a_single_one_is_an_image(tmp_path):
    save_all(slices(HEIGHTS, ImagePositionPatient=None), tmp_path / "many")
    assert refused(tmp_path / "many").code == "no-geometry"
    save(instance(ImagePositionPatient=None), tmp_path / "one")
    scan = read_scan(tmp_path / "one")
    assert (scan.dimensions, scan.has_geometry) == (2, False)
    assert np.array_equal(scan.affine, np.diag([0.5, 0.5, 1, 1]))
    assert [note.split(":")[0] for note in scan.notes] == ["side-unknown"]


def test_one_file_of_a_series_is_a_single_slice_with_its_place(tmp_path):
    save_all(slices(HEIGHTS), tmp_path)
    scan = read_scan(tmp_path / "I0002")
    assert scan.shape == (4, 3)
    assert scan.has_geometry
    assert np.allclose(scan.affine @ [0, 0, 0, 1], [10, 20, 5, 1])


def test_radiographs_of_one_series_stand_alone(tmp_path):
    made = [instance(SOPClassUID=DX, Modality="DX", ImagePositionPatient=[0, 0, 0]) for _ in range(3)]
    save_all(made, tmp_path)
    assert [scan.shape for scan in find_scans(tmp_path).scans] == [(4, 3)] * 3


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11", "Modality": "SR"}, "not-an-image"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4", "Modality": "SEG"}, "not-an-image"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1", "Modality": "DOC"}, "not-an-image"),
        ({"SOPClassUID": SC, "ImageType": ["DERIVED", "SECONDARY", "DOSE"]}, "not-an-image"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ({"NumberOfFrames": 4, "PixelData": bytes(96)}, "no-geometry"),
        ({"PixelData": None}, "damaged"),
        ({"PixelData": bytes(20)}, "damaged"),
        ({"Rows": 60000, "Columns": 60000}, "too-large"),
        ({"BitsStored": 40}, "damaged"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "bad-geometry"),
    ],
)
def test_what_is_no_scan_is_refused_with_its_code(tmp_path, changes, code):
    save(instance(**changes), tmp_path / "Doe_Jane")
    error = refused(tmp_path / "Doe_Jane")
    assert error.code == code
    assert error.remedy
    assert "Doe^Jane" not in str(error)
    assert "patient-1" not in str(error)


def test_enhanced_frames_are_placed_rescaled_and_split(tmp_path):
    volumes = [np.arange(48, dtype=np.uint16).reshape(4, 3, 4) + 100 * echo for echo in (0, 1)]
    save(enhanced(volumes, shuffle=[5, 2, 7, 0, 3, 1, 6, 4]), tmp_path / "multi")
    found = find_scans(tmp_path)
    assert [scan.part for scan in found.scans] == ["echo 10.0", "echo 20.0"]
    for slope, (source, volume) in enumerate(zip(found.scans, volumes, strict=True), start=1):
        scan = read_scan(pickle.loads(pickle.dumps(source)))
        assert np.array_equal(scan.array[0], volume.transpose(2, 1, 0) * slope)
        assert scan.spacing == (1, 1, 2)


def test_a_damaged_slice_costs_its_series_and_nothing_else(tmp_path):
    save_all(slices(HEIGHTS), tmp_path / "good")
    save_all(slices(HEIGHTS, SeriesInstanceUID="1.2.9"), tmp_path / "bad")
    whole = (tmp_path / "bad" / "I0002").read_bytes()
    (tmp_path / "bad" / "I0002").write_bytes(whole[:-10])
    found = find_scans(tmp_path)
    by_name = {scan.name: scan for scan in found.scans}
    assert read_scan(by_name["good"]).shape == (4, 3, 5)
    with pytest.raises(ScanRefused) as caught:
        read_scan(by_name["bad"])
    assert caught.value.code == "damaged"


def test_files_that_change_after_the_search_are_noticed(tmp_path):
    save_all(slices(HEIGHTS), tmp_path)
    source = find_scans(tmp_path).scans[0]
    save(slices([100.0], SeriesInstanceUID="9.9")[0], tmp_path / "I0001")
    with pytest.raises(ScanRefused) as caught:
        read_scan(source)
    assert caught.value.code == "changed"
    (tmp_path / "I0001").unlink()
    with pytest.raises(ScanRefused) as caught:
        read_scan(source)
    assert caught.value.code == "unreadable"


def test_facts_and_identity_come_from_the_header_and_stay_apart(tmp_path):
    made = slices(HEIGHTS, PatientSex="F", PatientAge="018M", StudyDate="20210304", Manufacturer="ACME", KVP=120)
    for dataset in made:
        dataset.ConvolutionKernel = ["B40f", "3"]
    save_all(made, tmp_path)
    scan = read_scan(tmp_path)
    assert scan.attributes["age"] == "1.5"
    assert (scan.attributes["sex"], scan.attributes["year"], scan.attributes["kernel"]) == ("F", "2021", "B40f 3")
    assert scan.identity["patient_id"] == "patient-1"
    assert len(scan.identity["sop_uids"].split()) == 5
    assert not {"patient-1", "1.2.3", "Doe^Jane"} & set(scan.attributes.values())
    assert "patient-1" not in repr(scan)


@pytest.mark.parametrize(
    "charset", ["GB18030", ["ISO 2022 IR 6", "ISO 2022 IR 87"], "NONSENSE", ["", "ISO 2022 IR 149"]]
)
def test_text_in_any_character_set_never_stops_the_pixels(tmp_path, charset, recwarn, capfd):
    made = slices(HEIGHTS)
    for dataset in made:
        dataset.SpecificCharacterSet = charset
        dataset.BodyPartExamined = "CHEST"
    raw = [save(dataset, tmp_path / f"x{i}") for i, dataset in enumerate(made)]
    for path in raw:
        path.write_bytes(path.read_bytes().replace(b"Doe^Jane", b"\xc4\xff\x1b$B\xfe\x80^"))
    recwarn.clear()
    capfd.readouterr()
    assert read_scan(tmp_path).shape == (4, 3, 5)
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")


def test_one_attribute_that_is_no_number_does_not_cost_the_scan(tmp_path):
    for number, dataset in enumerate(slices(HEIGHTS, KVP=120, MagneticFieldStrength=777, BitsStored=16)):
        path = save(dataset, tmp_path / f"x{number}")
        path.write_bytes(path.read_bytes().replace(b"120", b"1z0").replace(b"777", b"7z7"))
    scan = read_scan(tmp_path)
    assert scan.shape == (4, 3, 5)
    assert "field_strength" not in scan.attributes


def test_bare_data_sets_without_preamble_are_recognised(tmp_path):
    for implicit in (True, False):
        dataset: Dataset = slices([3.0])[0]
        path = tmp_path / f"bare-{implicit}"
        dataset.save_as(path, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
        if path.read_bytes()[128:132] == b"DICM":
            raise AssertionError("the factory wrote a preamble")
        assert read_scan(path).array[0, 1, 1] == 30


def test_orientation_that_differs_by_rounding_is_one_volume(tmp_path):
    made = slices(HEIGHTS)
    made[1].ImageOrientationPatient = [1.0, 0.0002, 0.0, -0.0002, 1.0, 0.0]
    made[3].ImageOrientationPatient = list(AXIAL)
    save_all(made, tmp_path)
    assert read_scan(tmp_path).shape == (4, 3, 5)
