"""Bits of a sample and kinds of file: one picture gives one input however it is stored, and the audit sees how it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medcls.cohort import Cohort
from medcls.cohort.leakage.audit import audit_cohort
from medcls.cohort.leakage.confounding import header_attributes
from medcls.cohort.leakage.relations import find_relations
from medcls.config.settings import EvaluationSettings, PreprocessingSettings
from medcls.preprocessing import Recipe, build_recipe
from medcls.scans import find_scans, read_scan
from medcls.workflows.data.related_cases import confounding_of
from tests.factories.audits import case, cohort
from tests.factories.dicom import instance, save

US = "1.2.840.10008.5.1.4.1.1.6.1"
DARK = (np.random.default_rng(3).normal(60, 15, (64, 64)).clip(0, 120)).astype(np.uint8)
BRIGHT = (np.random.default_rng(4).normal(150, 40, (64, 64)).clip(0, 255)).astype(np.uint8)


def recipe(kind: str) -> Recipe:
    return build_recipe("generic", PreprocessingSettings(kind=kind, dimensions=2, size=[64, 64], channels=1))


def written(pixels: np.ndarray, path: Path) -> Path:
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("kind", ["other", "endoscopy", "ct", "xray", "mr"])
@pytest.mark.parametrize("picture", [DARK, BRIGHT], ids=["dark", "bright"])
@pytest.mark.parametrize("factor", [256, 257])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_a_picture_of_8_bits_is_the_same_input_in_16(tmp_path, kind, picture, factor, ending):
    few = recipe(kind).prepare(read_scan(written(picture, tmp_path / f"a.{ending}")))
    many = recipe(kind).prepare(read_scan(written(picture.astype(np.uint16) * factor, tmp_path / f"b.{ending}")))
    assert np.abs(few.images - many.images).max() < 0.01
    assert few.notes == many.notes


def test_16_bits_that_are_used_go_from_black_to_white(tmp_path):
    fine = (BRIGHT * 257.0 + np.random.default_rng(1).uniform(-128, 128, BRIGHT.shape)).clip(0, 65535).astype(np.uint16)
    few = recipe("other").prepare(read_scan(written(BRIGHT, tmp_path / "a.png")))
    many = recipe("other").prepare(read_scan(written(fine, tmp_path / "b.png")))
    assert np.abs(few.images - many.images).max() < 0.01


def test_12_bits_in_16_have_no_known_white_and_say_so(tmp_path):
    deep = (BRIGHT.astype(np.uint16) << 4) + 3
    scan = read_scan(written(deep, tmp_path / "a.png"))
    assert any(note.startswith("white is not known: ") for note in recipe("other").prepare(scan).notes)
    assert recipe("xray").prepare(scan).notes == ()
    plain = read_scan(written(BRIGHT, tmp_path / "b.png"))
    assert recipe("other").prepare(plain).notes == ()


def test_ultrasound_in_dicom_and_as_a_picture_are_the_same_input(tmp_path):
    told = {"SOPClassUID": US, "Modality": "US", "PixelSpacing": None, "RescaleSlope": None}
    made = instance(BRIGHT, **{name: value for name, value in told.items() if name != "RescaleSlope"})
    scan = read_scan(save(made, tmp_path / "us"))
    picture = read_scan(written(BRIGHT, tmp_path / "a.png"))
    by = recipe("other")
    assert (by.prepare(scan).images == by.prepare(picture).images).all()
    old = replace(by, version=2)
    assert np.abs(old.prepare(scan).images - by.prepare(scan).images).max() > 0.1
    assert (old.prepare(picture).images == by.prepare(picture).images).all()


@pytest.mark.parametrize("quality", [20, 50, 75, 92])
def test_how_a_picture_is_stored_is_a_fact_of_it(tmp_path, quality):
    Image.fromarray(BRIGHT).save(tmp_path / "a.jpg", quality=quality)
    scan = read_scan(tmp_path / "a.jpg")
    assert (scan.attributes["file_type"], scan.attributes["bit_depth"]) == ("JPEG", "8")
    assert abs(int(scan.attributes["jpeg_quality"]) - quality) <= 1
    deep = read_scan(written(BRIGHT.astype(np.uint16) * 7, tmp_path / "b.tif"))
    assert (deep.attributes["file_type"], deep.attributes["bit_depth"]) == ("TIFF", "16")


def stored(folder: Path, *, by_label: str) -> Cohort:
    """Sixty pictures of noise; how they are stored goes with the label, or does not."""
    rng = np.random.default_rng(0)
    cases = []
    for number in range(60):
        ill = number % 2
        way = ill if by_label != "mixed" else int(rng.integers(2))
        side = 24 if by_label == "size" and way else 16
        pixels = rng.integers(0, 255, (side, side)).astype(np.uint8)
        name, options = ("a.png", {}) if by_label == "size" or not way else ("a.jpg", {"quality": 80})
        if by_label == "quality":
            name, options = "a.jpg", {"quality": 95 if way else 60}
        if by_label == "depth" and way:
            name, options, pixels = "a.png", {}, pixels.astype(np.uint16) * 257
        place = folder / f"{number}"
        place.mkdir()
        Image.fromarray(pixels).save(place / name, **options)
        (source,) = find_scans(place).scans
        cases.append(replace(case(f"c{number}", f"p{number}", ill, covariates=dict(source.attributes)), source=source))
    return cohort(*cases)


@pytest.mark.parametrize(
    ("by_label", "telling"),
    [
        ("type", {"file_type", "file ending", "jpeg_quality"}),
        ("size", {"rows", "columns"}),
        ("quality", {"jpeg_quality"}),
        ("depth", {"bit_depth"}),
        ("mixed", None),
    ],
)
def test_a_label_that_the_kind_of_file_tells_is_warned_of_and_no_other(tmp_path, by_label, telling):
    made = stored(tmp_path, by_label=by_label)
    found = confounding_of(made, list(range(60)), EvaluationSettings(), 0)
    audit = audit_cohort(made, {}, find_relations(made.cases, {}, None), confounding=found)
    warned = [one.text for one in audit.warnings if one.code == "confounding"]
    assert bool(warned) == (telling is not None)
    if telling:
        assert telling <= set(header_attributes(made.cases))
        assert {name for name, value in found[0].by_covariate if value > 0.95} == telling
