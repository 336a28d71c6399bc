"""Families: the torch-free list of names is right, nothing else lists networks, and packages add their own."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import torch

from medcls.config import config_schema, load_config
from medcls.config.network_names import NAMED_WEIGHTS, NAMES, SHIPPED
from medcls.config.settings import ModelSettings
from medcls.errors import ConfigError, UsageError
from medcls.networks import build_network
from medcls.networks.families import FAMILIES
from medcls.networks.sources import DIMENSIONS
from tests.conftest import REPOSITORY
from tests.factories.packages import install

ACME = """
from torch import nn
from medcls.networks.family import Backbone, NetworkFamily

def build(settings, dimensions, channels, classes):
    convolution = (nn.Conv2d, nn.Conv3d)[dimensions - 2]
    return Backbone(nn.Sequential(convolution(channels, 4, 3, padding=1), nn.ReLU()), 4, {"stem": ("0",)})

FAMILY = NetworkFamily(names=("acme-net",), build=build)
"""


def add_acme(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str = ACME, target: str = "FAMILY") -> None:
    module = f"acme_{abs(hash((source, target)))}"
    install(folder, monkeypatch, module, "medcls.networks", {"acme-net": f"{module}:{target}"}, source)


def test_the_list_of_names_is_that_of_the_families() -> None:
    assert {row: family.names for row, family in FAMILIES.items()} == dict(SHIPPED)
    assert set(NAMED_WEIGHTS) == set(DIMENSIONS)
    files = (REPOSITORY / "medcls/networks/families").glob("[a-z]*.py")
    assert {path.stem for path in files} == set(SHIPPED)


def test_nothing_else_names_networks_so_a_new_one_is_its_file_its_row_and_its_test() -> None:
    defaults = {  # that choose one network, or show one, and would not take another
        "cli/commands.py",
        "config/sections/model.py",
        "config/sections/tune.py",
        "estimator.py",
        "planning/rules.py",
        "workflows/commands/demo.py",
        "workflows/commands/doctor.py",
        "workflows/reporting/probe_beside.py",
        "workflows/searching/trials.py",
    }
    package = REPOSITORY / "medcls"
    naming = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if any(name in path.read_text(encoding="utf-8") for name in NAMES)
    }
    assert {path for path in naming if not path.startswith("networks/families/")} - defaults == {
        "config/network_names.py"
    }


@pytest.mark.parametrize("target", ["FAMILY", "family"])
def test_a_package_adds_a_network(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_acme(tmp_path, monkeypatch, ACME + "\ndef family():\n    return FAMILY\n", target)
    settings = load_config(None, (), {"model": "acme-net"}).model
    for dimensions in (2, 3):
        network = build_network(settings, dimensions=dimensions, channels=1, classes=3)
        assert network(torch.zeros(2, 1, *(8,) * dimensions)).shape == (2, 3)
    jsonschema.validate({"model": {"name": "acme-net"}}, config_schema())


def test_a_name_that_is_nowhere_says_which_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_acme(tmp_path, monkeypatch)
    for given, meant in (("acmenet", "acme-net"), ("resnet81", "resnet18")):
        with pytest.raises(ConfigError, match=rf"'{given}' is not allowed for 'model.name'.*Did you mean '{meant}'"):
            load_config(None, (), {"model": given})
    assert set(NAMES) <= set(json.dumps(config_schema()).replace('"', " ").replace(",", " ").split())


@pytest.mark.parametrize("source", ["FAMILY = 3", ACME.replace("acme-net", "other-net")])
def test_a_package_that_gives_no_such_family_is_one_line(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_acme(tmp_path, monkeypatch, source)
    with pytest.raises(UsageError, match=r"the package acme_\d+ 1\.0 cannot be used: it gives no NetworkFamily"):
        build_network(ModelSettings(name="acme-net"), dimensions=2, channels=1, classes=2)


def test_a_package_does_not_take_the_place_of_a_shipped_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "acme_shadow", "medcls.networks", {"resnet10": "acme_shadow:F"}, "raise SystemExit")
    build_network(ModelSettings(name="resnet10"), dimensions=2, channels=1, classes=2)
