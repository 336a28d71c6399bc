"""Contact sheets: upright, with the right letters, in true proportion, and the same every time."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from medcls.scans import Scan, find_scans, read_scan
from medcls.scans.inspection.montage import BOX, Montage, draw_tile, grey_window, sheet_path
from medcls.scans.inspection.planes import middle_planes
from tests.factories.dicom import CT, MR, instance, save_all
from tests.factories.scans import GEOMETRIES, chest, picture, planted, turned

TOWARDS = {
    "R": (1.0, 0.0, 0.0), "L": (-1.0, 0.0, 0.0), "A": (0.0, 1.0, 0.0),
    "P": (0.0, -1.0, 0.0), "S": (0.0, 0.0, 1.0), "I": (0.0, 0.0, -1.0),
}  # fmt: skip
ORIENTATIONS = [
    np.array([[sign * (axis == row) for axis, sign in zip(order, signs, strict=True)] for row in range(3)], dtype=float)
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3))
]
RIGHT_HANDED = [matrix for matrix in ORIENTATIONS if np.linalg.det(matrix) > 0]


def affine_of(directions: NDArray[np.float64], spacing: tuple[float, float, float]) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = directions * np.array(spacing)
    matrix[:3, 3] = (12.0, -40.0, 7.0)
    return matrix


def ramp(shape: tuple[int, ...], matrix: NDArray[np.float64], letter: str) -> NDArray[np.int16]:
    """The brighter, the further towards one side of the patient."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).astype(float)
    values = index @ matrix[:3, :3].T @ np.array(TOWARDS[letter])
    return np.round(10 * (values - values.min())).astype(np.int16)


def as_nifti(array: NDArray[np.int16], matrix: NDArray[np.float64], folder: Path) -> Scan:
    image = nibabel.Nifti1Image(array, matrix)
    image.set_sform(matrix, 1)
    nibabel.save(image, folder / "scan.nii")
    return read_scan(folder / "scan.nii")


def as_dicom(array: NDArray[np.int16], matrix: NDArray[np.float64], folder: Path, sop_class: str = CT) -> Scan:
    """A classic series with the geometry of ``matrix``; DICOM's axes are LPS (PS3.3 C.7.6.2.1.1)."""
    lps = np.diag([-1.0, -1.0, 1.0]) @ matrix[:3]
    lengths = np.linalg.norm(lps[:, :3], axis=0)
    across, down = lps[:, 0] / lengths[0], lps[:, 1] / lengths[1]
    made = [
        instance(
            np.ascontiguousarray(array[:, :, number].T),
            SOPClassUID=sop_class,
            Modality="CT" if sop_class == CT else "MR",
            ImageOrientationPatient=[*across, *down],
            ImagePositionPatient=list(lps[:, 3] + number * lps[:, 2]),
            PixelSpacing=[lengths[1], lengths[0]],
            SliceThickness=lengths[2],
            InstanceNumber=number + 1,
        )
        for number in range(array.shape[2])
    ]
    return read_scan(save_all(made, folder / "series"))


