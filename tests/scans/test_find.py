"""Finding, naming, inspecting: light, silent, picklable, and one bad file spoils nothing."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from medcls.errors import ScanRefused
from medcls.scans import CAUSES, RefusalCode, find_scans, inspect_scans, read_scan
from tests.factories.dicom import instance, save, save_all, slices


@pytest.fixture
def mixed(tmp_path):
    """A folder as people have them: a series, a volume, a picture, companions, junk."""
    save_all(slices([0.0, 2.0, 4.0]), tmp_path / "study" / "ct")
    save_all(slices([0.0, 2.0, 6.0, 8.0], SeriesInstanceUID="7"), tmp_path / "study" / "holes")
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 3, 4), np.uint8), np.eye(4)), tmp_path / "t1.nii.gz")
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(tmp_path / "frame.png")
    (tmp_path / "labels.csv").write_text("scan,label\n")
    (tmp_path / ".hidden").write_bytes(b"\1\2\3")
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(40))
    (tmp_path / "model.bin").write_bytes(os.urandom(3000))
    (tmp_path / "export.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    return tmp_path


def test_every_scan_has_one_row_and_every_other_file_a_reason(mixed):
    found = find_scans(mixed)
    assert [(s.name, s.kind, s.shape) for s in found.scans] == [
        ("frame.png", "raster", (7, 5)),
        ("study/ct", "dicom", (4, 3, 3)),
        ("t1.nii.gz", "nifti", (2, 3, 4)),
    ]
    assert {item.name: item.code for item in found.refused} == {
        "broken.png": "damaged",
        "empty.dcm": "damaged",
        "export.zip": "damaged",
        "model.bin": "not-an-image",
        "study/holes": "gap",
    }
    assert {path.name for path in found.ignored} == {"labels.csv", ".hidden", "DICOMDIR"}


def test_the_headers_tell_what_reading_gives(mixed):
    for source in find_scans(mixed).scans:
        scan = read_scan(source)
        assert (source.shape, source.spacing, source.channels) == (scan.shape, scan.spacing, scan.channels)
        assert (source.modality, source.kind, dict(source.attributes)) == (
            scan.modality,
            scan.kind,
            dict(scan.attributes),
        )
        assert source.paths == scan.paths


def test_sources_travel_to_other_processes(mixed):
    for source in find_scans(mixed).scans:
        assert np.array_equal(read_scan(pickle.loads(pickle.dumps(source))).array, read_scan(source).array)


def test_hidden_folders_are_passed_over_on_disk_and_in_archives_alike(tmp_path):
    plain = tmp_path / "plain"
    for name in ("a/one", "a/__MACOSX/._one", "a/.trash/two", ".kept/three"):
        (plain / name).parent.mkdir(parents=True, exist_ok=True)
        save(instance(np.zeros((3, 4), np.int16)), plain / name)
    shutil.make_archive(str(tmp_path / "packed"), "zip", plain)
    for root in (plain, tmp_path / "packed.zip"):
        for below, seen in (
            ("", "one"),
            ("a", "one"),
            ("a/__MACOSX", "._one"),
            (".kept", "three"),
            (".kept/three", "three"),
        ):
            found = find_scans(root / below)
            assert [source.paths[0].name for source in found.scans] == [seen], (root.name, below)
            assert not found.refused
    with pytest.raises(ScanRefused, match="no such file"):
        find_scans(tmp_path / "packed.zip" / "b")


def test_finding_reads_no_pixels(tmp_path):
    path = save(instance(np.zeros((600, 600), np.int16)), tmp_path / "x")
    path.write_bytes(path.read_bytes()[:3000])
    assert find_scans(tmp_path).scans[0].shape == (600, 600)


def test_inspection_names_nobody_and_counts_all(mixed):
    seen = inspect_scans(mixed, read_pixels=True)
    text = json.dumps(asdict(seen), default=str)
    assert "patient-1" not in text
    assert "1.2.3" not in text
    assert (seen.patients, seen.studies, len(seen.rows)) == (1, 1, 3)
    assert seen.codes == {"damaged": 3, "gap": 1, "not-an-image": 1}
    row = {row.name: row for row in seen.rows}["study/ct"]
    assert (row.modality, row.slices, row.axes, row.syntax) == ("CT", 3, "LPS", "Explicit VR Little Endian")
    assert {row.verdict for row in seen.rows} == {"ok"}


def test_a_path_that_is_not_there_or_empty(tmp_path):
    with pytest.raises(ScanRefused) as caught:
        read_scan(tmp_path / "nowhere")
    assert caught.value.code == "no-scan"
    with pytest.raises(ScanRefused) as caught:
        find_scans(tmp_path / "nowhere")
    assert caught.value.code == "no-scan"
    with pytest.raises(ScanRefused) as caught:
        read_scan(tmp_path)
    assert caught.value.code == "no-scan"


def test_pipes_and_broken_links_do_not_hang(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes on this system")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert {item.code for item in find_scans(tmp_path).refused} == {"unreadable"}


def test_running_out_of_memory_costs_one_scan(mixed, monkeypatch):
    source = {scan.name: scan for scan in find_scans(mixed).scans}["study/ct"]
    monkeypatch.setattr(
        "medcls.scans.dicom.series.volume.np.empty", lambda *a, **k: (_ for _ in ()).throw(MemoryError())
    )
    with pytest.raises(ScanRefused) as caught:
        read_scan(source)
    assert caught.value.code == "too-large"


def test_there_are_few_codes_each_with_cause_and_remedy():
    assert set(CAUSES) == set(RefusalCode)
    assert len(RefusalCode) <= 30
    assert all(entry.cause.endswith(".") and entry.remedy for entry in CAUSES.values())


def test_reading_scans_needs_neither_torch_nor_monai(mixed):
    code = (
        "import sys, medcls.scans as s\n"
        f"for source in s.find_scans({str(mixed)!r}).scans: s.read_scan(source)\n"
        "heavy = {'torch', 'monai', 'pandas', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(' '.join(sorted(heavy)) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_links_to_folders_are_followed_and_a_circle_of_links_ends(tmp_path: Path) -> None:
    save_all(slices([0, 2, 4, 6]), tmp_path / "elsewhere" / "series")
    root = tmp_path / "root"
    root.mkdir()
    (root / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere" / "back").symlink_to(root, target_is_directory=True)
    found = find_scans(root)
    assert [scan.name for scan in found.scans] == ["linked/series"]
    assert found.refused == ()
