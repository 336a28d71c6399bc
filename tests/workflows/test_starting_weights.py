"""What a training starts from: ``auto`` becomes a name, and the network is shown what the weights were trained with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from medcls.classifier import load_classifier
from medcls.config import load_config
from medcls.config.settings import ModelSettings, PreprocessingSettings
from medcls.networks import build_network, load_weights
from medcls.preprocessing import build_recipe
from medcls.progress import Progress
from medcls.workflows.fitting.resume import as_in
from medcls.workflows.fitting.starting_weights import settle_weights, values_of, weights_properties
from tests.factories.classifiers import classifier
from tests.factories.ensembles import ensemble
from tests.factories.site_weights import make_site


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site's folder with one file, and nothing else on this machine."""
    monkeypatch.setenv("MEDCLS_WEIGHTS", str(tmp_path / "site"))
    return make_site(tmp_path / "site")


def test_auto_takes_the_sites_own_and_random_weights_where_there_are_none(folder: Path) -> None:
    shape = {"dimensions": 3, "size": [32, 32, 32]}
    config = load_config(None, (), {"model": {"name": "resnet10", "weights": "auto"}, "preprocessing": shape})
    recipe = build_recipe(config.region, config.preprocessing)
    kept = settle_weights(config, recipe)
    assert kept.model.weights == "our-ct"
    assert as_in(kept, config) == kept  # a resumed run goes on with what was taken
    (folder / "index.json").unlink()
    said: list[str] = []
    progress = Progress(quiet=True)
    progress.warn = lambda *texts: said.extend(texts)  # type: ignore[method-assign]
    assert settle_weights(config, recipe, progress).model.weights is None
    assert "no weights for resnet10 in 3-D are on this machine" in said[0]


@pytest.mark.parametrize(
    ("preprocessing", "values"),
    [
        ({"kind": "ct"}, ((-1000.0, 1000.0),)),
        ({"kind": "xray"}, "unit"),
        ({"kind": "mr"}, "standard"),
        ({"kind": "endoscopy", "steps": {"normalise": True}}, None),
        ({"kind": "ct", "steps": {"window": False}}, None),
    ],
)
def test_what_a_recipes_images_hold(preprocessing: dict[str, Any], values: Any) -> None:
    config = load_config(None, (), {"region": "generic", "preprocessing": preprocessing})
    assert values_of(build_recipe(config.region, config.preprocessing)) == values


def test_a_classifier_keeps_how_it_normalises_and_where_its_weights_came_from(folder: Path, tmp_path: Path) -> None:
    model = ModelSettings(name="resnet10", weights="our-ct")
    network = build_network(model, dimensions=3, channels=1, classes=2).eval()
    report = load_weights(network, "our-ct", values="unit")
    made = classifier(
        network=network,
        model=model,
        recipe=build_recipe("lung", PreprocessingSettings(kind="ct", size=[16, 16, 16])),
        provenance={"starting_weights": report.to_json()},
    )
    made.save(tmp_path / "saved")
    loaded = load_classifier(tmp_path / "saved")
    images = torch.rand(1, 1, 16, 16, 16)
    torch.testing.assert_close(loaded.network(images), network(images))
    assert loaded.network.state_dict()["input.scale"].tolist() == [4.0]
    told = weights_properties(loaded)
    assert told["Starting weights"].startswith(
        "our-ct, ours.safetensors from the weights folder, trained on 12 phantoms"
    )
    assert told["Licence of the starting weights"] == "internal use"
    assert weights_properties(classifier()) == {"Starting weights": "random"}


def test_of_an_ensemble_every_start_is_told_once() -> None:
    first, second = (
        ensemble("exclusive"),
        {"source": "imagenet", "file": "x.pth", "place": "a package", "licence": "MIT"},
    )
    second["sha256"] = "f" * 64
    members = list(first.members.items())
    told = dict([members[0], (members[1][0], replace(members[1][1], provenance={"starting_weights": second}))])
    assert weights_properties(replace(first, members=told)) == {
        "Starting weights": "random; imagenet, x.pth from a package, SHA-256 ffffffffffff",
        "Licence of the starting weights": "MIT",
    }