def assert_bright_at(scan: Scan, letter: str) -> int:
    """In every plane that has an edge with this letter, the half at that edge is the brighter one."""
    seen = 0
    for plane in middle_planes(scan):
        assert plane.edges is not None
        values = plane.pixels.astype(float)
        halves = {
            plane.edges.left: values[:, : values.shape[1] // 2],
            plane.edges.right: values[:, -(values.shape[1] // 2) :],
            plane.edges.top: values[: values.shape[0] // 2],
            plane.edges.bottom: values[-(values.shape[0] // 2) :],
        }
        if letter in halves:
            assert max(halves, key=lambda side: float(halves[side].mean())) == letter, (plane.name, halves.keys())
            seen += 1
    return seen


@pytest.mark.parametrize("letter", list(TOWARDS))
def test_the_bright_side_of_a_nifti_volume_is_at_its_letter_in_all_48_orientations(letter: str, tmp_path: Path) -> None:
    for directions in ORIENTATIONS:
        matrix = affine_of(directions, (1.0, 2.0, 3.0))
        assert assert_bright_at(as_nifti(ramp((8, 7, 6), matrix, letter), matrix, tmp_path), letter) == 2


@pytest.mark.parametrize("letter", list(TOWARDS))
@pytest.mark.parametrize("number", range(0, len(RIGHT_HANDED), 3))
def test_the_bright_side_of_a_dicom_series_is_at_its_letter(letter: str, number: int, tmp_path: Path) -> None:
    matrix = affine_of(RIGHT_HANDED[number], (1.0, 2.0, 3.0))
    scan = as_dicom(ramp((8, 7, 6), matrix, letter), matrix, tmp_path)
    assert assert_bright_at(scan, letter) == 2


@pytest.mark.parametrize("number", range(len(RIGHT_HANDED)))
def test_a_single_dicom_slice_is_shown_upright_in_its_own_plane(number: int, tmp_path: Path) -> None:
    matrix = affine_of(RIGHT_HANDED[number], (1.0, 2.0, 3.0))
    seen = 0
    for letter in TOWARDS:
        scan = as_dicom(ramp((8, 7, 1), matrix, letter), matrix, tmp_path / letter, MR)
        (plane,) = middle_planes(scan)
        through = int(np.argmax(np.abs(matrix[:3, 2])))
        assert plane.name == ("sagittal", "coronal", "axial")[through]
        seen += assert_bright_at(scan, letter)
    assert seen == 4


def test_pictures_follow_the_radiological_convention() -> None:
    scan, _ = planted(GEOMETRIES["sagittal"])
    edges = {plane.name: plane.edges for plane in middle_planes(scan)}
    told = {name: (e.left, e.right, e.top, e.bottom) for name, e in edges.items() if e is not None}
    assert told == {
        "axial": ("R", "L", "A", "P"),
        "coronal": ("R", "L", "S", "I"),
        "sagittal": ("A", "P", "S", "I"),
    }


@settings(max_examples=60)
@given(
    directions=st.sampled_from(ORIENTATIONS),
    degrees=st.floats(-35, 35),
    about=st.sampled_from([(0, 1), (1, 2), (0, 2)]),
    shape=st.tuples(*[st.integers(2, 6)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 6)] * 3),
)
def test_planes_are_those_of_the_closest_canonical_volume_of_nibabel(
    directions: NDArray[np.float64],
    degrees: float,
    about: tuple[int, int],
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
) -> None:
    matrix = affine_of(turned(degrees, *about) @ directions, spacing)
    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    canonical = nibabel.as_closest_canonical(nibabel.Nifti1Image(array, matrix))
    towards_lpi = np.asarray(canonical.dataobj)[::-1, ::-1, ::-1]
    zooms = np.linalg.norm(canonical.affine[:3, :3], axis=0)
    middle = [size // 2 for size in towards_lpi.shape]
    expected = {
        "axial": (towards_lpi[:, :, middle[2]].T, (zooms[1], zooms[0])),
        "coronal": (towards_lpi[:, middle[1], :].T, (zooms[2], zooms[0])),
        "sagittal": (towards_lpi[middle[0]].T, (zooms[2], zooms[1])),
    }
    found = {plane.name: plane for plane in middle_planes(Scan(array[None], matrix))}
    assert found.keys() == expected.keys()
    for name, (pixels, lengths) in expected.items():
        assert np.array_equal(found[name].pixels, pixels)
        assert np.allclose(found[name].spacing, lengths)
        assert found[name].tilt == pytest.approx(abs(degrees), abs=1e-3)


def test_a_tilt_is_told_and_a_pure_turn_of_axes_is_none() -> None:
    labels = [plane.label for plane in middle_planes(planted(GEOMETRIES["oblique"])[0])]
    assert all(label.split()[1].endswith("°") for label in labels)
    assert [plane.label for plane in middle_planes(planted(GEOMETRIES["axial"])[0])] == ["axial", "coronal", "sagittal"]


def extent(box: Image.Image) -> tuple[int, int]:
    """Width and height of what is drawn inside the margin of a slice."""
    inner = box.crop((14, 14, BOX - 14, BOX - 14)).convert("L").point(lambda value: 255 * (value > 40))
    bounds = inner.getbbox()
    assert bounds is not None
    return bounds[2] - bounds[0], bounds[3] - bounds[1]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 0.5, 6.0), (3.0, 1.0, 2.0)])
def test_proportions_are_those_of_the_patient(spacing: tuple[float, float, float]) -> None:
    values = np.random.default_rng(1).integers(500, 1000, (1, 40, 30, 20)).astype(np.float32)
    values[..., 0], values[:, 0], values[:, :, 0] = 0, 0, 0  # black, so that bright is well above it
    matrix = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    tile = draw_tile(Scan(values, matrix, modality="MR", kind="nifti"), "x")
    millimetres = np.array([39, 29, 19]) * spacing
    top = tile.height - BOX
    for number, (across, down) in enumerate([(0, 1), (0, 2), (1, 2)]):
        left = round(number * (tile.width - BOX) / 2)
        width, height = extent(tile.crop((left, top, left + BOX, top + BOX)))
        ratio = millimetres[across] / millimetres[down]
        assert width / height == pytest.approx(ratio, rel=0.12)


def drawn_letters(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[float, float]]]:
    """Where single capital letters are written inside slices."""
    found: dict[str, list[tuple[float, float]]] = {}
    write = ImageDraw.ImageDraw.text

    def spy(self: ImageDraw.ImageDraw, xy: tuple[float, float], text: str, *args: object, **options: object) -> None:
        if text in TOWARDS:
            found.setdefault(text, []).append(xy)
        write(self, xy, text, *args, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(ImageDraw.ImageDraw, "text", spy)
        draw_tile(scan, "x")
    return found


def test_letters_stand_at_the_edges_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    found = drawn_letters(chest(), monkeypatch)
    near, far, middle = 14, BOX - 14, BOX / 2
    assert len(found["R"]) == len(found["L"]) == 2
    assert all(x < near and y == middle for x, y in found["R"])
    assert all(x > far and y == middle for x, y in found["L"])
    assert sorted(found["A"]) == sorted([(middle, found["A"][0][1]), (found["A"][1][0], middle)])
    assert all(y < near and x == middle for x, y in found["S"])
    assert all(y > far and x == middle for x, y in found["I"])


def test_without_geometry_there_are_no_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn_letters(picture(), monkeypatch) == {}
    volume = Scan(np.random.default_rng(0).random((1, 5, 6, 7)), np.eye(4), has_geometry=False)
    assert drawn_letters(volume, monkeypatch) == {}
    assert [plane.pixels.shape for plane in middle_planes(volume)] == [(6, 5), (7, 5), (7, 6)]


def test_a_marker_on_the_patients_left_is_on_the_right_of_the_sheet(tmp_path: Path) -> None:
    for geometry in ("axial", "superior-first", "sagittal"):
        matrix = GEOMETRIES[geometry]
        values = np.zeros((40, 40, 40), np.int16)
        centre = matrix @ [19.5, 19.5, 19.5, 1]
        index = np.stack(np.meshgrid(*[np.arange(40)] * 3, indexing="ij"), -1) @ matrix[:3, :3].T + matrix[:3, 3]
        offset = np.linalg.norm(index - (centre[:3] - np.array([12.0, 0.0, 0.0])), axis=-1)
        values[offset < 6] = 1000
        montage = Montage(tmp_path / f"{geometry}.png")
        montage.add(as_nifti(values, matrix, tmp_path), geometry)
        (sheet,) = montage.finish()
        axial = np.asarray(Image.open(sheet).convert("L"), dtype=float)[
            -(BOX + 10) + 14 : -(10 + 14), 10 + 14 : 10 + BOX - 14
        ]
        _rows, columns = np.nonzero(axial > 200)
        assert columns.min() > axial.shape[1] / 2


def test_windows_are_told() -> None:
    ct, mr = chest(), chest(modality="MR")
    assert grey_window(ct, middle_planes(ct)).words == "window -1000 to 1000 HU"
    low, high = np.percentile(np.concatenate([p.pixels.ravel() for p in middle_planes(mr)]), [1, 99])
    window = grey_window(mr, middle_planes(mr))
    assert (window.low, window.high) == pytest.approx((low, high))
    assert "1-99 %" in window.words
    rare = np.zeros((1, 51, 51, 51), np.uint8)
    rare[0, 25, 25, 25] = 7
    label = Scan(rare, np.eye(4), kind="nifti")
    assert (grey_window(label, middle_planes(label)).low, grey_window(label, middle_planes(label)).high) == (0, 7)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_drawn_over(value: float) -> None:
    array = np.random.default_rng(0).random((1, 9, 9)).astype(np.float32)
    array[0, 4, 4] = value
    draw_tile(Scan(array, np.eye(4), has_geometry=False), "x")
    draw_tile(Scan(np.full((1, 3, 3), value, np.float32), np.eye(4), has_geometry=False), "x")


def test_colours_are_kept() -> None:
    array = np.zeros((3, 20, 20), np.uint8)
    array[:] = np.array([200, 30, 40], np.uint8)[:, None, None]
    for scale, kind in ((1, np.uint8), (257, np.uint16)):
        scan = Scan(array.astype(kind) * kind(scale), np.eye(4), has_geometry=False, photometric="rgb")
        tile = draw_tile(scan, "x")
        assert tile.getpixel((BOX // 2, tile.height - BOX // 2)) == (200, 30, 40)


def test_sheets_follow_each_other_and_are_the_same_every_time(tmp_path: Path) -> None:
    scans = [planted(matrix)[0] for matrix in GEOMETRIES.values()] + [picture(channels=3)]
    for folder in ("first", "second"):
        montage = Montage(tmp_path / folder / "out.png", per_sheet=3)
        for number, scan in enumerate(scans, start=1):
            montage.add(scan, "a/long/way/" * 20 + f"scan {number}\x1b[2J", number)
        sheets = montage.finish()
        assert [sheet.name for sheet in sheets] == ["out.png", "out-2.png", "out-3.png"]
    for sheet in sheets:
        assert sheet.read_bytes() == (tmp_path / "first" / sheet.name).read_bytes()
        with Image.open(sheet) as shown:
            assert shown.info == {"Software": "medcls inspect"}
    assert sheet_path(Path("a.b.PNG"), 12) == Path("a.b-12.PNG")
    assert not list(tmp_path.rglob("*.part"))


def test_no_scan_is_no_sheet(tmp_path: Path) -> None:
    assert Montage(tmp_path / "out.png").finish() == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (1, 1, 1), (1, 1, 9), (9, 1, 9), (2, 300, 2)])
def test_thin_scans_are_drawn(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).random((1, *shape))
    assert draw_tile(Scan(array, np.eye(4)), "x").width >= BOX
    assert draw_tile(Scan(array, np.eye(4), has_geometry=False), "x").width >= BOX


@pytest.mark.parametrize("folder", ["dicom", "nifti"])
def test_every_readable_real_scan_has_a_tile(folder: str, shared_data: Path, tmp_path: Path) -> None:
    montage = Montage(tmp_path / "out.png")
    found = find_scans(shared_data / folder).scans
    for source in found:
        montage.add(read_scan(source), source.name)
    sheets = montage.finish()
    assert len(found) > 10
    assert len(sheets) == -(-len(found) // 60)
    for sheet in sheets:
        assert np.asarray(Image.open(sheet)).std() > 10
