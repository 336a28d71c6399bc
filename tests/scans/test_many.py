"""A thousand scans, fifty of them broken: 950 results as if the broken ones were not there, and fifty reasons."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import imagecodecs
import nibabel
import numpy as np
import pytest

from medcls.errors import ScanRefused
from medcls.scans import RefusalCode, Scan, find_scans, read_scan
from tests.factories.dicom import DX
from tests.fuzzing.broken_kinds import BROKEN, series
from tests.fuzzing.dicom_seeds import JPEG, compressed, marked, packed

SERIES, COMPRESSED, NIFTI, PNG = 180, 200, 290, 280
Key = frozenset[str]

CODECS: tuple[tuple[str, Callable[[np.ndarray], bytes]], ...] = (
    ("70", lambda a: imagecodecs.ljpeg_encode(a, bitspersample=16)),
    ("80", imagecodecs.jpegls_encode),
    ("90", lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=True)),
    ("201", lambda a: imagecodecs.htj2k_encode(a, reversible=True)),
)


def clean_files() -> dict[str, bytes]:
    """950 scans that all differ, by path."""
    files: dict[str, bytes] = {}
    for number in range(SERIES):
        for name, data in a_series(number).items():
            files[f"patients/{number // 25}/{number}/{name}"] = data
    for number in range(COMPRESSED):
        files[f"radiographs/{number // 50}/X{number}"] = a_radiograph(number)
    for number in range(NIFTI):
        packing = ".nii.gz" if number % 2 else ".nii"
        files[f"volumes/v{number}{packing}"] = a_volume(number)
    for number in range(PNG):
        files[f"pictures/{number % 7}/p{number}.png"] = imagecodecs.png_encode(pixels(number + 1000))
    return files


def pixels(number: int) -> np.ndarray:
    return (np.add.outer(np.arange(12) * 5, np.arange(10)) * 3 + number * 7).astype(np.uint16)


def a_series(number: int) -> dict[str, bytes]:
    """Three slices; every series has its own patient, place, spacing and values."""
    made = series([0.0, 1.0 + number % 5, 2.0 + 2 * (number % 5)])
    for index, dataset in enumerate(made):
        dataset.PixelData = (pixels(number)[:3, :4] + index).tobytes()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.2.{number}", f"1.2.{number}.1"
        dataset.SOPInstanceUID, dataset.PatientID = f"1.2.{number}.1.{index}", f"P{number}"
        dataset.ImagePositionPatient[0] = number
        dataset.InstanceNumber = 1
    return {f"{(index * 7 + number) % 5}": packed(dataset) for index, dataset in enumerate(made)}


def a_radiograph(number: int) -> bytes:
    dataset = marked(pixels(number), SOPClassUID=DX, Modality="DX", SOPInstanceUID=f"1.3.{number}")
    dataset.StudyInstanceUID = dataset.SeriesInstanceUID = f"1.3.{number}.1"
    end, encode = CODECS[number % len(CODECS)]
    return compressed(dataset, JPEG + end, [encode(pixels(number))])


def a_volume(number: int) -> bytes:
    affine = np.diag([1 + number / 100, 2.0, 3.0, 1.0])
    data = nibabel.Nifti1Image((np.arange(60).reshape(3, 4, 5) + number).astype(np.int16), affine).to_bytes()
    return gzip.compress(data, 1, mtime=0) if number % 2 else data


def broken_files() -> tuple[dict[str, bytes], dict[Key, str]]:
    """Fifty broken scans, half of them among the good ones, and the code of each by its files."""
    files: dict[str, bytes] = {}
    codes: dict[Key, str] = {}
    for number, kind in enumerate(BROKEN):
        folder = f"patients/{number // 8}/{number}" if number % 2 else f"broken/{number}"
        made = {f"{folder}/b{number}-{name}": data for name, data in own(kind.make(), number).items()}
        files.update(made)
        codes[frozenset(name for name in made if not name.endswith(".img"))] = kind.code  # the header stands for a pair
    return files, codes


def own(made: dict[str, bytes], number: int) -> dict[str, bytes]:
    """The same with UIDs of their own: the makers give each broken scan the same ones."""
    study = f"1.2.{77871 + 100 * number}."  # as long as the marked one, so that every length stays right
    return {name: data.replace(b"1.2.77771.", study.encode()) for name, data in made.items()}


@dataclass
class Answers:
    """What a folder gave, by the files that each scan was made of."""

    scans: dict[Key, Scan]
    refused: dict[Key, ScanRefused]


def answers(root: Path, called: dict[str, str] | None = None) -> Answers:
    """Find and read everything; ``called`` gives the first name of each renamed file."""
    called = called or {}

    def key(paths: tuple[Path, ...]) -> Key:
        names = (path.relative_to(root).as_posix() for path in paths)
        return frozenset(called.get(name, name) for name in names)

    found = find_scans(root)
    given = Answers({}, {key(one.paths): one.error() for one in found.refused})
    for source in found.scans:
        try:
            given.scans[key(source.paths)] = read_scan(source)
        except ScanRefused as error:
            given.refused[key(source.paths)] = error
    return given


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def same(one: Scan, other: Scan) -> bool:
    return (
        one.array.dtype == other.array.dtype
        and one.array.shape == other.array.shape
        and one.array.tobytes() == other.array.tobytes()
        and one.affine.tobytes() == other.affine.tobytes()
        and (one.modality, one.photometric, one.notes) == (other.modality, other.photometric, other.notes)
    )


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Answers:
    """The clean folder read alone."""
    return answers(write(tmp_path_factory.mktemp("clean"), clean_files()))


@pytest.fixture(scope="module")
def mixed_files() -> tuple[dict[str, bytes], dict[Key, str]]:
    broken, codes = broken_files()
    return {**clean_files(), **broken}, codes


def test_the_clean_folder_holds_950_scans_that_differ(clean):
    assert len(clean.scans) == SERIES + COMPRESSED + NIFTI + PNG == 950
    assert clean.refused == {}
    assert len({(scan.array.tobytes(), scan.affine.tobytes()) for scan in clean.scans.values()}) == 950
    first = clean.scans[frozenset(f"patients/0/7/{(index * 7 + 7) % 5}" for index in range(3))]
    for index in range(3):
        assert np.array_equal(first.array[0, :, :, index].T, pixels(7)[:3, :4] + index)
    assert first.affine[:, 3].tolist() == [-7, 0, 0, 1]
    assert first.spacing == (0.5, 0.5, 3.0)


def test_fifty_broken_scans_cost_fifty_rows_and_nothing_else(clean, mixed_files, tmp_path):
    files, codes = mixed_files
    assert len(codes) == 50
    given = answers(write(tmp_path, files))
    check(given, clean, codes)


def test_names_and_order_of_files_change_nothing(clean, mixed_files, tmp_path):
    files, codes = mixed_files
    renamed = shuffled(sorted(files))
    given = answers(write(tmp_path, {renamed[name]: data for name, data in files.items()}), back(renamed))
    check(given, clean, codes)


def check(given: Answers, clean: Answers, codes: dict[Key, str]) -> None:
    assert set(given.scans) == set(clean.scans)
    assert [sorted(key) for key, scan in given.scans.items() if not same(scan, clean.scans[key])] == []
    got = {key: str(error.code) for key, error in given.refused.items()}
    names = {key: f"{min(key)} ({given.refused[key].what if key in given.refused else ''})" for key in (*codes, *got)}
    assert {names[key]: code for key, code in got.items()} == {names[key]: code for key, code in codes.items()}
    for error in given.refused.values():
        assert error.code in set(RefusalCode)
        assert error.what
        assert error.remedy
        assert "\n" not in str(error)


def shuffled(names: list[str]) -> dict[str, str]:
    """Other names for files and folders, so that they are met in another order; companions stay together."""
    random = Random(5)
    folders = sorted({name.rpartition("/")[0] for name in names})
    places = dict(zip(folders, (f"{random.getrandbits(40):x}/{number}" for number in range(len(folders))), strict=True))
    new: dict[str, str] = {}
    prefixes: dict[tuple[str, str], str] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        stem, dot, suffix = file.partition(".")
        prefix = prefixes.setdefault((folder, stem), f"{random.getrandbits(40):010x}")
        new[name] = f"{places[folder]}/{prefix}{dot}{suffix}"
    return new


def back(renamed: dict[str, str]) -> dict[str, str]:
    return {new: old for old, new in renamed.items()}
