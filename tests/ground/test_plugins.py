"""What installed packages add: found by name alone, and one clear line when it is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from medcls import plugins
from medcls.errors import UsageError
from tests.factories.packages import install


def test_an_entry_point_of_an_installed_package_is_found_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(
        tmp_path, monkeypatch, "acme", "medcls.tests", {"one": "acme:ONE", "two": "acme:TWO"}, "ONE = 1\nraise OSError"
    )
    assert set(plugins.installed("medcls.tests")) == {"one", "two"}


def test_what_it_names_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "acme_good", "medcls.tests", {"one": "acme_good:ONE"}, "ONE = 41 + 1")
    assert plugins.load("medcls.tests", "one") == 42


@pytest.mark.parametrize(
    ("source", "words"), [("import nothing_of_this_name", "a package that it needs"), ("TWO = 2", "does not say why")]
)
def test_a_broken_package_is_one_line_that_names_it(
    source: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "acme_bad", "medcls.tests", {"one": "acme_bad:ONE"}, source)
    with pytest.raises(UsageError, match=rf"'one' of the package acme_bad 1\.0 cannot be used: .*{words}") as caught:
        plugins.load("medcls.tests", "one")
    assert "\n" not in str(caught.value)


def test_one_name_in_two_packages_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("acme_a", "acme_b"):
        install(tmp_path, monkeypatch, name, "medcls.tests", {"one": f"{name}:ONE"}, "ONE = 1")
    with pytest.raises(UsageError, match=r"in several packages: acme_. 1\.0, acme_. 1\.0"):
        plugins.load("medcls.tests", "one")


@pytest.mark.parametrize("name", ["os:system", "../acme.py", "acme:ONE", ""])
def test_nothing_but_a_registered_name_is_loaded(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "acme", "medcls.tests", {"one": "acme:ONE"}, "raise SystemExit")
    with pytest.raises(UsageError, match="no installed package adds"):
        plugins.load("medcls.tests", name)
