"""The documentation is a site that is whole and takes nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY

_FETCHED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?((?:https?:)?//[^\s\"]+)|<link\b[^>]*\bhref=\"?((?:https?:)?//[^\s\"]+)"
)
_FETCHED_BY_STYLE = re.compile(r"(?:url\(|@import\s*)[\"']?((?:https?:)?//[^)\"']+)")


def site() -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"))
    return settings


def leaves(nav: Any) -> list[str]:
    """The pages of a sidebar, in order."""
    if isinstance(nav, str):
        return [nav]
    return [page for part in (nav.values() if isinstance(nav, dict) else nav) for page in leaves(part)]


def test_every_page_has_one_place_in_the_sidebar() -> None:
    docs = REPOSITORY / "docs"
    assert sorted(leaves(site()["nav"])) == sorted(page.relative_to(docs).as_posix() for page in docs.rglob("*.md"))


def test_a_page_that_breaks_ends_the_build_and_no_font_is_fetched() -> None:
    assert site()["strict"] is True
    assert site()["theme"]["font"] is False


@pytest.mark.slow
def test_the_site_is_built_and_takes_no_script_style_or_font_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("zensical", reason="needs the extra docs")
    shutil.copy(REPOSITORY / "mkdocs.yml", tmp_path)
    shutil.copytree(REPOSITORY / "docs", tmp_path / "docs")
    build = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(leaves(site()["nav"]))  # and that of what is not there
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert _FETCHED.findall(text) == [], page.name
        assert _FETCHED_BY_STYLE.findall(text) == [], page.name
        assert "```" not in text, page.name  # a block that was not understood
        assert 'data-md-component="source"' not in text, page.name  # asks GitHub for stars
    for style in (tmp_path / "site").rglob("*.css"):
        assert _FETCHED_BY_STYLE.findall(style.read_text(encoding="utf-8")) == [], style.name
