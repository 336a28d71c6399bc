"""Pixels that are no squares, and sizes of pixels where nothing says where a picture is: read, said, and kept in shape."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from medcls.config.settings import PreprocessingSettings
from medcls.explanation.native import to_scan_space
from medcls.preprocessing import Recipe, build_recipe
from medcls.scans import Scan, find_scans, read_scan
from medcls.scans.core.pixel_shape import plane_affine
from tests.factories.dicom import DX, instance, save

US = "1.2.840.10008.5.1.4.1.1.6.1"


def circle(across: float, down: float) -> np.ndarray:
    """A bright circle 60 wide in a field of 120 by 100, on pixels of these sizes: ``(rows, columns)`` uint8."""
    x, y = (np.arange(round(120 / across)) + 0.5) * across, (np.arange(round(100 / down)) + 0.5) * down
    return np.where(np.add.outer((y - 50) ** 2, (x - 60) ** 2) < 30**2, 200, 20).astype(np.uint8)


def recipe(mode: str = "pad", spacing: list[float] | None = None) -> Recipe:
    steps = {"resize": {"mode": mode}}
    return build_recipe("generic", PreprocessingSettings(kind="other", size=[160, 160], spacing=spacing, steps=steps))


def elongation(picture: np.ndarray) -> float:
    """Height over width of what is bright in ``(rows, columns)``."""
    bright = picture > (picture.min() + picture.max()) / 2
    return float(np.count_nonzero(bright.any(axis=1)) / np.count_nonzero(bright.any(axis=0)))


def shown(scan: Scan, by: Recipe) -> float:
    return elongation(by.prepare(scan).images[0, 0])


def ultrasound(**delta: float) -> Dataset:
    region = Dataset()
    region.RegionSpatialFormat, region.PhysicalUnitsXDirection, region.PhysicalUnitsYDirection = 1, 3, 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = delta["across"] / 10, delta["down"] / 10
    return region


def dicom(folder: Path, pixels: np.ndarray, **changes: Any) -> Scan:
    given = {"SOPClassUID": DX, "Modality": "DX", "PixelSpacing": None, **changes}
    return read_scan(save(instance(pixels, **given), folder / "picture"))


def of_regions(*regions: Dataset) -> dict[str, Any]:
    return {"SOPClassUID": US, "Modality": "US", "SequenceOfUltrasoundRegions": Sequence(regions)}


KINDS = {
    "detector": {"ImagerPixelSpacing": [1.0, 0.5]},
    "calibrated": {"PixelSpacing": [1.0, 0.5], "PixelSpacingCalibrationType": "FIDUCIAL"},
    "unspecified": {"PixelSpacing": [1.0, 0.5]},
    "film": {"NominalScannedPixelSpacing": [1.0, 0.5], "Modality": "CR"},
    "region": of_regions(ultrasound(across=0.5, down=1.0)),
    None: {"PixelAspectRatio": [2, 1]},
}


@pytest.mark.parametrize("known", KINDS)
@pytest.mark.parametrize("mode", ["pad", "crop"])
def test_a_circle_stays_a_circle_whatever_says_that_pixels_are_no_squares(tmp_path, known, mode):
    scan = dicom(tmp_path, circle(0.5, 1.0), **KINDS[known])
    assert scan.attributes.get("pixel_size") == known
    assert scan.spacing == pytest.approx((0.5, 1.0) if known else (1.0, 2.0))
    assert not scan.has_geometry
    assert any(note.startswith("not-square: a pixel is 2 times as high as wide") for note in scan.notes)
    assert any(note.startswith("pixel-units") for note in scan.notes) == (known not in ("calibrated", "region"))
    assert shown(scan, recipe(mode)) == pytest.approx(1, abs=0.04)
    assert shown(scan, replace(recipe(mode), version=2)) == pytest.approx(0.5, abs=0.04)


@settings(max_examples=15, deadline=None)
@given(across=st.floats(0.3, 2), down=st.floats(0.3, 2), mode=st.sampled_from(["pad", "crop"]))
def test_a_circle_stays_a_circle_at_any_ratio(across, down, mode):
    pixels = circle(across, down)
    scan = Scan(pixels.T[None], plane_affine(down, across), "DX", "dicom", has_geometry=False)
    assert shown(scan, recipe(mode)) == pytest.approx(1, abs=0.1)
    old = replace(recipe(mode), version=2)
    plain = replace(scan, affine=np.eye(4))
    assert (old.prepare(scan).images == old.prepare(plain).images).all()


@pytest.mark.parametrize("version", [2, 3])
def test_a_map_comes_back_to_the_pixels_that_it_is_of(version):
    scan = Scan(circle(0.5, 1.0).T[None], plane_affine(1.0, 0.5), "DX", "dicom", has_geometry=False)
    prepared = replace(recipe(), version=version).prepare(scan)
    back, seen = to_scan_space(prepared.images[:, 0], prepared, scan.affine, scan.shape)
    bright = scan.array[0] > 100
    assert seen.all()
    assert ((back > 0.5) == bright).mean() > 0.98


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {"dpi": (200, 100)}),
        ("a.bmp", {"dpi": (200, 100)}),
        ("a.tif", {"dpi": (200, 100)}),
    ],
)
def test_pictures_with_two_resolutions_keep_their_shape(tmp_path, name, options):
    Image.fromarray(circle(0.5, 1.0)).save(tmp_path / name, **options)
    scan = read_scan(tmp_path / name)
    assert scan.spacing == pytest.approx((1, 2), rel=1e-3)
    assert [note.split(":")[0] for note in scan.notes] == ["not-square"]
    assert shown(scan, recipe()) == pytest.approx(1, abs=0.04)
    Image.fromarray(circle(1.0, 1.0)).save(tmp_path / f"b-{name}", dpi=(72, 72))
    assert read_scan(tmp_path / f"b-{name}").notes == ()


def test_a_jpeg_has_an_aspect_and_its_resolutions_are_noted_alone(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(circle(0.5, 1.0)).save(path, dpi=(200, 100))
    scan = read_scan(path)
    assert scan.spacing == (1, 1)
    assert [note.split(":")[0] for note in scan.notes] == ["not-square"]
    data = bytearray(path.read_bytes())
    at = data.index(b"JFIF\0") + 7
    assert data[at] == 1
    data[at] = 0  # no unit: an aspect
    path.write_bytes(data)
    assert read_scan(path).spacing == (1, 2)


def test_a_picture_that_is_turned_upright_has_its_pixels_turned_too(tmp_path):
    lying = Image.fromarray(circle(0.5, 1.0).T)  # stored on its side: pixels are wider than high
    exif = Image.Exif()
    exif[0x0112] = 5
    lying.save(tmp_path / "a.png", dpi=(100, 200), exif=exif)
    scan = read_scan(tmp_path / "a.png")
    assert scan.shape == (240, 100)
    assert shown(scan, recipe()) == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({"EstimatedRadiographicMagnificationFactor": 1.25}, 0.8),
        ({"DistanceSourceToDetector": 1500, "DistanceSourceToPatient": 1200}, 0.8),
        ({"DistanceSourceToDetector": 1200, "DistanceSourceToPatient": 1500}, 1.0),
        ({"EstimatedRadiographicMagnificationFactor": 0}, 1.0),
        ({"PixelSpacing": [1, 1], "EstimatedRadiographicMagnificationFactor": 1.25}, 0.8),
        ({"PixelSpacing": [0.7, 0.7], "EstimatedRadiographicMagnificationFactor": 1.25}, 0.7),
        ({"PixelSpacing": [1, 1], "PixelSpacingCalibrationType": "GEOMETRY"}, 1.0),
    ],
)
def test_sizes_at_the_detector_become_sizes_in_the_patient_where_the_header_says_how(tmp_path, changes, size):
    scan = dicom(tmp_path, circle(1, 1), ImagerPixelSpacing=[1, 1], **changes)
    assert scan.spacing == pytest.approx((size, size))
    (source,) = find_scans(tmp_path).scans
    assert source.spacing == pytest.approx((size, size))
    assert source.sized


def test_a_size_that_is_asked_for_is_made_of_radiographs_that_have_one(tmp_path):
    scan = dicom(tmp_path, circle(0.5, 0.5), ImagerPixelSpacing=[0.5, 0.5])
    by = recipe("crop", [1.0, 1.0])
    assert np.count_nonzero((by.prepare(scan).images[0, 0] > 0.5).any(axis=0)) == pytest.approx(60, abs=2)
    unsaid = dicom(tmp_path, circle(0.5, 0.5))
    assert np.count_nonzero((by.prepare(unsaid).images[0, 0] > 0.5).any(axis=0)) == pytest.approx(120, abs=2)


def test_regions_of_ultrasound_in_several_scales_say_nothing_of_the_picture(tmp_path):
    for other in ({"across": 0.2, "down": 0.2}, None):
        second = ultrasound(**(other or {"across": 0.5, "down": 1.0}))
        if other is None:
            second.RegionSpatialFormat = 2  # M-mode
        scan = dicom(tmp_path, circle(1, 1), **of_regions(ultrasound(across=0.5, down=1.0), second))
        assert scan.spacing == (1.0, 1.0)
        assert not scan.sized


def test_a_decimal_comma_is_named_and_costs_a_radiograph_its_sizes_alone(tmp_path):
    slices = [instance(ImagePositionPatient=[0, 0, height]) for height in range(3)]
    for number, dataset in enumerate(slices):
        dataset.PixelSpacing = None
        dataset.add_new(0x00280030, "DS", None)
        path = save(dataset, tmp_path / "ct" / str(number))
        path.write_bytes(path.read_bytes().replace(b"\x28\x00\x30\x00DS\0\0", b"\x28\x00\x30\x00DS\x08\x000,5\\0,5 "))
    found = find_scans(tmp_path / "ct")
    assert {(one.code, one.reason) for one in found.refused} == {
        ("damaged", "PixelSpacing is '0,5\\0,5', no 2 numbers")
    }
    radiograph = instance(circle(1, 1), SOPClassUID=DX, Modality="DX", PixelSpacing=None)
    radiograph.add_new(0x00280030, "DS", None)
    path = save(radiograph, tmp_path / "dx")
    path.write_bytes(path.read_bytes().replace(b"\x28\x00\x30\x00DS\0\0", b"\x28\x00\x30\x00DS\x08\x000,5\\0,5 "))
    scan = read_scan(path)
    assert scan.spacing == (1.0, 1.0)
    assert any(
        note.startswith("pixel-units: the pixel sizes in the header are not two positive numbers")
        for note in scan.notes
    )
