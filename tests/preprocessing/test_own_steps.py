"""Steps that are not medcls' own: of an installed package, or given from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import medcls
from medcls.config.settings import PreprocessingSettings
from medcls.errors import ClassifierError, ConfigError, ScanRefused, UsageError
from medcls.preprocessing import Recipe, add_step, build_recipe
from medcls.preprocessing.steps import StepParameters, further
from medcls.scans.core.scan import Scan
from tests.factories.packages import install
from tests.factories.runs import SMALL, make_pictures

ACME = """
from typing import ClassVar
from medcls.preprocessing.steps import StepParameters
from medcls.preprocessing.steps.common.step import on_plain

class Negative(StepParameters):
    name: ClassVar[str] = "negative"
    after: ClassVar[str] = "gamma"
    white: float = 1.0

    def range_after(self, before, planes):
        return before

    def apply(self, image, context):
        return on_plain(image, context, lambda values: self.white - values)
"""
STEPS = {"scale": {"low": 0, "high": 255}, "negative": True}


@pytest.fixture(autouse=True)
def _no_step_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(further, "_GIVEN", {})


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, monkeypatch)


def put(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str = ACME) -> None:
    folder = folder / "packages"
    folder.mkdir()
    install(folder, monkeypatch, "acme_step", "medcls.steps", {"negative": "acme_step:Negative"}, source)


def recipe(**changes: Any) -> Recipe:
    settings = PreprocessingSettings(size=[8, 8], **{"steps": STEPS, **changes})
    return build_recipe("generic", settings)


def picture() -> Scan:
    pixels = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    return Scan(array=pixels, affine=np.eye(4), has_geometry=False)


class Given(StepParameters):
    """A step as a user has it in a script."""

    name: ClassVar[str] = "negative"
    after: ClassVar[str] = "gamma"

    def apply(self, image: Any, context: Any) -> Any:
        """Turn black to white."""
        image = image.clone()
        return image.__class__(1 - image.as_tensor(), affine=image.affine)


def test_a_step_of_a_package_stands_where_it_says_and_does_its_work(installed: None) -> None:
    made = recipe()
    assert [step.name for step in made.steps] == ["orientation", "scale", "negative", "resize"]
    plain = recipe(steps={"scale": STEPS["scale"]})
    np.testing.assert_allclose(
        made.prepare(picture()).images, 1 - plain.prepare(picture()).images, atol=1 / 255
    )  # fmt: skip
    assert made.precision == "uint8"  # as the step says that it keeps the range
    assert recipe(steps={**STEPS, "negative": {"white": 0.5}}).steps[2].parameters == {"white": 0.5}


def test_a_recipe_with_it_is_saved_by_name_and_version_and_bound_to_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, monkeypatch)
    saved = recipe().to_json()
    assert saved["steps"][2] == {"name": "negative", "parameters": {"white": 1.0}, "version": 1}
    assert "version" not in saved["steps"][0]
    digest = recipe().digest
    assert Recipe.from_json(saved).digest == digest
    with monkeypatch.context() as newer:
        newer.setattr(further.step_named("negative"), "version", 2)
        assert recipe().digest != digest
        with pytest.raises(ConfigError, match="made with version 1 of the step 'negative', and here is version 2"):
            Recipe.from_json(saved)


def test_without_the_package_recipe_and_config_say_so_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as there:
        put(tmp_path, there)
        saved = recipe().to_json()
    with pytest.raises(ConfigError, match="recipe: it has the step 'negative', which is not medcls' own") as caught:
        Recipe.from_json(saved)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"preprocessing\.steps\.negative: there is no preprocessing step"):
        recipe()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import nothing_of_this_name", "a package that it needs is missing"),
        ("Negative = 3", "no class of medcls.preprocessing.steps.StepParameters"),
        (ACME.replace('"gamma"', '"gama"'), "'after' must be the step of medcls"),
        (ACME.replace('= "negative"', '= "scale"'), "its name must be 'negative'"),
    ],
)
def test_a_broken_package_is_one_line_that_names_it(
    source: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, monkeypatch, source)
    with pytest.raises(ConfigError, match=rf"'negative' of the package acme_step 1\.0 cannot be used: .*{words}"):
        recipe()


@pytest.mark.parametrize("wrong", ["1 / 0", "image[0]", "image * float('nan')", "image.as_tensor()"])
def test_a_step_that_fails_costs_the_scan_and_is_named(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = "on_plain(image, context, lambda values: self.white - values)"
    put(tmp_path, monkeypatch, ACME.replace(call, wrong))
    with pytest.raises(ScanRefused, match=r"'negative' of the package acme_step 1\.0 failed on this scan"):
        recipe().prepare(picture())


def test_a_step_that_says_nothing_of_its_range_is_kept_in_float16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = ACME.replace("    def range_after(self, before, planes):\n        return before\n", "")
    put(tmp_path, monkeypatch, silent.replace("self.white - values", "5 * values"))
    made = recipe()
    assert made.precision == "float16"
    assert made.prepare(picture()).images.max() > 1


def test_a_training_with_a_step_from_python_needs_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = make_pictures(tmp_path / "cohort", patients=12)
    preprocessing = {"size": [32, 32], "steps": {"negative": True}}
    values = {**SMALL, "train": {"epochs": 1, "batch_size": 8, "loggers": ["csv"], "precision": "32"}}
    values |= {"preprocessing": preprocessing, "data": {"cases": pictures.table}, "runs": tmp_path / "runs"}
    with pytest.raises(ConfigError, match="there is no preprocessing step 'negative'"):
        medcls.train(None, **values)
    add_step(Given)
    run = medcls.train(None, **values)
    scans = pictures.folder / "image0.png"
    assert medcls.infer(scans, run.path, out=tmp_path / "answers").answered == 1
    monkeypatch.setattr(further, "_GIVEN", {})
    with pytest.raises(ClassifierError, match=r"Install the package that adds it, or give it: .*add_step"):
        medcls.infer(scans, run.path, out=tmp_path / "more")


@pytest.mark.parametrize("step", [3, Given(), StepParameters, "negative"])
def test_nothing_else_is_a_step(step: Any) -> None:
    with pytest.raises(UsageError, match="the step cannot be used"):
        add_step(step)
