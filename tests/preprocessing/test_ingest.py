"""Ingest: one pass over a series gives what the whole scan gives, which is what the steps one after the other give."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medcls.config.settings import PreprocessingSettings
from medcls.errors import ScanRefused
from medcls.preprocessing import Recipe, build_recipe
from medcls.preprocessing.recipes.checks import take_in
from medcls.preprocessing.recipes.separable import SliceResampler, resampling_weights
from medcls.preprocessing.steps import Orientation, Spacing
from medcls.preprocessing.steps.common.resampling import resample_to
from medcls.preprocessing.steps.common.step import affine_of, make_image
from medcls.preprocessing.store.digests import pixel_digest
from medcls.preprocessing.store.ingest import ingest
from medcls.scans import find_scans, pass_slices, read_scan
from medcls.scans.core.leniency import Leniency
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ScanSource
from medcls.scans.reading import find_one
from tests.factories.dicom import save_all, slices
from tests.factories.scans import GEOMETRIES, affine, chest, turned

torch.set_num_threads(1)

LUNG = build_recipe("lung", PreprocessingSettings(size=[20, 18, 16]))


@given(st.integers(1, 70), st.integers(1, 70))
def test_weights_are_those_of_the_antialiased_interpolation(old: int, new: int) -> None:
    basis = torch.eye(old)[None, None]
    expected = torch.nn.functional.interpolate(basis, size=(new, old), mode="bilinear", antialias=True)[0, 0]
    weights = resampling_weights(old, new).toarray()
    assert np.abs(weights - expected.numpy()).max() < 2e-5
    assert np.allclose(weights.sum(axis=1), 1, atol=1e-6)


@given(
    st.tuples(*[st.integers(1, 24)] * 3),
    st.tuples(*[st.integers(1, 24)] * 3),
    st.sampled_from([np.int16, np.uint8, np.float32]),
    st.integers(0, 99),
)
@settings(max_examples=60)
def test_slices_one_by_one_become_what_the_whole_volume_becomes(
    old: tuple[int, int, int], new: tuple[int, int, int], dtype: type, seed: int
) -> None:
    volume = np.random.default_rng(seed).integers(0, 255, old).astype(dtype)
    resampler = SliceResampler(old, new)
    for k in range(old[2]):
        resampler.add(volume[:, :, k].T)
    whole = resample_to(make_image(torch.from_numpy(volume[None].astype(np.float32)), np.eye(4)), new)
    assert np.abs(resampler.volume() - whole.as_tensor()[0].numpy()).max() < 5e-3


def test_missing_slices_are_an_error() -> None:
    resampler = SliceResampler((3, 3, 3), (2, 2, 2))
    resampler.add(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="1 of 3 slices"):
        resampler.volume()


def step_by_step(recipe: Recipe, scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Orientation and spacing as the steps do them on a whole volume: ``(x, y, z)`` and the affine."""
    intake = take_in(scan, recipe.kind, 3, recipe.channels, recipe.size, recipe.version)
    image = make_image(torch.from_numpy(np.array(intake.array, np.float32)), intake.affine)
    for step in recipe._parameters[:2]:
        image = step.apply(image, intake.context)
    return image.as_tensor()[0].numpy(), affine_of(image)


