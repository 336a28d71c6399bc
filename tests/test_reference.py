"""The pages of the reference that the code itself can tell are as the code is."""

from __future__ import annotations

import difflib
import functools
import importlib.machinery
import importlib.util
import json
import sys
from types import ModuleType

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import medcls
from medcls.config.network_names import NAMES
from medcls.config.settings import ModelSettings
from medcls.networks import build_network
from medcls.training.step_memory import memory_of
from tests.conftest import REPOSITORY


@functools.cache
def writer() -> ModuleType:
    """``scripts/write-reference`` as a module."""
    loader = importlib.machinery.SourceFileLoader("write_reference", str(REPOSITORY / "scripts" / "write-reference"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    write_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # no cache file among the scripts
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = write_bytecode
    return module


@pytest.mark.parametrize("name", sorted(writer().pages()))
def test_written_pages_are_up_to_date(name: str) -> None:
    expected = writer().pages()[name].splitlines()
    found = (REPOSITORY / "docs" / "reference" / name).read_text(encoding="utf-8").splitlines()
    difference = list(difflib.unified_diff(found, expected, "as it stands", "as the code says", lineterm="", n=0))
    assert difference == [], "run scripts/write-reference\n" + "\n".join(difference[:20])


def test_a_changed_signature_or_docstring_changes_the_python_page(monkeypatch: pytest.MonkeyPatch) -> None:
    before = writer().pages()["python.md"]

    def load(path: str | None = None, *, quick: bool = False) -> medcls.Classifier:
        raise NotImplementedError

    load.__annotations__["return"] = "Classifier"
    load.__module__, load.__doc__ = medcls.load.__module__, medcls.load.__doc__
    monkeypatch.setattr(medcls, "load", load)
    changed = writer().pages()["python.md"]
    assert "quick: bool = False" in changed
    load.__doc__ = "Load it otherwise."
    assert len({before, changed, writer().pages()["python.md"]}) == 3


@pytest.mark.parametrize("name", ["resnet10", "smallcnn_strided", "vit_s_16"])
def test_work_and_memory_in_the_networks_page_are_those_of_the_networks(name: str) -> None:
    kept = json.loads((REPOSITORY / "scripts" / "network_costs.json").read_text(encoding="utf-8"))
    assert kept.keys() == set(NAMES)
    for axes in (2, 3):
        one = kept[name][f"{axes}-D"]
        shape = (1, *(one["side"],) * axes)
        with torch.device("meta"):
            network = build_network(ModelSettings(name=name), dimensions=axes, channels=1, classes=2).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.empty(1, *shape, device="meta"))
        assert one["gigamac"] == pytest.approx(counter.get_total_flops() / 2e9, rel=0.01)
        assert one["megabytes"] == pytest.approx(memory_of(network, shape).each / 1e6, rel=0.01)
