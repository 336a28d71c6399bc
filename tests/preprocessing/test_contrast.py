"""A scan in which nothing is to be seen is read, noted, and refused when it is prepared, in one pass or as a whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from medcls.config.settings import PreprocessingSettings
from medcls.errors import ScanRefused
from medcls.preprocessing import Recipe, build_recipe
from medcls.preprocessing.images.encoding import share_of_one_value
from medcls.preprocessing.store.ingest import ingest
from medcls.scans import find_scans, inspect_scans, read_scan
from medcls.scans.core.contrast import OneValue, one_value
from medcls.scans.core.scan import Scan
from tests.factories.dicom import instance, save_all
from tests.factories.scans import GEOMETRIES, chest, picture

torch.set_num_threads(1)


def recipe(region: str = "lung", **values: Any) -> Recipe:
    return build_recipe(region, PreprocessingSettings.model_validate({"size": [12, 12, 12], **values}))  # type: ignore[arg-type]


def refusal_of(made: Recipe, scan: Scan) -> ScanRefused:
    with pytest.raises(ScanRefused) as caught:
        made.prepare(scan)
    assert caught.value.code == "no-contrast"
    assert caught.value.remedy
    return caught.value


def volume(value: float, dtype: type = np.int16, **changes: Any) -> Scan:
    scan = Scan(np.full((1, 20, 18, 14), value, dtype), GEOMETRIES["axial"], modality="CT", kind="dicom")
    return replace(scan, **changes)


@settings(max_examples=100, deadline=None)
@given(
    arrays.arrays(
        st.sampled_from([np.int16, np.uint8, np.float32]),
        st.tuples(*[st.integers(1, 4)] * 4),
        elements=st.integers(0, 1),
    )
)
def test_one_value_is_what_comparing_all_of_them_says(array: np.ndarray) -> None:
    expected = all(len(np.unique(channel)) == 1 for channel in array)
    assert (one_value(array) is not None) == expected
    for channel in array:
        parts = OneValue()
        for k in range(channel.shape[-1]):
            parts.add(channel[..., k])
        assert parts.value == (channel.flat[0] if len(np.unique(channel)) == 1 else None)


@pytest.mark.parametrize(
    "made",
    [
        recipe(),
        recipe(steps={"spacing": False}),
        recipe(dimensions=2, size=[12, 12], slices="all"),
        recipe("generic", kind="other", dimensions=3),
        recipe("generic", kind="mr"),
    ],
    ids=["fused", "whole", "slices", "other", "mr"],
)
@pytest.mark.parametrize(("value", "dtype"), [(0, np.int16), (-1000, np.int16), (3000, np.int16), (0.3, np.float32)])
def test_a_volume_of_one_value_is_refused_and_the_value_told(made: Recipe, value: float, dtype: type) -> None:
    kind = {"ct": "CT", "mr": "MR"}.get(made.kind, "OT")
    error = refusal_of(made, volume(value, dtype, modality=kind))
    assert f"every voxel has the same value, {value:g}" in str(error)


def test_a_picture_of_one_colour_is_refused_and_one_other_pixel_is_contrast() -> None:
    made = recipe("stomach", size=[12, 12])
    red = replace(picture(channels=3), array=np.broadcast_to(np.uint8([200, 10, 0])[:, None, None], (3, 20, 30)))
    assert "every pixel has the same colour, 200 10 0" in str(refusal_of(made, red))
    array = red.array.copy()
    array[0, 10, 15] = 0
    assert made.prepare(replace(red, array=array)).images.std() > 0


def test_what_a_step_takes_all_contrast_from_is_refused_with_the_step_and_the_values() -> None:
    bright = replace(chest(), array=chest().array + np.int16(4000))
    for steps in ({}, {"spacing": False}):
        error = refusal_of(recipe(steps={**steps, "crop_foreground": False}), bright)
        assert "'window'" in str(error)
        assert "preprocessing.steps.window" in error.remedy
    # Padding around it is no contrast either.
    wide = replace(bright, array=bright.array[:, :, :10])
    assert "'window'" in str(refusal_of(recipe(steps={"crop_foreground": False}), wide))


def test_values_that_rounding_makes_one_are_refused() -> None:
    scan = volume(40, np.float32)
    scan.array[0, ::2] += 0.5
    assert "once rounded to uint8" in str(refusal_of(recipe(steps={"crop_foreground": False}), scan))


def test_empty_slices_among_others_are_none_of_it_but_chosen_alone_they_are() -> None:
    scan = chest()
    scan.array[..., :12] = -1000
    scan.array[..., 0] = -900
    whole = recipe(dimensions=2, size=[12, 12], slices="all").prepare(scan)
    assert len(whole.images) == scan.shape[2]
    assert "each chosen slice" in str(refusal_of(recipe(dimensions=2, size=[12, 12], slices=[3]), scan))


def test_a_nearly_blank_scan_is_noted() -> None:
    scan = volume(-1000)
    scan.array[0, 8:10, 8:10, 7] = 0
    made = recipe(size=[20, 18, 14], steps={"spacing": False, "crop_foreground": False, "resize": {"mode": "crop"}})
    (note,) = made.prepare(scan).notes
    assert note.startswith("nearly-blank: 99.9")
    assert not made.prepare(replace(chest(), affine=scan.affine)).notes


@given(st.integers(0, 300), st.integers(300, 400_000), st.integers(1, 202))
@example(1, 1001, 1)
@example(390, 400_000, 101)  # the others are where a coarse look would look
@settings(max_examples=60, deadline=None)
def test_the_share_of_one_value_is_exact_where_it_matters(others: int, count: int, step: int) -> None:
    codes = np.zeros(count, np.uint8)
    codes[::step][:others] = 7
    true = max((codes == 0).mean(), (codes == 7).mean())
    found = share_of_one_value(codes.reshape(1, 1, -1))
    assert found <= true
    assert found == true or true <= 0.999


def series(folder: Path, value: int, odd: int | None = None) -> Path:
    made = []
    for number in range(6):
        pixels = np.full((16, 16), value, np.int16)
        if number == odd:
            pixels[4:12, 4:12] += 900
        given = {"ImagePositionPatient": [0.0, 0.0, 5.0 * number], "InstanceNumber": number + 1, "PixelSpacing": [5, 5]}
        made.append(instance(pixels, **given))
    return save_all(made, folder)


def test_slices_that_pass_one_by_one_are_judged_as_the_whole_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe(steps={"crop_foreground": False})
    (blank,) = find_scans(series(tmp_path / "blank", -1000)).scans
    (sparse,) = find_scans(series(tmp_path / "sparse", -1000, odd=5)).scans
    (outside,) = find_scans(series(tmp_path / "outside", 2000, odd=5)).scans
    refusals = {
        name: str(refusal_of(made, read_scan(source))) for name, source in (("blank", blank), ("outside", outside))
    }
    assert made.prepare(read_scan(sparse)).images.std() > 0
    monkeypatch.setattr("medcls.preprocessing.store.ingest.read_scan", None)  # the whole is not read again
    for name, source in (("blank", blank), ("outside", outside)):
        with pytest.raises(ScanRefused) as caught:
            ingest(source, made)
        assert caught.value.code == "no-contrast"
        assert refusals[name].partition("; before")[0] in str(caught.value)
    assert ingest(sparse, made).encoded.decoded().images.std() > 0


def test_inspection_reads_a_blank_scan_and_says_so(tmp_path: Path) -> None:
    series(tmp_path / "a", 0)
    Image.fromarray(np.full((9, 9, 3), 255, np.uint8)).save(tmp_path / "b.png")
    rows = inspect_scans(tmp_path, read_pixels=True).rows
    assert [row.verdict for row in rows] == ["ok", "ok"]
    notes = [" ".join(row.notes) for row in rows]
    assert "no-contrast: every voxel has the same value, 0" in notes[0]
    assert "no-contrast: every voxel has the same value, 255" in notes[1]
    series(tmp_path / "c", 0, odd=3)
    assert not [note for note in read_scan(tmp_path / "c").notes if note.startswith("no-contrast")]