def fused(recipe: Recipe, scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    assert recipe.fused is not None
    plan = recipe.fused.plan(scan.affine, scan.shape)
    assert plan is not None
    resampler = plan.resampler()
    for k in range(scan.shape[2]):
        resampler.add(scan.array[0, :, :, k].T)
    image = plan.image(resampler.volume(), scan.affine)
    return image.as_tensor()[0].numpy(), affine_of(image)


@given(
    st.permutations([0, 1, 2]),
    st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
    st.tuples(*[st.floats(0.4, 4.0)] * 3),
    st.tuples(*[st.integers(2, 20)] * 3),
    st.tuples(*[st.floats(0.7, 5.0)] * 3),
    st.floats(0, 30),
    st.sampled_from(["RAS", "LPS", "PIR", "SAL"]),
)
@settings(max_examples=80)
def test_fast_and_slow_agree_for_any_spacing_size_and_orientation(
    order: Sequence[int],
    signs: tuple[float, ...],
    spacing: tuple[float, float, float],
    shape: tuple[int, int, int],
    wanted: tuple[float, ...],
    oblique: float,
    axes: str,
) -> None:
    matrix = affine(turned(oblique, 0, 1) @ np.eye(3)[:, list(order)] * np.array(signs), spacing, (3.0, -8.0, 40.0))
    array = np.random.default_rng(len(axes)).integers(-1000, 1000, (1, *shape)).astype(np.int16)
    scan = Scan(array, matrix, modality="CT", kind="dicom")
    steps = {"orientation": {"axes": axes}}
    values = {"size": [8, 8, 8], "spacing": list(wanted), "steps": steps}
    recipe = build_recipe("lung", PreprocessingSettings.model_validate(values))
    (fast, fast_affine), (slow, slow_affine) = fused(recipe, scan), step_by_step(recipe, scan)
    assert fast.shape == slow.shape
    assert np.allclose(fast_affine, slow_affine, atol=1e-9)
    assert np.abs(fast - slow).max() < 0.05  # Hounsfield units; float32 in another order


def test_the_steps_begin_so_or_the_whole_volume_is_taken() -> None:
    with_noise = build_recipe("lung", PreprocessingSettings.model_validate({"steps": {"denoise_median": True}}))
    assert with_noise.fused is None
    assert build_recipe("lung", PreprocessingSettings(dimensions=2)).fused is None
    assert LUNG.fused is not None
    assert isinstance(LUNG.fused.orientation, Orientation)
    assert isinstance(LUNG.fused.spacing, Spacing)
    assert LUNG.fused.plan(GEOMETRIES["sheared"], (4, 4, 4)) is None


def series(folder: Path, *, count: int = 12, size: int = 24, **changes: object) -> ScanSource:
    """An axial CT series of noise around a body."""
    rng = np.random.default_rng(count)
    datasets = slices([2.5 * k for k in range(count)], **{"PixelSpacing": [1.5, 1.5], **changes})
    for dataset in datasets:
        pixels = rng.normal(-950, 20, (size, size + 4))
        pixels[5:-5, 4:-6] = rng.normal(40, 30, (size - 10, size - 6))
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.PixelData = pixels.astype(np.int16).tobytes()
    folder.mkdir(exist_ok=True)
    save_all(datasets, folder)
    return find_one(folder)


def passed(source: ScanSource, leniency: Leniency | None = None) -> tuple[list[np.ndarray], Scan | None]:
    taken: list[np.ndarray] = []
    scan = pass_slices(source, lambda pixels: taken.append(pixels.copy()), leniency=leniency or Leniency())
    return taken, scan


@pytest.mark.parametrize(
    "changes",
    [{}, {"RescaleSlope": "2", "RescaleIntercept": "-10.5"}, {"PixelPaddingValue": -950}, {"Modality": "MR"}],
    ids=["plain", "float", "padded", "MR"],
)
def test_a_passing_series_is_the_series_read_whole(tmp_path: Path, changes: dict[str, object]) -> None:
    source = series(tmp_path / "s", **changes)
    taken, scan = passed(source)
    whole = read_scan(source)
    if changes.get("Modality") == "MR" and scan is None:
        return
    assert scan is not None
    assert np.array_equal(np.stack(taken), whole.array[0].T)
    assert (scan.array.shape, scan.array.dtype) == (whole.array.shape, whole.array.dtype)
    assert scan.array.strides == (0,) * 4  # a stand-in that takes no memory
    for name in ("modality", "kind", "has_geometry", "photometric", "attributes", "identity", "notes", "paths"):
        assert getattr(scan, name) == getattr(whole, name), name
    assert np.array_equal(scan.affine, whole.affine)


def test_what_cannot_pass_is_left_to_the_whole_reading(tmp_path: Path) -> None:
    gap = save_all(slices([0, 2, 6, 8]), tmp_path / "gap")
    tilted = save_all(slices([0, 2, 4, 6], ImageOrientationPatient=[1, 0, 0, 0, 0.95, 0.31225]), tmp_path / "tilted")
    single = save_all(slices([0]), tmp_path / "single")
    lenient = Leniency(on_gap="warn", on_tilt="warn")
    for folder in (gap, tilted, single):
        source = find_one(folder, leniency=lenient)
        assert passed(source, lenient)[1] is None
        assert read_scan(source, leniency=lenient) is not None


@pytest.mark.parametrize("region", ["lung", "brain"])
def test_ingesting_a_series_gives_the_bits_of_the_recipe_on_the_whole_scan(tmp_path: Path, region: str) -> None:
    source = series(tmp_path / "s", Modality="CT" if region == "lung" else "MR", RescaleType="HU")
    recipe = build_recipe(region, PreprocessingSettings(size=[20, 18, 16]))  # type: ignore[arg-type]
    made, scan = ingest(source, recipe), read_scan(source)
    direct = recipe.encode(scan)
    assert np.array_equal(made.encoded.codes, direct.codes)
    assert np.array_equal(made.encoded.affines, direct.affines)
    assert made.pixels == pixel_digest(scan)
    assert made.notes == (*scan.notes, *direct.notes)
    assert (made.modality, made.attributes) == (scan.modality, dict(scan.attributes))


def test_a_series_passes_without_ever_being_whole(tmp_path: Path) -> None:
    source = series(tmp_path / "s", count=40, size=256, PixelSpacing=[0.5, 0.5])
    volume = 40 * 256 * 260 * 2
    ingest(source, LUNG)
    tracemalloc.start()
    scan = pass_slices(source, lambda pixels: None)
    passing = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    ingest(source, LUNG)
    whole = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert scan is not None
    assert passing < volume / 8  # a few slices, and headers
    assert whole < volume  # and the small grids that the steps work on


def test_a_series_that_breaks_in_the_middle_is_refused_by_name(tmp_path: Path) -> None:
    source = series(tmp_path / "s")
    path = source.paths[7]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ScanRefused) as caught:
        ingest(source, LUNG)
    assert caught.value.code == "damaged"
    path.unlink()
    with pytest.raises(ScanRefused) as caught:
        ingest(source, LUNG)
    assert caught.value.code == "unreadable"


