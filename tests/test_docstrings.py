"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import inspect
import shutil
from pathlib import Path

import pytest

import medcls
from tests.factories.earlier import unpack

FUNCTIONS = [name for name in medcls.__all__ if inspect.isfunction(getattr(medcls, name))]
MODULES = sorted({getattr(medcls, name).__module__ for name in medcls.__all__})
CONFIG = """
region: lung
data: {cases: cases.csv, root: scans}
positive: ill
preprocessing: {size: [32, 32]}
model: {name: resnet10}
train: {batch_size: 4, loggers: [], precision: "32"}
evaluation: {replicates: 100}
explanation: {cases: 0}
"""


def scores(*values: float) -> str:
    rows = [f"c{number},p{number},{number % 2},{value}" for number, value in enumerate(values)]
    return "\n".join(["case,patient,reference,score", *rows, ""])


@pytest.fixture(scope="module")
def at_the_desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples speak of: ``lung.yaml``, ``cases.csv``, ``scans``, ``runs/lung``, and two tables of scores."""
    made = unpack("v0_1", tmp_path_factory.mktemp("desk"))
    folder = made.run.parent
    shutil.move(made.cohort / "cases.csv", folder / "cases.csv")
    made.cohort.rename(folder / "scans")
    config = made.run / "config.yaml"
    text = config.read_text(encoding="utf-8").replace(str(made.cohort / "cases.csv"), str(folder / "cases.csv"))
    config.write_text(text.replace("root: null", f"root: {folder / 'scans'}"), encoding="utf-8")
    (folder / "runs").mkdir()
    made.run.rename(folder / "runs" / "lung")
    (folder / "lung.yaml").write_text(CONFIG, encoding="utf-8")
    (folder / "scores.csv").write_text(scores(0.1, 0.9, 0.3, 0.8, 0.2, 0.7, 0.6, 0.4), encoding="utf-8")
    (folder / "others.csv").write_text(scores(0.4, 0.6, 0.7, 0.9, 0.1, 0.3, 0.2, 0.8), encoding="utf-8")
    return folder


@pytest.mark.parametrize("module", MODULES)
def test_examples_are_true(module: str, at_the_desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(at_the_desk)
    monkeypatch.setenv("MEDCLS_PSEUDONYM_KEY", str(at_the_desk / "key"))
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(__import__(module, fromlist=["*"]), optionflags=flags, verbose=False)
    assert result.failed == 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_an_example(name: str) -> None:
    assert "\nExamples:\n    >>> import medcls\n" in (inspect.getdoc(getattr(medcls, name)) or "")
