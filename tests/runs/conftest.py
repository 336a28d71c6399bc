"""A trained run that several modules change copies of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from medcls.runs.folder import Run
from medcls.workflows.commands.train import train_run
from tests.factories.leakage import config, write_cohort


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    tmp = tmp_path_factory.mktemp("whole")
    return train_run(config(write_cohort(tmp / "pictures"), tmp))


@pytest.fixture
def run(whole: Run, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(whole.path, tmp_path / "copy")))