def test_a_series_that_was_exchanged_since_the_search_gives_what_is_there_or_is_refused(tmp_path: Path) -> None:
    source = series(tmp_path / "s")
    finer = replace(source, spacing=(0.5, 0.5, 2.5))
    assert np.array_equal(ingest(finer, LUNG).encoded.codes, ingest(source, LUNG).encoded.codes)
    turned_round = replace(source, axes="RAS")
    assert np.array_equal(ingest(turned_round, LUNG).encoded.codes, ingest(source, LUNG).encoded.codes)
    with pytest.raises(ScanRefused):
        ingest(replace(source, shape=(9, 9, source.shape[2])), LUNG)


def test_pixels_are_one_digest_in_any_file_and_differ_with_any_voxel() -> None:
    scan = chest()
    turned_memory = replace(scan, array=np.asfortranarray(scan.array))
    assert pixel_digest(turned_memory) == pixel_digest(scan)
    changed = scan.array.copy()
    changed[0, 3, 4, 5] += 1
    assert pixel_digest(replace(scan, array=changed)) != pixel_digest(scan)
    assert pixel_digest(replace(scan, array=scan.array.reshape(1, 24, 96, 24))) != pixel_digest(scan)
    assert pixel_digest(replace(scan, array=scan.array.astype(np.int32))) != pixel_digest(scan)


@pytest.mark.parametrize("folder", ["dicom/ct_chest_siemens_B40f_LungDx-A0002", "dicom/mr_brain_siemens_HFS"])
def test_real_series_pass_as_they_are_read(shared_data: Path, folder: str) -> None:
    (source,) = find_scans(shared_data / folder).scans
    taken, scan = passed(source)
    assert scan is not None
    assert np.array_equal(np.stack(taken), read_scan(source).array[0].T)


def test_the_result_is_monais_own_antialiased_one(shared_data: Path) -> None:
    """Correlation at least .999 and at most 0.15 of 0..1 apart: MONAI blurs with a Gaussian where this takes a triangle."""
    from monai.transforms import Compose, Resize, ScaleIntensityRange
    from monai.transforms import Orientation as MonaiOrientation

    scan = read_scan(shared_data / "dicom/ct_chest_siemens_B40f_LungDx-A0002")
    steps = {"crop_foreground": False, "resize": {"mode": "stretch"}}
    values = {"size": [96, 96, 96], "precision": "float16", "steps": steps}
    recipe = build_recipe("lung", PreprocessingSettings.model_validate(values))
    ours = recipe.prepare(scan).images[0, 0]
    grid, _ = fused(recipe, scan)
    monai = Compose(
        [
            MonaiOrientation("RAS", labels=(("L", "R"), ("P", "A"), ("I", "S"))),
            Resize(grid.shape, mode="trilinear", anti_aliasing=True),
            ScaleIntensityRange(-1000, 400, 0, 1, clip=True),
            Resize((96, 96, 96), mode="trilinear", anti_aliasing=True),
        ]
    )
    theirs = monai(make_image(torch.from_numpy(scan.array.astype(np.float32)), scan.affine))[0].numpy()
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999
    assert np.abs(ours - theirs).max() < 0.15
    assert np.abs(ours - theirs).mean() < 0.006
