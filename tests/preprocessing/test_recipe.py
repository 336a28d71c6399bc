"""A recipe is a value: checked when it is built, carried as JSON, and the same for the same scan."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from medcls.config.settings import Kind, PreprocessingSettings
from medcls.errors import ConfigError, MissingExtraError, ScanRefused
from medcls.preprocessing import Recipe, build_recipe
from medcls.preprocessing.recipes.regions import RECIPES
from medcls.preprocessing.steps import STEPS
from medcls.scans.core.scan import Scan
from tests.factories.scans import GEOMETRIES, chest, picture, planted, world

torch.set_num_threads(1)


def settings(**values: object) -> PreprocessingSettings:
    return PreprocessingSettings.model_validate(values)


def every_recipe() -> list[Recipe]:
    return [
        build_recipe(region, settings(kind=kind, dimensions=dimensions))
        for region, kinds in RECIPES.items()
        for kind, defaults in kinds.items()
        for dimensions in defaults.dimensions
    ]


@pytest.mark.parametrize("recipe", every_recipe(), ids=lambda r: f"{r.region}-{r.kind}-{r.dimensions}d")
def test_every_region_makes_its_stated_shape_and_survives_json(recipe: Recipe) -> None:
    again = Recipe.from_json(json.loads(json.dumps(recipe.to_json())))
    assert again == recipe
    assert again.digest == recipe.digest
    scan = picture(channels=3) if recipe.kind == "endoscopy" else chest() if recipe.kind == "ct" else picture()
    if recipe.dimensions == 3:
        scan = chest() if recipe.kind == "ct" else planted(GEOMETRIES["oblique"])[0]
    prepared = recipe.prepare(scan)
    assert prepared.images.shape == (1, recipe.channels, *recipe.size)
    assert prepared.images.dtype == np.float32
    assert prepared.images.flags["C_CONTIGUOUS"]
    assert prepared.affines.shape == (1, 4, 4)
    assert np.isfinite(prepared.images).all()
    assert prepared.images.astype(float).std() > 0
    assert np.array_equal(again.prepare(scan).images, prepared.images)


def test_building_a_recipe_imports_neither_torch_nor_monai() -> None:
    code = (
        "import sys; from medcls.preprocessing import build_recipe;"
        "from medcls.config.settings import Kind, PreprocessingSettings as P; build_recipe('lung', P());"
        "sys.exit(bool({'torch', 'monai', 'scipy', 'skimage'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_digest_changes_with_anything_that_decides_the_numbers() -> None:
    changes = [
        {},
        {"size": [64, 64, 64]},
        {"dimensions": 2},
        {"dimensions": 2, "slices": "all"},
        {"dimensions": 2, "slices": [1, 2]},
        {"dimensions": 2, "slices": {"every": 3}},
        {"channels": 3},
        {"spacing": [1, 1, 1]},
        {"steps": {"gamma": True}},
        {"steps": {"gamma": {"gamma": 0.7}}},
        {"steps": {"crop_foreground": False}},
        {"precision": "float16"},
    ]
    digests = [build_recipe("lung", settings(**change)).digest for change in changes]
    assert len(set(digests)) == len(changes)
    assert build_recipe("lung", settings(kind="ct")).digest == digests[0]


def test_steps_keep_their_order_however_the_config_lists_them() -> None:
    recipe = build_recipe("lung", settings(steps={"normalise": True, "gamma": True, "denoise_median": True}))
    names = [step.name for step in recipe.steps]
    assert names == [step.name for step in STEPS if step.name in names]
    assert {"normalise", "gamma", "denoise_median"} <= set(names)


@pytest.mark.parametrize(
    ("region", "values", "told"),
    [
        ("lung", {"steps": {"windw": True}}, ["windw", "Did you mean 'window'", "zscore"]),
        ("lung", {"steps": {"gamma": {"gama": 2}}}, ["gama", "Did you mean 'gamma'"]),
        ("lung", {"steps": {"gamma": {"gamma": -2}}}, ["preprocessing.steps.gamma.gamma", "greater than 0"]),
        ("lung", {"steps": {"segment_foreground": {"x": 1}}}, ["no parameter 'x'", "no parameters"]),
        ("lung", {"steps": {"window": {"windows": [[400, -1000]]}}}, ["low below high"]),
        ("lung", {"steps": {"window": {"windows": [[0, 1], [0, 2]]}}, "channels": 3}, ["2 windows", "channels is 3"]),
        ("lung", {"steps": {"resize": False}}, ["resize", "cannot be left out"]),
        ("lung", {"steps": {"percentile": True, "scale": True}}, ["percentile and scale", "Keep one"]),
        ("lung", {"steps": {"orientation": {"axes": "RAR"}}}, ["one letter of each"]),
        ("lung", {"kind": "endoscopy"}, ["no recipe for 'endoscopy'", "ct, xray"]),
        ("lung", {"kind": "xray", "dimensions": 3}, ["2-D only"]),
        ("lung", {"spacing": [1, 1]}, ["spacing", "3"]),
        ("lung", {"spacing": [1, 1, 1], "steps": {"spacing": {"millimetres": [2]}}}, ["set twice"]),
        ("lung", {"dimensions": 2, "slices": []}, ["slices", "empty"]),
        ("stomach", {"steps": {"normalise": {"mean": [0, 0], "std": [1, 1]}}}, ["1 or 3 numbers"]),
    ],
)
def test_a_wrong_config_is_one_line_that_names_the_place_and_the_cure(
    region: str, values: dict[str, object], told: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        build_recipe(region, settings(**values))  # type: ignore[arg-type]
    line = str(caught.value)
    assert "\n" not in line
    assert "preprocessing" in line
    for words in told:
        assert words in line


def test_n4_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"medcls\[n4\]"):
        build_recipe("brain", settings(steps={"n4": True}))


def test_a_scaling_that_is_switched_on_takes_the_place_of_the_regions_own() -> None:
    recipe = build_recipe("generic", settings(steps={"percentile": True}))
    assert [s.name for s in recipe.steps if s.name in ("window", "percentile", "scale")] == ["percentile"]


def test_several_windows_make_several_channels() -> None:
    windows = [[-1000, 400], [-160, 240], [-500, 1500]]
    recipe = build_recipe("lung", settings(steps={"window": {"windows": windows}}, size=[24, 24, 24]))
    assert recipe.channels == 3
    images = recipe.prepare(chest()).images[0]
    assert not np.array_equal(images[0], images[1])


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 99},
        {"kind": "sonar"},
        {"steps": [{"name": "import_os", "parameters": {}}]},
        {"steps": [{"name": "resize", "parameters": {}}, {"name": "orientation", "parameters": {}}]},
        {"steps": []},
        {"size": [0, 1, 2]},
        {"channels": "many"},
        {"slices": "some"},
        {"extra": 1},
        {"pet": "suv-bsa"},
        {"pet": "suv-bw"},  # of a recipe for CT
        {"version": 2},  # which has no pet
        {"version": 3.0},
    ],
)
def test_a_damaged_recipe_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="recipe"):
        Recipe.from_json(build_recipe("lung", settings()).to_json() | damage)


OLD: dict[str, object] = {
    "version": 2,
    "region": "generic",
    "kind": "other",
    "dimensions": 3,
    "size": [96, 96, 96],
    "channels": 1,
    "slices": "middle",
    "precision": "uint8",
    "steps": [
        {"name": "orientation", "parameters": {"axes": "RAS", "plane": "axial"}},
        {"name": "scale", "parameters": {"low": None, "high": None}},
        {"name": "resize", "parameters": {"mode": "pad"}},
    ],
}


def test_a_recipe_of_version_2_keeps_its_keys_and_the_digest_it_had_then() -> None:
    recipe = Recipe.from_json(OLD)
    assert recipe.to_json() == OLD
    assert recipe.digest == "0d802670d7b6d01d5dae285a343f88955bf1ef993198884dcf0f8fa05274cf36"
    assert recipe.pet is None
    assert build_recipe("generic", settings(dimensions=3, pet="stored")).digest != recipe.digest


@pytest.mark.parametrize(("version", "remedy"), [(1, "train again"), (4, "Use a newer medcls")])
def test_a_recipe_of_an_unknown_version_says_which_are_read(version: int, remedy: str) -> None:
    with pytest.raises(ConfigError, match=f"version {version}, and this medcls reads 2 and 3.*{remedy}"):
        Recipe.from_json(OLD | {"version": version})


def test_pet_is_chosen_where_a_recipe_can_take_it() -> None:
    chosen = {pet: build_recipe("generic", settings(pet=pet)).pet for pet in ("suv-bw", "suv-lbm", "stored")}
    assert chosen == {"suv-bw": "suv-bw", "suv-lbm": "suv-lbm", "stored": None}
    assert build_recipe("generic", settings()).to_json()["pet"] == "suv-bw"
    assert build_recipe("lung", settings()).to_json()["pet"] is None


def test_a_picture_is_refused_by_a_3d_recipe() -> None:
    recipe = build_recipe("lung", settings())
    for scan in (picture(), Scan(np.zeros((1, 20, 20, 1), np.int16), np.eye(4), modality="CT", kind="dicom")):
        with pytest.raises(ScanRefused) as caught:
            recipe.prepare(scan)
        assert caught.value.code == "unfit"


@pytest.mark.parametrize("kind", ["ct", "mr", "xray", "endoscopy", "other"])
def test_a_scan_of_another_modality_is_refused_and_an_unnamed_one_is_not(kind: Kind) -> None:
    recipe = build_recipe("generic", settings(kind=kind, dimensions=2, size=[32, 32]))
    modalities = {"ct": "CT", "mr": "MR", "xray": "DX", "endoscopy": "ES", "other": "PT"}
    for own, modality in modalities.items():
        scan = replace(picture(), modality=modality)
        if kind in (own, "other"):
            recipe.prepare(scan)
            continue
        with pytest.raises(ScanRefused, match=f"modality is {modality}, and the recipe is for {kind}") as caught:
            recipe.prepare(scan)
        assert caught.value.code == "unfit"
    for unnamed in ("OT", "SC", "UNHEARD"):
        recipe.prepare(replace(picture(), modality=unnamed))


def test_a_coloured_dicom_ct_is_refused_and_a_coloured_export_turned_to_grey() -> None:
    recipe = build_recipe("lung", settings(dimensions=2, size=[40, 60], steps={"orientation": False}))
    coloured = picture(channels=3)
    with pytest.raises(ScanRefused) as caught:
        recipe.prepare(replace(coloured, kind="dicom", modality="CT"))
    assert caught.value.code == "unfit"
    weights = np.array([0.299, 0.587, 0.114]).reshape(3, 1, 1)
    expected = (coloured.array * weights).sum(0).T / 255
    assert np.allclose(recipe.prepare(coloured).images[0, 0], expected, atol=1 / 510 + 1e-5)
    grey = picture()
    as_colour = replace(grey, array=np.repeat(grey.array, 3, axis=0), photometric="rgb")
    assert np.allclose(recipe.prepare(as_colour).images, recipe.prepare(grey).images, atol=1e-3)


def test_grey_fills_all_channels_of_a_colour_recipe() -> None:
    images = build_recipe("stomach", settings(size=[32, 32])).prepare(picture()).images
    assert images.shape == (1, 3, 32, 32)
    assert np.array_equal(images[0, 0], images[0, 2])


def test_only_hounsfield_units_are_windowed() -> None:
    recipe = build_recipe("lung", settings(dimensions=2, size=[48, 48]))
    scan = chest()
    ct = recipe.prepare(scan)
    # 40 HU is at 1040 / 1400 of the window, air at 0.
    assert np.isclose(np.median(ct.images[ct.images > 0.5]), 1040 / 1400, atol=0.01)
    assert not ct.notes
    nifti = recipe.prepare(replace(scan, kind="nifti", modality="OT"))
    assert np.array_equal(nifti.images, ct.images)
    exported = replace(picture((48, 48)), affine=scan.affine)
    png = recipe.prepare(exported)
    assert np.allclose(png.images[0, 0], exported.array[0].T / 255, atol=1e-3)
    assert "Hounsfield" in png.notes[0]
    shifted = replace(scan, array=scan.array + 1100, kind="nifti", modality="OT")
    assert "Hounsfield" in recipe.prepare(shifted).notes[0]


def test_voxels_without_a_value_become_the_lowest_and_all_of_them_is_refused() -> None:
    scan, _ = planted(GEOMETRIES["axial"])
    recipe = build_recipe("brain", settings(size=[24, 24, 24]))
    holed = scan.array.copy()
    holed[:, :4] = np.nan
    assert np.array_equal(recipe.prepare(replace(scan, array=holed)).images, recipe.prepare(scan).images)
    with pytest.raises(ScanRefused) as caught:
        recipe.prepare(replace(scan, array=np.full_like(scan.array, np.nan)))
    assert caught.value.code == "not-finite"


@pytest.mark.parametrize("region", ["lung", "brain", "stomach", "generic"])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_scan_of_two_values_gives_finite_numbers(region: str, dimensions: int) -> None:
    kind = "ct" if region == "stomach" else "auto"
    recipe = build_recipe(region, settings(kind=kind, dimensions=dimensions, size=[16] * dimensions))  # type: ignore[arg-type]
    for value, other in ((0, 50), (-1000, 50), (3000, 0)):
        array = np.full((1, 20, 18, 6), value, np.int16)
        array[0, 10:, ::3] = other
        scan = Scan(array, np.eye(4), modality="OT", kind="dicom")
        assert np.isfinite(recipe.prepare(scan).images).all()


def test_a_slice_of_a_volume_is_prepared_as_the_same_slice_alone() -> None:
    scan, _ = planted(GEOMETRIES["oblique"])
    alone = build_recipe("brain", settings(dimensions=2, size=[32, 32]))
    chosen = build_recipe("brain", settings(dimensions=2, size=[32, 32], slices=[7]))
    matrix = scan.affine.copy()
    matrix[:3, 3] += 7 * matrix[:3, 2]
    single = replace(scan, array=scan.array[..., 7], affine=matrix)
    from_volume, from_slice = chosen.prepare(scan), alone.prepare(single)
    assert np.array_equal(from_volume.images, from_slice.images)
    assert np.allclose(from_volume.affines, from_slice.affines)


@pytest.mark.parametrize(
    ("slices", "indices"),
    [
        ("middle", [13]),
        ("all", list(range(26))),
        ([0, 25, -1], [0, 25, 25]),
        ({"every": 10}, [2, 12, 22]),
        ({"every": 100}, [12]),
    ],
)
def test_slices_are_chosen_along_the_third_axis(slices: object, indices: list[int]) -> None:
    scan, _ = planted(GEOMETRIES["axial"])
    recipe = build_recipe("generic", settings(size=[36, 40], slices=slices))
    prepared = recipe.prepare(scan)
    places = world(scan.affine, np.array([[0.0, 0.0, k] for k in indices]))
    assert np.allclose(prepared.affines[:, 2, 3], places[:, 2])


def test_a_slice_that_is_not_there_is_refused() -> None:
    recipe = build_recipe("generic", settings(slices=[40]))
    with pytest.raises(ScanRefused, match="26 slices") as caught:
        recipe.prepare(planted(GEOMETRIES["axial"])[0])
    assert caught.value.code == "unfit"


def test_numbers_beyond_half_precision_are_held_at_its_end() -> None:
    recipe = build_recipe("generic", settings(size=[8, 8], channels=1, steps={"scale": False}))
    scan = Scan(np.float32([[[0, 1e6]] * 8]), np.eye(4), has_geometry=False)
    assert recipe.prepare(scan).images.max() == np.finfo(np.float16).max


def test_a_fault_inside_a_step_costs_one_scan_and_says_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("Mr Secret")

    monkeypatch.setattr("medcls.preprocessing.steps.resize.Resize.apply", fail)
    with pytest.raises(ScanRefused, match="a step of the recipe failed") as caught:
        build_recipe("generic", settings()).prepare(picture())
    assert "Secret" not in str(caught.value)


def test_a_scan_without_pixel_size_is_said_not_to_be_resampled() -> None:
    note = "not resampled: the scan does not say how large its pixels are"
    asked = PreprocessingSettings(kind="other", dimensions=2, size=[32, 32], spacing=[1.0, 1.0])
    assert note in build_recipe("generic", asked).prepare(picture()).notes
    assert note not in build_recipe("generic", asked.model_copy(update={"spacing": None})).prepare(picture()).notes
