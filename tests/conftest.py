"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is slow, not wrong.
settings.register_profile("medcls", deadline=None)
settings.load_profile("medcls")

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA_VARIABLE = "MEDCLS_TEST_DATA"
LONGEST = (
    "test_whole_way.py",
    "test_cross_validation.py",
    "test_docs.py",
    "test_cli.py",
    "test_bench.py",
    "test_estimator.py",
    "test_unknown_run.py",
    "test_runs.py",
    "test_ensemble_run.py",
)
WITH_OPENVINO = (
    "test_answers_whose.py",
    "test_bench.py",
    "test_earlier_versions.py",
    "test_engines.py",
    "test_explanations.py",
    "test_infer_screen.py",
    "test_predicting_paths.py",
    "test_runs.py",
    "test_whole_way.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that no core waits for one of them at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real scans; skipped where it is absent, except in continuous integration, where it must be."""
    folder = Path(os.environ.get(SHARED_DATA_VARIABLE, REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        message = f"real scans are not at hand: set {SHARED_DATA_VARIABLE} to their folder"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _openvino_where_it_is_looked_at(request: pytest.FixtureRequest) -> Iterator[None]:
    """Elsewhere it counts as not installed: holding it against torch takes a third of a small training."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.name not in WITH_OPENVINO:
            patch.setattr("medcls.classifier.backends.openvino_network.is_installed", lambda: False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_user_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test touches the user's own key or cache."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        (home / "pseudonym.key").write_text("5a" * 32, encoding="ascii")  # a new one would be warned of
        patch.setenv("MEDCLS_PSEUDONYM_KEY", str(home / "pseudonym.key"))
        patch.setenv("MEDCLS_CACHE", str(home / "cache"))
        yield
