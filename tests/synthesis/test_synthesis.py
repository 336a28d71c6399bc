"""Synthetic cohorts: repeatable, right about where the lesions are, and telling the answer in no other way."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
from collections import Counter, defaultdict
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcls.errors import StorageError, UsageError
from medcls.scans import find_scans, read_scan
from medcls.synthesis import REGIONS, Lesion, distance_to_lesion, load_lesions, write_cohort
from medcls.synthesis.plan import plan_patients, shuffled_positives

SIZES = {"lung": 48, "brain": 40, "stomach": 64}


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "cases.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def slices(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


def normal_of(dataset: pydicom.Dataset) -> np.ndarray:
    orientation = np.array(dataset.ImageOrientationPatient, float)
    return np.cross(orientation[:3], orientation[3:])


@pytest.fixture(scope="module")
def lung(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort("lung", tmp_path_factory.mktemp("lung"), patients=24, size=32).folder


@pytest.fixture(scope="module")
def stomach(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort("stomach", tmp_path_factory.mktemp("stomach"), patients=12, size=64).folder


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """For each region, the same patients once without and once with a lesion."""
    made = {}
    for region in REGIONS:
        both = [tmp_path_factory.mktemp(region) for _ in range(2)]
        for share, folder in enumerate(both):
            write_cohort(region, folder, patients=5, seed=3, size=SIZES[region], positives=float(share))
        made[region] = (both[0], both[1])
    return made


@pytest.mark.parametrize("region", REGIONS)
def test_the_same_seed_gives_the_same_bytes(region: str, tmp_path: Path) -> None:
    for name, seed in (("one", 5), ("same", 5), ("other", 6)):
        write_cohort(region, tmp_path / name, patients=2, seed=seed, size=32)
    assert digests(tmp_path / "one") == digests(tmp_path / "same")
    one, other = digests(tmp_path / "one"), digests(tmp_path / "other")
    assert not set(one.values()) & set(other.values())


@pytest.mark.parametrize("region", REGIONS)
def test_a_longer_cohort_begins_with_the_shorter_one(region: str, tmp_path: Path) -> None:
    write_cohort(region, tmp_path / "short", patients=2, size=32)
    write_cohort(region, tmp_path / "long", patients=4, size=32)
    short = {name: digest for name, digest in digests(tmp_path / "short").items() if "/" in name}
    assert short
    assert short.items() <= digests(tmp_path / "long").items()
    rows = table(tmp_path / "short")
    assert table(tmp_path / "long")[: len(rows)] == rows


@pytest.mark.parametrize("region", REGIONS)
def test_cases_with_a_lesion_are_the_positive_ones(region: str, tmp_path: Path) -> None:
    cohort = write_cohort(region, tmp_path / "c", patients=6, size=32, positives=0.4)
    rows = table(cohort.folder)
    assert {row["label"] for row in rows} == set(cohort.labels)
    positives = {row["case"] for row in rows if row["label"] == cohort.positive}
    assert positives == set(load_lesions(cohort.lesions_json))
    assert len({row["case"] for row in rows}) == len(rows)
    assert all((cohort.folder / row["scan"]).exists() for row in rows)


@pytest.mark.parametrize("region", REGIONS)
def test_every_scan_is_found_and_none_is_refused(region: str, twins: dict[str, tuple[Path, Path]]) -> None:
    folder = twins[region][1]
    found = find_scans(folder)
    assert not found.refused
    assert {scan.name for scan in found.scans} == {row["scan"] for row in table(folder)}


@pytest.mark.parametrize("region", REGIONS)
def test_the_lesion_lies_where_the_file_says(region: str, twins: dict[str, tuple[Path, Path]]) -> None:
    """The reader's own affine, and nothing of the generator's, takes the changed voxels to the written place."""
    without, planted = twins[region]
    lesions = load_lesions(planted / "lesions.json")
    for row in table(planted):
        lesion = lesions[row["case"]]
        normal, positive = read_scan(without / row["scan"]), read_scan(planted / row["scan"])
        assert np.allclose(normal.affine, positive.affine)
        change = np.abs(positive.array.astype(float) - normal.array.astype(float)).mean(axis=0)
        index = np.indices(change.shape).reshape(change.ndim, -1)
        home = positive.affine[: change.ndim, : change.ndim] @ index + positive.affine[: change.ndim, 3][:, None]
        away = np.linalg.norm(home - np.array(lesion.centre)[:, None], axis=0)
        weight = change.ravel()

        voxel = max(positive.spacing)
        centroid = (home * weight).sum(axis=1) / weight.sum()
        assert np.linalg.norm(centroid - lesion.centre) < 0.45 * lesion.radius + 0.25 * voxel
        assert weight[away > 3 * lesion.radius + voxel].max(initial=0) <= 0.05 * weight.max()
        at = np.linalg.solve(positive.affine, [*lesion.centre, *[0.0] * (3 - change.ndim), 1.0])
        assert np.allclose(at[: change.ndim], lesion.voxel, atol=1e-2)


@pytest.mark.parametrize(("region", "least"), [("lung", 150.0), ("brain", 0.12), ("stomach", 25.0)])
def test_a_lesion_stands_out_from_the_same_patient_without(
    region: str, least: float, twins: dict[str, tuple[Path, Path]]
) -> None:
    """HU for CT, parts of the brightest for MR, grey levels for frames."""
    without, planted = twins[region]
    lesions = load_lesions(planted / "lesions.json")
    for row in table(planted):
        normal, positive = (read_scan(folder / row["scan"]).array.astype(float) for folder in (without, planted))
        nearest = tuple(round(value) for value in lesions[row["case"]].voxel)
        change = np.abs(positive - normal)[(slice(None), *nearest)].max()
        assert change > least * (np.percentile(normal, 99) if region == "brain" else 1)


def test_harder_cohorts_have_smaller_fainter_lesions_and_more_noise(tmp_path: Path) -> None:
    for name, difficulty in (("easy", 0.0), ("hard", 1.0)):
        write_cohort("lung", tmp_path / name, patients=3, size=48, difficulty=difficulty, positives=1)
    easy, hard = (load_lesions(tmp_path / name / "lesions.json") for name in ("easy", "hard"))
    assert all(hard[case].radius < 0.7 * easy[case].radius for case in easy)
    air, faded = (slice(18, 30), slice(0, 4)), []  # in front of the chest
    for row in table(tmp_path / "easy"):
        calm, noisy = (read_scan(tmp_path / name / row["scan"]).array[0] for name in ("easy", "hard"))
        assert noisy[air].std() > 1.5 * calm[air].std()
        nearest = tuple(round(value) for value in easy[row["case"]].voxel)
        faded.append(float(calm[nearest]) - float(noisy[nearest]))
    assert np.mean(faded) > 450  # HU


def test_patients_of_the_lung_cohort_come_back_with_the_same_label(lung: Path) -> None:
    cases = defaultdict(list)
    for row in table(lung):
        cases[row["patient"]].append(row)
    assert len(cases) == 24
    assert any(len(rows) == 2 for rows in cases.values())
    for patient, rows in cases.items():
        assert len({row["label"] for row in rows}) == 1
        heads = [slices(lung / row["scan"])[0] for row in rows]
        assert {head.PatientID for head in heads} == {patient}
        assert len({head.StudyInstanceUID for head in heads}) == len(rows)
        assert len({head.StudyDate for head in heads}) == len(rows)


def test_series_carry_what_a_pacs_sends(lung: Path) -> None:
    instances = Counter()
    for row in table(lung):
        series = slices(lung / row["scan"])
        assert len({dataset.SeriesInstanceUID for dataset in series}) == 1
        for dataset in series:
            instances[dataset.SOPInstanceUID] += 1
            assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID
            assert dataset.PatientSex == row["sex"]
            assert dataset.PatientAge == f"{int(row['age']):03d}Y"
            assert all((dataset.Manufacturer, dataset.ManufacturerModelName, dataset.ConvolutionKernel))
            assert dataset.RescaleIntercept == -1024
            assert dataset.pixel_array.dtype == np.int16
        birth, study = (str(series[0][name].value) for name in ("PatientBirthDate", "StudyDate"))
        assert int(row["age"]) == (int(study) - int(birth)) // 10000
        assert all(not path.suffix for path in (lung / row["scan"]).iterdir())
    assert set(instances.values()) == {1}


def test_neither_names_nor_numbers_tell_the_order_of_slices(lung: Path) -> None:
    by_name, by_number = [], []
    for row in table(lung):
        series = slices(lung / row["scan"])
        heights = [float(normal_of(dataset) @ np.array(dataset.ImagePositionPatient, float)) for dataset in series]
        numbers = [int(dataset.InstanceNumber) for dataset in series]
        assert sorted(numbers) == list(range(1, len(series) + 1))
        gaps = np.diff(sorted(heights))
        assert np.allclose(gaps, gaps[0], rtol=1e-4)
        by_name.append(heights in (sorted(heights), sorted(heights, reverse=True)))
        along = [height for _, height in sorted(zip(numbers, heights, strict=True))]
        by_number.append(along in (sorted(heights), sorted(heights, reverse=True)))
    assert not any(by_name)
    assert any(by_number)
    assert not all(by_number)


def test_some_series_are_oblique_and_some_axial_with_slices_along_the_normal(lung: Path) -> None:
    tilted = []
    for row in table(lung):
        series = slices(lung / row["scan"])
        normal = normal_of(series[0])
        assert np.isclose(np.linalg.norm(normal), 1, atol=1e-6)
        places = np.array([dataset.ImagePositionPatient for dataset in series], float)
        assert np.allclose(np.cross(places - places[0], normal), 0, atol=1e-4)
        tilted.append(np.degrees(np.arccos(min(1.0, normal[2]))) > 3)
    assert 0.1 < np.mean(tilted) < 0.7


def test_a_slice_is_what_pydicom_itself_would_write(lung: Path) -> None:
    syntaxes = set()
    for row in table(lung):
        path = min((lung / row["scan"]).iterdir())
        dataset = pydicom.dcmread(path)
        syntaxes.add(dataset.file_meta.TransferSyntaxUID)
        buffer = BytesIO()
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
        assert path.read_bytes() == buffer.getvalue()
    assert len(syntaxes) == 2


def test_the_chest_lies_the_right_way_round_and_has_the_densities_of_tissues(
    twins: dict[str, tuple[Path, Path]],
) -> None:
    """Read back in RAS+: the heart is on the patient's left, the spine behind, the belly below."""
    folder = twins["lung"][0]
    for row in table(folder):
        scan = read_scan(folder / row["scan"])
        assert scan.modality == "CT"
        values = scan.array[0].astype(float).ravel()
        index = np.indices(scan.shape).reshape(3, -1)
        x, y, z = scan.affine[:3, :3] @ index + scan.affine[:3, 3][:, None]
        trunk = (values > -300) & (values < 300)
        centre = x[trunk].mean(), (y[trunk].min() + y[trunk].max()) / 2, (z.min() + z.max()) / 2
        x, y, z = x - centre[0], y - centre[1], z - centre[2]

        def near(place: tuple[float, float, float], *, at: tuple[np.ndarray, ...] = (x, y, z)) -> np.ndarray:
            return sum((a - p) ** 2 for a, p in zip(at, place, strict=True)) < 20**2

        assert -20 < np.median(values[near((-42, 22, -30))]) < 110  # heart
        assert np.median(values[near((75, 22, -5))]) < -650  # right lung
        assert np.median(values[near((60, -10, -100))]) > 20  # liver
        assert y[(values > 350) & (np.abs(x) < 20)].mean() < -40  # spine
        assert ((values > -930) & (values < -700)).mean() > 0.05


