"""The pages of the reference that the code itself can tell are as the code is."""

from __future__ import annotations

import difflib
import functools
import importlib.machinery
import importlib.util
import sys
from types import ModuleType

import pytest

import medcls
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
