"""Formats that installed packages add, or that Python gives: found, read, and named when they fail."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import medcls
from medcls.cli.app import app
from medcls.errors import ScanRefused
from medcls.scans.formats import FORMATS
from medcls.scans.workers import pool
from tests.factories.acme import READER, acme_bytes, install_reader
from tests.factories.runs import SMALL, Pictures, make_pictures

PIXELS = np.arange(48, dtype=np.uint8).reshape(6, 8)


@pytest.fixture(autouse=True)
def _no_workers_that_know_the_package() -> Iterator[None]:
    yield
    pool.workers.end()


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "one").write_bytes(acme_bytes(PIXELS))
    (folder / "two.bin").write_bytes(b"nothing that anybody knows\0\1\2")
    Image.fromarray(PIXELS).save(folder / "three.png")
    with zipfile.ZipFile(folder / "four.zip", "w") as archive:
        archive.writestr("inner", acme_bytes(PIXELS))
    return folder


def test_a_format_of_an_installed_package_is_found_and_read(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_reader(tmp_path, monkeypatch)
    found = medcls.find_scans(scans)
    assert {scan.name: scan.kind for scan in found.scans} == {
        "one": "acme", "four.zip/inner": "acme", "three.png": "raster"
    }  # fmt: skip
    assert [(item.name, item.code) for item in found.refused] == [("two.bin", "not-an-image")]
    for name in ("one", "four.zip/inner"):
        scan = medcls.read_scan(scans / name)
        assert scan.kind == "acme"
        np.testing.assert_array_equal(scan.array, PIXELS.T[None])


def test_without_the_package_the_file_is_no_scan(scans: Path) -> None:
    with pytest.raises(ScanRefused, match="no known image format"):
        medcls.read_scan(scans / "one")


def test_no_package_is_asked_about_files_that_medcls_knows(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    greedy = READER.replace('head.startswith(b"ACME")', "True")
    install_reader(tmp_path, monkeypatch, greedy)
    kinds = {scan.name: scan.kind for scan in medcls.find_scans(scans).scans}
    assert kinds["three.png"] == "raster"


@pytest.mark.parametrize(
    ("source", "name", "code", "words"),
    [
        ("import nothing_of_this_name", "acme", "unsupported", "cannot be used: a package that it needs is missing"),
        ("FORMAT = 3", "acme", "unsupported", "it gives no Format that is called 'acme'"),
        (READER, "nifti", "unsupported", "it gives no Format that is called 'nifti'"),
        (READER.replace("file.read(8)", "file.read(7)"), "acme", "damaged", "fails on this file"),
        (READER.replace('head.startswith(b"ACME")', "1 / 0"), "acme", "damaged", "fails on this file"),
        (READER.replace("kind=", "colour="), "acme", "damaged", "fails on this file"),
        (READER.replace("def find(path):", "def find(path):\n    raise SystemExit"), "acme", "damaged", "fails on"),
    ],
)
def test_a_package_that_fails_is_one_line_that_names_it(
    source: str, name: str, code: str, words: str, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_reader(tmp_path, monkeypatch, source, name=name)
    with pytest.raises(ScanRefused, match=words) as caught:
        medcls.read_scan(scans / "one")
    assert caught.value.code == code
    assert f"the plug-in '{name}' of the package {tmp_path.name.replace('-', '_')}_reader 1.0" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert medcls.read_scan(scans / "three.png").kind == "raster"


def test_a_reading_that_fails_names_the_package(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_reader(tmp_path, monkeypatch, READER.replace("reshape(", "reshape(7, "))
    with pytest.raises(ScanRefused, match=r"_reader 1\.0 fails on this file"):
        medcls.read_scan(scans / "one")


def test_what_a_package_does_to_its_process_costs_the_file_alone(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_reader(
        tmp_path, monkeypatch, READER.replace("def find(path):", "def find(path):\n    import os; os._exit(1)")
    )
    found = medcls.find_scans(scans)
    assert [scan.name for scan in found.scans] == ["three.png"]
    assert {item.name: item.code for item in found.refused} == {
        "one": "damaged", "four.zip/inner": "damaged", "two.bin": "not-an-image"
    }  # fmt: skip


def test_a_format_is_given_from_python(scans: Path) -> None:
    module: dict[str, Any] = {}
    exec(READER, module)
    scan = medcls.read_scan(scans / "one", reader=module["FORMAT"])
    assert (scan.kind, scan.shape) == ("acme", (8, 6))
    with pytest.raises(ScanRefused, match="not what its decoder expects"):
        medcls.read_scan(scans / "three.png", reader=module["FORMAT"])


def test_inspect_train_and_infer_take_scans_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = _as_acme(make_pictures(tmp_path / "cohort", patients=12))
    install_reader(tmp_path, monkeypatch)
    shown = CliRunner().invoke(app, ["inspect", str(pictures.folder)])
    assert shown.exit_code == 0
    assert "acme" in shown.output
    values = {**SMALL, "train": {"epochs": 1, "batch_size": 8, "loggers": ["csv"], "precision": "32"}}
    run = medcls.train(None, data={"cases": pictures.table}, runs=tmp_path / "runs", **values)
    assert medcls.infer(pictures.folder / "image0", run.path, out=tmp_path / "answers").answered == 1


def _as_acme(pictures: Pictures) -> Pictures:
    for path in pictures.folder.glob("*.png"):
        path.with_suffix("").write_bytes(acme_bytes(np.asarray(Image.open(path))))
        path.unlink()
    table = pictures.table.read_text(encoding="utf-8")
    pictures.table.write_text(table.replace(".png", ""), encoding="utf-8")
    return pictures


def test_each_shipped_format_has_what_its_row_says() -> None:
    for name, row in FORMATS.items():
        assert row.name == name
        assert all(ending == ending.lower() and ending.startswith(".") for ending in row.endings)
        with pytest.raises(OSError, match="nowhere"):  # its module is there, and looks at the file
            row.find(Path("nowhere"))