def test_head_volumes_lie_in_several_orientations(twins: dict[str, tuple[Path, Path]]) -> None:
    folder = twins["brain"][0]
    images = [nibabel.load(folder / row["scan"]) for row in table(folder)]
    assert len({nibabel.aff2axcodes(image.affine) for image in images}) >= 3
    directions = [image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0) for image in images]
    assert any(np.abs(direction).max() < 0.999 for direction in directions)
    for image in images:
        assert np.allclose(image.get_sform(coded=False), image.get_qform(coded=False), atol=1e-3)
        # RFC 1952, 2.3.1: no time in the gzip header, or the same cohort differs from one second to the next.
        assert Path(image.get_filename()).read_bytes()[4:8] == bytes(4)


def test_frames_are_jpeg_and_endoscopic_dicom_side_by_side(stomach: Path) -> None:
    rows = table(stomach)
    frames = Counter(row["patient"] for row in rows)
    assert len(frames) == 12
    assert min(frames.values()) >= 2
    forms = Counter()
    for row in rows:
        scan = read_scan(stomach / row["scan"])
        assert scan.shape == (80, 64)
        assert scan.channels == 3
        forms[scan.kind] += 1
        if scan.kind == "dicom":
            dataset = pydicom.dcmread(stomach / row["scan"])
            assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.77.1.1"
            assert (dataset.PatientID, dataset.Modality) == (row["patient"], "ES")
            forms[dataset.PhotometricInterpretation] += 1
        assert scan.array[:, :3, :3].max() < 30  # the black corner around the octagon
        red, green, blue = scan.array[:, 10:70, 8:56].astype(float).mean(axis=(1, 2))
        assert red > green > blue
    assert all(forms[form] for form in ("raster", "dicom", "RGB", "YBR_FULL_422"))


