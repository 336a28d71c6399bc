"""The cases at which known readers go wrong in silence: each is right, by construction, or refused with its code.

Every series is made from a :class:`~tests.factories.series_truth.Truth`, which says what value is at which place;
highdicom judges beside it where it gives an answer at all.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import nibabel
import numpy as np
import pydicom
import pytest
from highdicom.image import get_volume_from_series
from pydicom.config import IGNORE
from pydicom.dataset import Dataset

from medcls.errors import ScanRefused
from medcls.scans import Leniency, Scan, find_scans, read_scan
from tests.factories.dicom import DX, instance, save, save_all, slices
from tests.factories.series_truth import RAS, ROTATION, STEP, follows, right, truth


def judge(datasets: Sequence[Dataset], scan: Scan) -> bool:
    """Whether highdicom gives the same values at the same places."""
    volume = get_volume_from_series(list(datasets))
    ours = np.diag([-1.0, -1.0, 1.0, 1.0]) @ scan.affine  # in LPS as highdicom's, whose axes are slice, row, column
    theirs = volume.affine[:, [2, 1, 0, 3]]
    array = volume.array.transpose(2, 1, 0)
    if ours[:3, 2] @ theirs[:3, 2] < 0:
        array = array[..., ::-1]
        theirs = theirs.copy()
        theirs[:3, 3] += theirs[:3, 2] * (array.shape[2] - 1)
        theirs[:3, 2] *= -1
    return np.abs(ours - theirs).max() < 1e-4 and np.allclose(array, scan.array[0], atol=1e-3)


def refused(path, **options) -> str:
    with pytest.raises(ScanRefused) as caught:
        read_scan(path, leniency=Leniency(**options))
    assert caught.value.remedy
    return caught.value.code


def saved(folder, datasets):
    """Read back, since highdicom wants the transfer syntax too; the names say nothing of the order."""
    order = np.random.default_rng(7).permutation(len(datasets))
    save_all([datasets[i] for i in order], folder)
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


# Order


@pytest.mark.parametrize("numbers", [[5, 2, 8, 1, 4, 7, 3, 6], [1] * 8, [None] * 8, [8, 7, 6, 5, 4, 3, 2, 1]])
def test_the_instance_number_orders_nothing(tmp_path, numbers):
    made = truth()
    datasets = made.datasets()
    for dataset, number in zip(datasets, numbers, strict=True):
        dataset.InstanceNumber = number
        if number is None:
            del dataset.InstanceNumber
    written = saved(tmp_path, datasets)
    scan = read_scan(tmp_path)
    assert right(scan, made)
    assert judge(written, scan)
    assert scan.notes == ()


# Missing slices


def test_a_missing_slice_is_refused_unless_asked_for(tmp_path):
    datasets = truth().datasets()
    written = saved(tmp_path, datasets[:4] + datasets[5:])
    assert refused(tmp_path) == "gap"
    for other in ("on_tilt", "on_uneven"):
        assert refused(tmp_path, **{other: "resample"}) == "gap"
    assert refused(tmp_path, on_duplicates="warn") == "gap"
    with pytest.raises(ValueError):
        get_volume_from_series(written)


def test_a_missing_slice_is_repeated_or_interpolated(tmp_path):
    made = truth()
    datasets = made.datasets()
    saved(tmp_path, datasets[:4] + datasets[5:])
    repeated = read_scan(tmp_path, leniency=Leniency(on_gap="warn"))
    assert repeated.shape == (10, 12, 8)
    assert np.allclose(repeated.spacing, (0.75, 0.5, STEP), atol=1e-6)
    assert any("missing" in note for note in repeated.notes)
    values = made.pixels().transpose(2, 1, 0) * 0.1
    measured = [0, 1, 2, 3, 5, 6, 7]
    assert np.allclose(repeated.array[0][..., measured], values[..., measured], atol=1e-3)
    assert any(np.array_equal(repeated.array[0][..., 4], repeated.array[0][..., k]) for k in (3, 5))
    filled = read_scan(tmp_path, leniency=Leniency(on_gap="resample"))
    assert np.array_equal(filled.affine, repeated.affine)
    assert np.allclose(filled.array[0], values, atol=0.11)
    assert any("missing" in note for note in filled.notes)


def test_a_hole_of_two_slices_takes_the_nearest_or_thirds(tmp_path):
    made = truth()
    datasets = made.datasets()
    saved(tmp_path, datasets[:3] + datasets[5:])
    repeated = read_scan(tmp_path, leniency=Leniency(on_gap="warn")).array[0]
    assert np.array_equal(repeated[..., 3], repeated[..., 2])
    assert np.array_equal(repeated[..., 4], repeated[..., 5])
    filled = read_scan(tmp_path, leniency=Leniency(on_gap="resample"))
    assert follows(filled, made)
    assert filled.shape == (10, 12, 8)


# The same position again


@pytest.mark.parametrize("same_uid", [True, False])
def test_a_slice_exported_twice_is_refused_or_read_once(tmp_path, same_uid):
    made = truth()
    datasets = made.datasets()
    again = made.datasets()[3]
    if same_uid:
        again.SOPInstanceUID = datasets[3].SOPInstanceUID
    written = saved(tmp_path, [*datasets, again])
    assert refused(tmp_path) == "duplicate-slices"
    assert refused(tmp_path, on_gap="warn", on_tilt="warn", on_uneven="resample") == "duplicate-slices"
    scan = read_scan(tmp_path, leniency=Leniency(on_duplicates="warn"))
    assert right(scan, made)
    assert any("copies" in note for note in scan.notes)
    with pytest.raises(ValueError):
        get_volume_from_series(written)


def test_another_picture_at_the_same_position_is_never_dropped(tmp_path):
    made = truth()
    other = made.datasets()[3]
    other.PixelData = (np.frombuffer(other.PixelData, "<i2") + 1).astype("<i2").tobytes()
    saved(tmp_path, [*made.datasets(), other])
    assert refused(tmp_path) == "duplicate-slices"
    assert refused(tmp_path, on_duplicates="warn") == "duplicate-slices"


# Company in the folder


def test_two_series_in_a_folder_stay_apart(tmp_path):
    first, second = truth(), truth([STEP * i + 1.0 for i in range(5)])
    datasets = [*first.datasets(), *second.datasets(SeriesInstanceUID="1.2.3.5", SeriesNumber=9)]
    written = saved(tmp_path, datasets)
    assert refused(tmp_path) == "several-scans"
    scans = {source.series_uid: read_scan(source) for source in find_scans(tmp_path).scans}
    assert len(scans) == 2
    assert right(scans["1.2.3.4"], first)
    assert right(scans["1.2.3.5"], second)
    for uid, scan in scans.items():
        assert judge([dataset for dataset in written if dataset.SeriesInstanceUID == uid], scan)


@pytest.mark.parametrize("series", ["1.2.3.4", "1.2.3.9"])
def test_a_localizer_inside_has_no_say(tmp_path, series):
    made = truth()
    scout = instance(
        np.ones(made.shape, np.int16),
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        ImageOrientationPatient=[0, 1, 0, 0, 0, -1],
        SeriesInstanceUID=series,
    )
    saved(tmp_path, [scout, *made.datasets()])
    assert [item.code for item in find_scans(tmp_path).refused] == ["localizer"]
    assert right(read_scan(tmp_path), made)


@pytest.mark.parametrize("content", [b"", b"\x89garbage\r\n" * 400, b"\0" * 128 + b"DICM" + b"\xff" * 64])
def test_a_broken_file_beside_costs_only_itself(tmp_path, content):
    made = truth()
    written = saved(tmp_path, made.datasets())
    (tmp_path / "I0003b").write_bytes(content)
    found = find_scans(tmp_path)
    assert [item.name.endswith("I0003b") for item in found.refused] == [True]
    scan = read_scan(tmp_path)
    assert right(scan, made)
    assert judge(written, scan)


def test_a_slice_that_became_empty_is_a_missing_slice(tmp_path):
    datasets = truth().datasets()
    save_all(datasets, tmp_path)
    (tmp_path / "I0004").write_bytes(b"")
    assert {item.code for item in find_scans(tmp_path).refused} == {"damaged", "gap"}


def test_pixels_cut_short_are_refused(tmp_path):
    save_all(truth().datasets(), tmp_path)
    whole = (tmp_path / "I0005").read_bytes()
    (tmp_path / "I0005").write_bytes(whole[:-100])
    for leniency in (
        Leniency(),
        Leniency("warn", "warn", "warn", "warn"),
        Leniency("resample", "resample", "resample"),
    ):
        with pytest.raises(ScanRefused) as caught:
            read_scan(tmp_path, leniency=leniency)
        assert caught.value.code == "damaged"


# Tilt


def test_a_tilted_gantry_is_refused_or_kept_sheared(tmp_path):
    made = truth(tilt=20)
    written = saved(tmp_path, made.datasets(GantryDetectorTilt=0))  # the tag is not to be trusted
    assert refused(tmp_path) == "tilted"
    assert refused(tmp_path, on_gap="resample", on_uneven="resample", on_duplicates="warn") == "tilted"
    scan = read_scan(tmp_path, leniency=Leniency(on_tilt="warn"))
    assert right(scan, made)
    assert any("tilt" in note and "20" in note for note in scan.notes)
    with pytest.raises(ValueError):
        get_volume_from_series(written)


@pytest.mark.parametrize("tilt", [20.0, -8.0])
def test_a_tilted_gantry_is_put_on_a_right_angled_grid(tmp_path, tilt):
    made = truth(tilt=tilt)
    saved(tmp_path, made.datasets())
    source = find_scans(tmp_path, leniency=Leniency(on_tilt="resample")).scans[0]
    scan = read_scan(source, leniency=Leniency(on_tilt="resample"))
    axes = scan.affine[:3, :3] / np.linalg.norm(scan.affine[:3, :3], axis=0)
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    assert np.allclose(scan.spacing, (0.75, 0.5, STEP), atol=1e-6)
    assert follows(scan, made)
    assert any("tilt" in note for note in scan.notes)
    assert (source.shape, len(source.paths)) == (scan.shape, 8)


def test_a_tilt_tag_without_a_tilt_changes_nothing(tmp_path):
    made = truth()
    saved(tmp_path, made.datasets(GantryDetectorTilt=18.5))
    assert right(read_scan(tmp_path), made)


def test_a_tilted_series_with_a_hole_needs_both_answers(tmp_path):
    made = truth(tilt=20)
    datasets = made.datasets()
    saved(tmp_path, datasets[:4] + datasets[5:])
    assert refused(tmp_path) in ("gap", "tilted")
    assert refused(tmp_path, on_tilt="resample") == "gap"
    assert refused(tmp_path, on_gap="resample") == "tilted"
    assert follows(read_scan(tmp_path, leniency=Leniency(on_gap="resample", on_tilt="resample")), made)
    assert read_scan(tmp_path, leniency=Leniency(on_gap="warn", on_tilt="warn")).shape == (10, 12, 8)


# Uneven distances

UNEVEN = [0.0, 4.0, 8.0, 12.0, 19.0, 26.0, 33.0]


def test_uneven_distances_are_refused_or_averaged(tmp_path):
    made = truth(UNEVEN)
    written = saved(tmp_path, made.datasets())
    assert refused(tmp_path) == "uneven-spacing"
    assert refused(tmp_path, on_gap="resample", on_tilt="resample") == "uneven-spacing"
    scan = read_scan(tmp_path, leniency=Leniency(on_uneven="warn"))
    assert np.allclose(scan.array[0], made.pixels().transpose(2, 1, 0) * 0.1, atol=1e-3)
    assert np.allclose(scan.spacing, (0.75, 0.5, 33 / 6), atol=1e-6)
    assert any("apart" in note and "mean" in note for note in scan.notes)
    ends = scan.affine @ [[0, 0], [0, 0], [0, 6], [1, 1]]
    assert np.allclose(ends[:3].T, made.positions[[0, -1]] @ RAS, atol=1e-4)
    with pytest.raises(ValueError):
        get_volume_from_series(written)


def test_uneven_distances_are_resampled_to_even_ones(tmp_path):
    made = truth(UNEVEN)
    saved(tmp_path, made.datasets())
    source = find_scans(tmp_path, leniency=Leniency(on_uneven="resample")).scans[0]
    scan = read_scan(source, leniency=Leniency(on_uneven="resample"))
    assert source.shape == scan.shape
    assert np.allclose(source.spacing, scan.spacing)
    assert follows(scan, made)
    reach = (scan.shape[2] - 1) * scan.spacing[2]
    assert abs(reach - 33) < scan.spacing[2]  # the same part of the body
    assert any("apart" in note and "interpolated" in note for note in scan.notes)


def test_uneven_and_tilted_at_once(tmp_path):
    made = truth(UNEVEN, tilt=18.5)
    saved(tmp_path, made.datasets())
    assert refused(tmp_path) in ("uneven-spacing", "tilted")
    assert follows(read_scan(tmp_path, leniency=Leniency(on_uneven="resample", on_tilt="resample")), made)


@pytest.mark.parametrize("fix", ["warn", "resample"])
@pytest.mark.parametrize("straight", ["warn", "resample"])
@pytest.mark.parametrize("tilt", [0.0, 20.0, -8.0])
@pytest.mark.parametrize("stack", ["even", "gap", "uneven"])
def test_a_search_tells_the_grid_that_reading_gives(tmp_path, stack, tilt, straight, fix):
    made = truth(UNEVEN, tilt) if stack == "uneven" else truth(tilt=tilt)
    datasets = made.datasets()
    saved(tmp_path, datasets[:4] + datasets[5 if stack == "gap" else 4 :])
    leniency = Leniency(on_gap=fix, on_uneven=fix, on_tilt=straight)
    source = find_scans(tmp_path, leniency=leniency).scans[0]
    scan = read_scan(source, leniency=leniency)  # refused when it has another shape
    assert source.shape == scan.shape
    assert np.allclose(source.spacing, scan.spacing)
    assert source.axes == "".join(nibabel.aff2axcodes(scan.affine))
    assert scan.shape[2] == {"even": 8, "gap": 8, "uneven": 7 if fix == "warn" else scan.shape[2]}[stack]
    # A tilt of 20 degrees shifts slices by more than a pixel; the plane grows only when they are made straight.
    assert (scan.shape[:2] != (10, 12)) == (tilt != 0 and straight == "resample")


# Values


def test_monochrome1_is_turned_round_in_radiographs_alone(tmp_path):
    made = truth()
    written = saved(tmp_path / "ct", made.datasets(PhotometricInterpretation="MONOCHROME1"))
    scan = read_scan(tmp_path / "ct")
    assert right(scan, made)
    plain = get_volume_from_series(written, apply_presentation_lut=False)
    assert np.allclose(np.sort(plain.array.ravel()), np.sort(scan.array.ravel()), atol=1e-3)
    pixels = np.array([[100, 200], [4000, 300]], dtype=np.uint16)
    save(instance(pixels, SOPClassUID=DX, Modality="DX", PhotometricInterpretation="MONOCHROME1"), tmp_path / "dx")
    film = read_scan(tmp_path / "dx")
    assert np.array_equal(film.array[0], 4100 - pixels.T.astype(int))
    assert any("MONOCHROME1" in note for note in film.notes)


def test_every_pet_slice_has_its_own_slope(tmp_path):
    made = truth()
    datasets = made.datasets(Modality="PT", SOPClassUID="1.2.840.10008.5.1.4.1.1.128", Units="BQML")
    for number, dataset in enumerate(datasets, start=1):
        stored = np.frombuffer(dataset.PixelData, "<i2") // number
        dataset.PixelData, dataset.RescaleSlope = stored.astype("<i2").tobytes(), 0.37 * number
    written = saved(tmp_path, datasets)
    scan = read_scan(tmp_path)
    assert judge(written, scan)
    for number, pixels in enumerate(made.pixels(), start=1):
        expected = (pixels // number) * 0.37 * number
        assert np.allclose(scan.array[0][..., number - 1], expected.T, rtol=1e-5)


# Geometry that is absent, or badly written


@pytest.mark.parametrize("lost", [("ImagePositionPatient",), ("ImageOrientationPatient",), ("PixelSpacing",)])
def test_slices_without_a_place_are_refused(tmp_path, lost):
    written = saved(tmp_path, truth().datasets(**dict.fromkeys(lost)))
    assert refused(tmp_path) == "no-geometry"
    assert refused(tmp_path, on_gap="resample", on_uneven="resample", on_tilt="resample") == "no-geometry"
    with pytest.raises((ValueError, AttributeError, TypeError)):
        get_volume_from_series(written)


def test_numbers_longer_than_sixteen_characters_are_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", IGNORE)
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", IGNORE)
    made = truth()
    text = [f"{value:.17f}" for value in (*ROTATION[0], *ROTATION[1])]
    assert min(len(value) for value in text) > 16
    save_all(made.datasets(ImageOrientationPatient=text), tmp_path)
    assert text[0].encode() in (tmp_path / "I0000").read_bytes()
    assert right(read_scan(tmp_path), made)


SERIES = b"\x20\x00\x0e\x00UI"  # Series Instance UID, explicit little endian


@pytest.mark.parametrize("left", ["nothing", "no series", "its series"])
@pytest.mark.parametrize("which", [0, -1])
def test_a_broken_first_or_last_slice_does_not_go_unseen(tmp_path, left, which):
    """No position tells that a slice is missing at an end: the broken file itself must."""
    save_all(slices([0, 2, 4, 6, 8]), tmp_path / "s", [f"{number}.dcm" for number in range(5)])
    file = sorted((tmp_path / "s").iterdir())[which]
    whole = file.read_bytes()
    lengths = {"nothing": 0, "no series": whole.index(SERIES), "its series": whole.index(SERIES) + 16}
    file.write_bytes(whole[: lengths[left]])
    found = find_scans(tmp_path)
    told = {item.name: item.code for item in found.refused}
    assert told[f"s/{file.name}"] == "damaged"
    if left == "its series":
        assert told["s"] == "damaged"
        assert not found.scans
        found = find_scans(tmp_path, leniency=Leniency(on_gap="warn"))
    (source,) = found.scans
    assert any(note.startswith("broken-files: ") for note in read_scan(source, leniency=Leniency(on_gap="warn")).notes)


def test_broken_files_of_other_series_and_kinds_say_nothing_about_a_series(tmp_path):
    save_all(slices([0, 2, 4]), tmp_path / "s", ["0.dcm", "1.dcm", "2.dcm"])
    other = save(instance(SeriesInstanceUID="1.2.3.9"), tmp_path / "s" / "other.dcm")
    other.write_bytes(other.read_bytes()[: other.read_bytes().index(SERIES) + 16])
    (tmp_path / "s" / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "elsewhere.dcm").write_bytes(b"")
    found = find_scans(tmp_path)
    assert len(found.refused) == 3
    assert found.scans[0].notes == ()


def test_a_closed_folder_is_refused_by_name(tmp_path, monkeypatch):
    save(instance(), tmp_path / "open" / "x")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def closed(path):
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    found = find_scans(tmp_path)
    assert [scan.name for scan in found.scans] == ["open/x"]
    assert [(item.name, item.code) for item in found.refused] == [("closed", "unreadable")]
    assert "folder" in found.refused[0].reason
