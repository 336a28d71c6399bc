"""Weights of a site's own: an index names files, which are then loaded, preferred and checked as published ones are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from medcls.config import load_config
from medcls.config.site_weights import site_weights
from medcls.errors import ConfigError, MedclsError, WeightsError
from medcls.networks import build_network, load_weights
from medcls.networks.families import family_of
from medcls.networks.pretrained.catalogue import best_here
from tests.factories.site_weights import ROW, make_site, write_index


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site's folder with one file, and nothing else on this machine."""
    monkeypatch.setenv("MEDCLS_WEIGHTS", str(tmp_path / "site"))
    return make_site(tmp_path / "site")


def test_a_name_of_the_index_is_loaded_with_its_licence_and_its_numbers(folder: Path) -> None:
    config = load_config(None, (), {"model": {"name": "resnet10", "weights": "our-ct"}})
    assert config.model.weights == "our-ct"  # no path
    network = build_network(config.model, dimensions=3, channels=1, classes=5)
    report = load_weights(network, "our-ct", values="unit")
    assert (report.named, report.licence, report.trained_on) == ("our-ct", "internal use", "12 phantoms")
    assert network.input is not None
    torch.testing.assert_close(network.input(torch.full((1, 1, 2, 2, 2), 0.75)), torch.ones(1, 1, 2, 2, 2))
    flat = build_network(config.model, dimensions=2, channels=1, classes=5)
    with pytest.raises(WeightsError, match=r"no our-ct weights for resnet10 in 2-D.*resnet10 in 3-D"):
        load_weights(flat, "our-ct")


def test_auto_finds_weights_in_a_package(folder: Path) -> None:
    best = best_here("efficientnet_lite0", 2, family_of("efficientnet_lite0"))
    assert best is not None
    assert best.name == "imagenet/efficientnet_lite0"
    assert best_here("efficientnet_lite0", 3, family_of("efficientnet_lite0")) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "imagenet"}, "cannot be called 'imagenet'"),
        ({"name": "a/b"}, "cannot be called"),
        ({"file": "../elsewhere.pth"}, "within its folder"),
        ({"sha256": "12"}, "weights.0.sha256"),
        ({"licence": ""}, "licence: it must not be empty"),
        ({"mean": None}, "both mean and std"),
        ({"colour": "red"}, "unknown key 'weights.0.colour'"),
    ],
)
def test_a_fault_of_the_index_is_one_line_with_its_place(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    write_index(tmp_path, {**ROW, "sha256": "0" * 64, **change})
    with pytest.raises(ConfigError, match=words) as caught:
        site_weights(tmp_path)
    assert "index.json:1" in str(caught.value)


def test_the_index_has_each_file_once_and_no_pipe_is_waited_for(tmp_path: Path) -> None:
    write_index(tmp_path, *[{**ROW, "sha256": "0" * 64}] * 2)
    with pytest.raises(ConfigError, match="there twice"):
        site_weights(tmp_path)
    (tmp_path / "index.json").unlink()
    assert site_weights(tmp_path) == ()
    (tmp_path / "index.yaml").mkdir()
    with pytest.raises(MedclsError, match="a folder"):
        site_weights(tmp_path)