@pytest.mark.parametrize("region", ["lung", "stomach"])
def test_the_scanner_does_not_tell_the_label(region: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(region)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    seen = set()
    for row in table(folder):
        path = folder / row["scan"]
        if path.suffix == ".jpg" or row["patient"] in seen:
            continue
        seen.add(row["patient"])
        dataset = pydicom.dcmread(min(path.iterdir()) if path.is_dir() else path, stop_before_pixels=True)
        counts[dataset.Manufacturer][row["label"]] += 1
    assert len(counts) >= 3
    if region == "lung":
        for labels in counts.values():
            assert abs(labels["normal"] - labels["inflammation"]) <= 1


@given(
    patients=st.integers(1, 200),
    seed=st.integers(0, 2**32),
    positives=st.floats(0, 1),
    region=st.sampled_from(REGIONS),
)
def test_the_part_of_positives_is_kept_and_scanners_go_round(
    patients: int, seed: int, positives: float, region: str
) -> None:
    plan = plan_patients(region, patients, seed, positives)
    assert abs(sum(patient.positive for patient in plan) - positives * patients) <= 3
    whole = plan[: patients // 4 * 4]
    for prediction in (False, True):
        ranks = sorted(patient.rank for patient in whole if patient.positive == prediction)
        assert ranks == list(range(len(ranks)))
    assert all(18 <= patient.age(0) <= 93 for patient in plan)


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_labels_know_nothing_of_the_pictures(seed: int) -> None:
    plan = plan_patients("lung", 120, seed, 0.5)
    shuffled = shuffled_positives(plan, 0.5)
    planted = np.array([patient.positive for patient in plan], float)
    given_out = np.array([shuffled[patient.index] for patient in plan], float)
    assert abs(np.corrcoef(planted, given_out)[0, 1]) < 0.04
    assert abs(given_out.mean() - 0.5) < 0.02


def test_shuffled_labels_change_the_table_and_nothing_else(tmp_path: Path) -> None:
    for name, shuffled in (("right", False), ("shuffled", True)):
        write_cohort("lung", tmp_path / name, patients=12, size=32, shuffled_labels=shuffled)
    right, shuffled = digests(tmp_path / "right"), digests(tmp_path / "shuffled")
    assert {name for name in right if right[name] != shuffled[name]} == {"cases.csv"}
    labels = defaultdict(set)
    for row in table(tmp_path / "shuffled"):
        labels[row["patient"]].add(row["label"])
    assert all(len(given_out) == 1 for given_out in labels.values())


def test_distance_is_counted_from_the_edge_and_is_zero_inside() -> None:
    lesion = Lesion((10.0, 0.0, -5.0), 4.0)
    assert distance_to_lesion(lesion, (10, 3, -5)) == 0
    assert distance_to_lesion(lesion, (10, 10, -5)) == pytest.approx(6)
    assert distance_to_lesion(Lesion((3.0, 4.0), 1.0), (0, 0, 99)) == pytest.approx(4)


def test_a_file_that_holds_no_lesions_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "lesions.json"
    for text in ("{", "[]", '{"lesions": {"a": {"centre": 3}}}', json.dumps({"lesions": [1]})):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match=r"lesions\.json: this is no file of lesions"):
            load_lesions(path)
    with pytest.raises(UsageError, match="cannot be read"):
        load_lesions(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"patients": 0}, "0 patients"),
        ({"seed": -1}, "seed"),
        ({"size": 8}, "too small"),
        ({"difficulty": 1.5}, "difficulty is 1.5"),
        ({"positives": float("nan")}, "positives is nan"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_is_written(
    wrong: dict[str, float], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        write_cohort("lung", tmp_path / "new", **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="lung, brain, stomach"):
        write_cohort("knee", tmp_path / "new")  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()


def test_an_earlier_cohort_is_replaced_and_anything_else_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    write_cohort("brain", folder, patients=3, size=32)
    write_cohort("stomach", folder, patients=1, size=32)
    write_cohort("stomach", tmp_path / "fresh", patients=1, size=32)
    assert digests(folder) == digests(tmp_path / "fresh")

    (folder / "thesis.txt").write_text("years of work", encoding="utf-8")
    before = digests(folder)
    with pytest.raises(UsageError, match="not empty"):
        write_cohort("stomach", folder, patients=1, size=32)
    with pytest.raises(UsageError, match="a file"):
        write_cohort("stomach", folder / "thesis.txt", patients=1, size=32)
    assert digests(folder) == before


@pytest.mark.parametrize("region", REGIONS)
def test_a_full_disk_is_one_line_and_leaves_nothing(
    region: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("medcls.synthesis.cohort.write_csv", full)
    with pytest.raises(StorageError, match="no space left"):
        write_cohort(region, tmp_path / "new", patients=1, size=32)
    assert not list(tmp_path.iterdir())
