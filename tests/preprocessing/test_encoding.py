"""Encoding: one or two bytes a value, never further off than it says, and the same bits stored or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medcls.config.settings import PreprocessingSettings
from medcls.errors import ConfigError
from medcls.preprocessing import PreparedStore, Recipe, build_recipe
from medcls.preprocessing.images.encoding import Encoding
from medcls.scans import read_scan
from tests.factories.scans import FileSource, chest, picture

torch.set_num_threads(1)


def recipe(region: str = "generic", **values: object) -> Recipe:
    return build_recipe(region, PreprocessingSettings.model_validate(values))  # type: ignore[arg-type]


@given(
    st.floats(-1e3, 1e3),
    st.floats(1e-3, 1e3),
    st.integers(0, 99),
)
def test_a_byte_is_off_by_half_a_step_at_most(low: float, width: float, seed: int) -> None:
    encoding = Encoding.over([(low, low + width)], 1)
    values = np.random.default_rng(seed).uniform(low, low + width, (1, 4, 5)).astype(np.float32)
    far = np.abs(encoding.decode(encoding.encode(values)) - values).max()
    assert far <= encoding.error + 1e-6 * (abs(low) + width)
    assert encoding.error == pytest.approx(width / 510)


@given(st.integers(0, 99), st.sampled_from([1e-3, 1.0, 300.0, 6e4]))
def test_a_float16_is_off_by_a_part_of_itself_at_most(seed: int, size: float) -> None:
    encoding = Encoding.over(None, 1)
    values = np.random.default_rng(seed).uniform(0.1 * size, size, (1, 4, 5)).astype(np.float32)
    assert (np.abs(encoding.decode(encoding.encode(values)) / values - 1)).max() <= encoding.error
    assert np.isfinite(encoding.decode(encoding.encode(values * 1e9))).all()


def test_recipes_choose_bytes_where_the_range_is_known() -> None:
    assert recipe("lung").precision == "uint8"
    assert recipe("lung", kind="xray").precision == "uint8"
    assert recipe("stomach").precision == "uint8"
    assert recipe("brain").precision == "float16"
    assert recipe("lung", steps={"zscore": True}).precision == "float16"
    assert recipe("lung", precision="float16").precision == "float16"
    with pytest.raises(ConfigError, match="uint8 needs a step"):
        recipe("brain", precision="uint8")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("normalise", [False, True, {"mean": [0.5], "std": [0.5]}])
def test_a_windowed_ct_is_off_by_no_more_than_the_encoding_says(channels: int, normalise: object) -> None:
    values = {"dimensions": 2, "size": [40, 40], "channels": channels, "steps": {"normalise": normalise}}
    scan = chest()
    coarse = recipe("lung", **values)
    fine = recipe("lung", **values, precision="float16").prepare(scan).images
    encoded = coarse.encode(scan)
    far = np.abs(encoded.decoded().images - fine).max()
    assert far <= encoded.encoding.error + 2.0**-11 * np.abs(fine).max()
    assert encoded.codes.dtype == np.uint8
    assert encoded.codes.shape == (1, 1, 40, 40)  # grey is kept once
    assert coarse.prepare(scan).images.shape == (1, channels, 40, 40)


def test_a_picture_that_fits_comes_back_as_it_was() -> None:
    scan = picture((32, 24), channels=3)
    images = recipe(size=[24, 32], dimensions=2).prepare(scan).images[0]
    assert np.array_equal(np.rint(images * 255).astype(np.uint8), scan.array.transpose(0, 2, 1))
    assert np.abs(images * 255 - scan.array.transpose(0, 2, 1)).max() < 1e-4


def test_grey_that_was_saved_in_colour_is_kept_once_and_colour_three_times() -> None:
    grey = picture()
    as_colour = replace(grey, array=np.repeat(grey.array, 3, axis=0), photometric="rgb")
    plain = recipe(size=[40, 60])
    assert plain.encode(as_colour).codes.shape[1] == 1
    assert np.array_equal(plain.prepare(as_colour).images, plain.prepare(grey).images)
    assert plain.encode(picture(channels=3)).codes.shape[1] == 3


def test_several_windows_are_several_planes() -> None:
    steps = {"window": {"windows": [[-1000, 400], [-160, 240], [-20, 100]]}}
    several = recipe("lung", dimensions=2, size=[40, 40], channels=3, steps=steps)
    images = several.prepare(chest()).images[0]
    for index, window in enumerate(steps["window"]["windows"]):
        alone = recipe("lung", dimensions=2, size=[40, 40], steps={"window": {"windows": [window]}})
        assert np.array_equal(images[index], alone.prepare(chest()).images[0, 0])


@pytest.mark.parametrize("values", [{}, {"precision": "float16"}, {"steps": {"normalise": True}}])
def test_stored_and_computed_are_the_same_bits(tmp_path: Path, values: dict[str, object]) -> None:
    used = recipe(size=[24, 20], **values)
    source = FileSource.save(tmp_path, "a", picture(channels=3).array)
    stored = PreparedStore(tmp_path / "store").get_or_prepare(source, used)
    assert np.array_equal(stored.read().images, used.prepare(read_scan(source)).images)
    assert np.array_equal(stored.encoding.decode(stored.codes(0)), stored.view(0))
    assert not stored.codes(0).flags.writeable
    assert stored.path.stat().st_size < 4096 + stored.codes(0).nbytes + len(stored.fingerprint)


def test_the_range_is_right_whatever_steps_follow() -> None:
    for steps in ({"gamma": True}, {"clahe": True}, {"normalise": {"mean": [0.2], "std": [3.0]}}, {"percentile": True}):
        used = recipe("generic", size=[24, 20], precision="float16", steps=steps)
        (ranges,) = used.ranges(1) or ()
        images = used.prepare(picture()).images
        slack = 1e-3 * (ranges[1] - ranges[0])
        assert images.min() >= ranges[0] - slack
        assert images.max() <= ranges[1] + slack
