"""``medcls weights``: what is known, where it is, and what differs from what was published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medcls.cli.app import app
from medcls.networks.families import FAMILIES
from tests.factories.site_weights import ROW, make_site


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site's folder with one file, and nothing else on this machine."""
    monkeypatch.setenv("MEDCLS_WEIGHTS", str(tmp_path / "site"))
    return make_site(tmp_path / "site")


def medcls(*words: str) -> Any:
    return CliRunner().invoke(app, ["weights", *words])


def test_the_verb_lists_what_there_is_and_where(folder: Path) -> None:
    shown = medcls("list").stdout.splitlines()
    own, lite = (
        next(line for line in shown if name in line) for name in ("our-ct/resnet10", "imagenet/efficientnet_lite0")
    )
    assert "internal use" in own
    assert "here: the weights folder" in own
    assert "Apache-2.0" in lite
    assert "here: the package efficientnet" in lite
    told = json.loads(medcls("list", "resnet18", "--json").stdout)["weights"]
    assert [(one["name"], one["place"], one["licence"]) for one in told] == [
        ("imagenet/resnet18", None, "BSD-3-Clause"),
        ("medicalnet/resnet18", None, "MIT"),
    ]


def test_the_verb_says_in_a_line_which_file_differs_and_fails(folder: Path) -> None:
    good = medcls("verify", "our-ct/resnet10")
    assert good.exit_code == 0
    assert "our-ct/resnet10: as published" in good.stdout
    (folder / "resnet18-f37072fd.pth").write_bytes(b"other")
    (folder / ROW["file"]).write_bytes(b"other")
    (folder / "resnet_10_23dataset.pth").mkdir()
    bad = medcls("verify")
    assert bad.exit_code == 2
    lines = [line for line in bad.stderr.splitlines() if line.startswith("medcls: ")]
    assert len(lines) == 3
    assert "imagenet/efficientnet_lite0: as published" in bad.stdout
    assert "and that of our-ct/resnet10" in lines[0]
    assert "cannot be read: a folder" in lines[2]


def test_the_verb_fetches_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = FAMILIES["resnet"].weights["imagenet"]["resnet18"]
    (folder / source.file).write_bytes(b"there already, and not asked for again")
    assert medcls("fetch", "imagenet/resnet18").exit_code == 2  # it is another
    unknown = medcls("fetch", "resnet19")
    assert unknown.exit_code == 2
    assert "no weights are called 'resnet19'. Did you mean 'resnet1" in unknown.stderr
    assert "which weights to fetch" in medcls("fetch").stderr
