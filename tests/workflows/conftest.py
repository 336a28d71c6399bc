"""A run that several tests of the workflows look at; a test module may have its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from medcls.runs.folder import Run
from medcls.workflows.commands.train import train_run
from tests.factories.runs import Pictures, make_pictures, settings


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    return make_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def run(pictures: Pictures, key_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    runs = tmp_path_factory.mktemp("runs")
    privacy = {"key_file": key_folder / "key"}
    return train_run(settings(pictures, runs, privacy=privacy, store={"folder": key_folder / "store"}))
