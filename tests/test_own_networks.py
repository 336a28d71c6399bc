"""Networks that are not medcls' own: of an installed package, or given as objects from Python."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

import medcls
from medcls.config.settings import ModelSettings
from medcls.errors import ClassifierError, ConfigError, UsageError, WeightsError
from medcls.explanation.methods.grad_cam import grad_cam
from medcls.networks import build_network
from medcls.networks.family import Backbone, NetworkFamily
from medcls.networks.given import given_network
from medcls.networks.heads import TokenHead
from tests.factories.classifiers import classifier
from tests.factories.packages import install
from tests.factories.runs import SMALL, Pictures, make_pictures

torch.set_num_threads(1)

ACME = """
from torch import nn
from medcls.networks.family import Backbone, NetworkFamily

def build(settings, dimensions, channels, classes):
    convolution = (nn.Conv2d, nn.Conv3d)[dimensions - 2]
    layers = nn.Sequential(convolution(channels, 8, 3, stride=2, padding=1), nn.ReLU(), convolution(8, 8, 3), nn.ReLU())
    return Backbone(layers, 8, {"stem": ("0",)})

FAMILY = NetworkFamily(names=("acme-net",), build=build, kind="little")
"""


class Small(nn.Module):
    """A network as a lab has it: no part of it is medcls'."""

    def __init__(self, channels: int = 1, classes: int = 2, axes: int = 2) -> None:
        super().__init__()
        convolution: Any = (nn.Conv2d, nn.Conv3d)[axes - 2]
        self.stem = nn.Sequential(convolution(channels, 8, 3, stride=2, padding=1), nn.ReLU())
        self.deep = nn.Sequential(convolution(8, 8, 3, padding=1), nn.ReLU())
        self.last = nn.Linear(8, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.last(self.deep(self.stem(images)).flatten(2).mean(2))
        return scores


class Patches(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(channels, 8, 8, stride=8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = self.layer(self.embed(images).flatten(2).transpose(1, 2))
        return tokens


TOKENS = NetworkFamily(
    names=("tokens",),
    build=lambda settings, dimensions, channels, classes: Backbone(Patches(channels), 8),
    head=functools.partial(TokenHead, patch=(8, 8), pool="mean", extra=0),
    kind="attention",
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    return make_pictures(tmp_path_factory.mktemp("pictures"))


def train(pictures: Pictures, folder: Path, network: Any = None, **changes: Any) -> Any:
    quick = {"epochs": 1, "learning_rate": 1e-12, "batch_size": 8, "loggers": [], "precision": "32"}
    values: dict[str, Any] = {
        **{key: SMALL[key] for key in ("positive", "preprocessing", "evaluation")},
        **{"train": quick, "explanation": {"cases": 1}, "data": {"cases": str(pictures.table)}, "runs": str(folder)},
    }
    return medcls.train(network=network, run="own", **{**values, **changes})


def test_a_network_of_an_installed_package_goes_the_whole_way(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as installed:
        install(tmp_path, installed, "acme_whole", "medcls.networks", {"acme-net": "acme_whole:FAMILY"}, ACME)
        run = train(pictures, tmp_path / "runs", model={"name": "acme-net", "freeze": 1})
        medcls.load(run.path).save(tmp_path / "saved")
        loaded = medcls.load(tmp_path / "saved", engine="torch")
        scan = pictures.folder / "image2.png"
        assert loaded.predict(scan).status.tolist() == ["answered"]
        assert loaded.explain(scan).map.shape == (48, 40)
        assert "little neural network acme-net" in (run.path / "checklists" / "claim-2024.md").read_text(
            encoding="utf-8"
        )
    with pytest.raises(ClassifierError, match=r"saved: no installed package has the network 'acme-net'"):
        medcls.load(tmp_path / "saved")


@pytest.mark.parametrize("kind", ["module", "function", "family"])
def test_a_network_is_given_as_an_object(kind: str, pictures: Pictures, tmp_path: Path) -> None:
    network: Any = {
        "module": Small(channels=3),
        "function": lambda axes, channels, classes: Small(channels, classes, axes),
        "family": TOKENS,
    }[kind]
    before = copy.deepcopy(network).state_dict() if kind == "module" else {}
    run = train(pictures, tmp_path, network, preprocessing={"size": [32, 32], "channels": 3})
    with pytest.raises(ClassifierError, match=r"given as an object.*medcls\.load\(path, network=\.\.\.\)") as caught:
        medcls.load(run.path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ClassifierError, match="do not fit the network 'from-python'"):
        medcls.load(run.path, network=lambda axes, channels, classes: nn.Linear(channels, classes))
    loaded = medcls.load(run.path, network=network, engine="torch")
    scan = pictures.folder / "image2.png"
    answers = loaded.predict([scan, pictures.folder / "image5.png"])
    assert set(answers.status) == {"answered"}
    found = loaded.explain(scan)
    assert found.map.shape == (48, 40)
    assert found.cells == ((4, 4) if kind == "family" else (16, 16))
    evaluated = medcls.evaluate(run.path, network=network)
    assert evaluated.metrics["auc"] == run.metrics["test"]["auc"]
    if (
        kind == "module"
    ):  # the training begins with its weights, moves as little as it was told to, and leaves them alone
        for key, one in network.state_dict().items():
            assert torch.equal(one, before[key])
            torch.testing.assert_close(loaded.network.backbone.state_dict()[key], one, atol=1e-6, rtol=1e-6)


@pytest.mark.slow
def test_each_fold_begins_with_weights_of_its_own(pictures: Pictures, tmp_path: Path) -> None:
    made = []

    def fresh(dimensions: int, channels: int, classes: int) -> nn.Module:
        made.append(Small(channels, classes, dimensions))
        return made[-1]

    run = train(pictures, tmp_path, fresh, split={"folds": 2})
    starts = [one.last.weight for one in made]
    ensemble = medcls.load(run.path, network=fresh)
    assert len(ensemble.members) == 2  # type: ignore[attr-defined]
    assert len({tuple(one.flatten().tolist()) for one in starts if not one.is_meta}) >= 2


def test_the_estimator_takes_a_module(pictures: Pictures) -> None:
    paths = [pictures.folder / f"image{number}.png" for number in range(24)]
    labels = np.array([(number // 2) % 2 for number in range(24)])
    config = {
        "train": {"epochs": 1, "batch_size": 4, "precision": "32"},
        "preprocessing": {"size": [32, 32], "channels": 1},
    }
    estimator = clone(medcls.ScanClassifier(model=Small(), config=config, tune=0.25))
    fitted = estimator.fit(paths, labels, groups=np.arange(24) // 2)
    assert np.isfinite(fitted.predict_proba(paths[:3])).all()


def test_grad_cam_looks_at_the_last_map_or_where_the_module_says() -> None:
    images = torch.randn(2, 1, 32, 32)

    def cells(module: nn.Module) -> tuple[int, ...]:
        with given_network(module):
            network = build_network(ModelSettings(name="from-python"), dimensions=2, channels=1, classes=2)
        return tuple(grad_cam(network, images, [0, 1]).maps.shape[1:])

    layers = [
        nn.Conv2d(1, 4, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]
    module = nn.Sequential(*layers, nn.Linear(4, 2))
    assert cells(module) == (8, 8)
    module.explained_layer = "0"  # type: ignore[assignment]
    assert cells(module) == (16, 16)
    module.explained_layer = "4"  # type: ignore[assignment]
    with pytest.raises(UsageError, match=r"the explained layer gives .* and not a map"):
        cells(module)
    module.explained_layer = "nowhere"  # type: ignore[assignment]
    with pytest.raises(UsageError, match="the module has no 'nowhere'"):
        cells(module)
    with pytest.raises(UsageError, match="no layer of the network gives a map"):
        cells(nn.Sequential(nn.Flatten(), nn.Linear(1024, 2)))


class Wrong(Small):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.deep(self.stem(images))


@pytest.mark.parametrize(
    ("network", "changes", "error", "words"),
    [
        (Wrong(3), {}, UsageError, r"the network gives \(2, 8, \d+, \d+\), and not \(batch, 2\)"),
        (Small(3, classes=5), {}, UsageError, r"gives \(2, 5\), and not \(batch, 2\)"),
        ("resnet18", {}, UsageError, "neither a torch.nn.Module.*goes into the config"),
        (lambda *shape: 3, {}, UsageError, "no torch.nn.Module"),
        (lambda: Small(), {}, UsageError, "with 2 dimensions, 3 channels and 2 classes made no network. Give a module"),
        (Small(1), {}, UsageError, r"cannot take images \(batch, 3, \d+, \d+\)"),
        (nn.Sequential(nn.Conv3d(3, 2, 3), nn.Flatten()), {}, UsageError, r"cannot take images \(batch, 3, \d+, \d+\)"),
        (Small(3), {"model": {"name": "resnet10"}}, ConfigError, "both named and given"),
        (Small(3), {"model": {"dropout": 0.1}}, ConfigError, "model.dropout"),
        (Small(3), {"model": {"freeze": 1}}, ConfigError, "blocks cannot be frozen"),
        (Small(3), {"model": {"weights": "imagenet"}}, WeightsError, "no imagenet weights"),
        (None, {"model": "from-python"}, UsageError, "given as an object"),
    ],
)
def test_what_cannot_be_a_network_is_one_line_and_leaves_no_run(
    network: Any, changes: Any, error: Any, words: str, pictures: Pictures, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words) as caught:
        train(pictures, tmp_path, network, **changes)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_network_is_not_given_to_a_classifier_that_has_its_own(tmp_path: Path) -> None:
    classifier().save(tmp_path)
    with pytest.raises(UsageError, match=r"own network, resnet10\. Leave out network="):
        medcls.load(tmp_path, network=TOKENS)
