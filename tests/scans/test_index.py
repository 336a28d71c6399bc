"""The index of a folder: a second look gives the same answer without reading, and never a stale one."""

from __future__ import annotations

import gc
import json
import os
import shutil

import nibabel
import numpy as np
import pytest

from medcls.scans import Leniency, find_scans, read_scan
from medcls.scans.archive.walk import walk
from medcls.scans.search import index
from medcls.scans.search import probe_many as probing
from tests.factories.dicom import save, save_all, slices


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with scans, refusals and companions, long unchanged, and an index for any number of files."""
    monkeypatch.setenv("MEDCLS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(index, "_WORTH_KEEPING", 1)
    monkeypatch.setattr(index, "_FINE_CLOCK", 0)
    monkeypatch.setattr(index, "_COARSE_CLOCK", 0)
    root = tmp_path / "Doe_Jane"
    save_all(slices([0, 2, 4], PatientID="canary-77", SeriesInstanceUID="1.9.77"), root / "a")
    save_all(slices([0, 2, 4, 8], PatientID="canary-77", SeriesInstanceUID="1.9.78"), root / "gap")
    for echo in (1, 2):
        many = slices([0, 2], Modality="MR", EchoNumbers=echo, SeriesInstanceUID="1.9.79")
        save_all(many, root / "echoes", [f"{echo}{number}" for number in range(2)])
    pair = nibabel.Nifti1Pair(np.ones((3, 4, 5), np.int16), np.eye(4))
    nibabel.save(pair, root / "header.hdr")
    (root / "remarks.txt").write_text("x")
    (root / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    return root


@pytest.fixture
def reads(monkeypatch):
    """How many files were looked at."""
    seen: list[str] = []
    probe_many = probing.probe_many

    def counting(paths):
        seen.extend(paths)
        return probe_many(paths)

    monkeypatch.setattr("medcls.scans.search.find.probe_many", counting)
    return seen


def told(found):
    return [
        [(s.name, s.paths, s.shape, s.spacing, s.axes, s.part, s.attributes, dict(s.identity)) for s in found.scans],
        [(r.name, r.code, r.reason, r.remedy, r.paths, r.identity.get("patient_id")) for r in found.refused],
        found.ignored,
    ]


def test_a_second_look_gives_the_same_answer_and_reads_nothing(folder, reads):
    first = find_scans(folder)
    assert len(first.scans) == 4
    assert [path.name for path in first.ignored] == ["remarks.txt"]
    assert len(first.refused) == 2
    count = len(reads)
    second = find_scans(folder)
    assert len(reads) == count
    assert told(second) == told(first)
    assert read_scan(second.scans[0]).shape == first.scans[0].shape


@pytest.mark.parametrize("change", ["content", "new", "gone", "renamed", "swapped", "lenient", "moved"])
def test_whatever_changed_is_seen(folder, change, tmp_path):
    find_scans(folder)
    leniency = Leniency()
    if change == "content":
        path = folder / "a" / "I0001"
        state = path.stat()
        path.write_bytes(path.read_bytes().replace(b"1.9.77", b"1.9.70"))
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # the time of the content is put back
    elif change == "new":
        save(slices([6], SeriesInstanceUID="1.9.77", PatientID="canary-77")[0], folder / "a" / "more")
    elif change == "gone":
        (folder / "a" / "I0001").unlink()
    elif change == "renamed":
        (folder / "a").rename(folder / "b")
    elif change == "swapped":
        shutil.copytree(folder, tmp_path / "copy")
        shutil.rmtree(folder / "gap")
        (tmp_path / "copy" / "gap").rename(folder / "gap")
        save_all(slices([0, 2, 4, 6], PatientID="canary-77", SeriesInstanceUID="1.9.78"), folder / "gap")
    elif change == "lenient":
        leniency = Leniency(on_gap="resample")
    elif change == "moved":
        folder = folder.rename(tmp_path / "elsewhere")
    with_index = find_scans(folder, leniency=leniency)
    shutil.rmtree(os.environ["MEDCLS_CACHE"])
    assert told(with_index) == told(find_scans(folder, leniency=leniency))
    if change == "moved":
        assert all(folder in path.parents for scan in with_index.scans for path in scan.paths)


def test_no_name_identifier_or_path_is_kept_and_nobody_else_may_read(folder, tmp_path):
    find_scans(folder)
    (kept,) = (tmp_path / "cache" / "index").iterdir()
    text = kept.read_text()
    for canary in ("Doe", "Jane", "canary", "1.9.7", str(tmp_path), "echoes", "I0001", "remarks"):
        assert canary not in text
    assert kept.stat().st_mode & 0o077 == 0
    assert kept.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"format": 1}', b"null"])
def test_a_damaged_index_is_passed_over(folder, tmp_path, damage):
    first = find_scans(folder)
    (kept,) = (tmp_path / "cache" / "index").iterdir()
    kept.write_bytes(damage)
    assert told(find_scans(folder)) == told(first)


@pytest.mark.parametrize("key", ["scans", "refused", "ignored"])
def test_an_index_with_impossible_numbers_is_passed_over(folder, tmp_path, key):
    first = find_scans(folder)
    (kept,) = (tmp_path / "cache" / "index").iterdir()
    data = json.loads(kept.read_text())
    data[key] = [10**9] if key == "ignored" else [{"files": [10**9]}]
    kept.write_text(json.dumps(data))
    assert told(find_scans(folder)) == told(first)


def test_a_folder_that_changed_just_now_is_not_kept(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(index, "_FINE_CLOCK", 10**18)
    monkeypatch.setattr(index, "_COARSE_CLOCK", 10**18)
    find_scans(folder)
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_costs_nothing(folder, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEDCLS_CACHE", str(tmp_path / "file"))
    assert len(find_scans(folder).scans) == 4


def test_old_indices_make_room(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(index, "_MOST_INDICES", 2)
    for name in ("a", "gap", "echoes"):
        find_scans(folder / name)
    assert len(list((tmp_path / "cache" / "index").iterdir())) == 2


def test_numbers_beyond_64_bits_are_told_apart(folder):
    entries = [entry._replace(inode=2**63 + number) for number, entry in enumerate(walk(str(folder)))]
    last = len(entries) - 1
    others = [*entries[:last], entries[last]._replace(inode=2**63 + last + 1)]
    digests = {index._digest(folder, some, Leniency()) for some in (entries, others, walk(str(folder)))}
    assert len(digests) == 3


@pytest.mark.parametrize("collecting", [True, False])
def test_the_garbage_collector_is_left_as_it_was(folder, collecting):
    before = gc.isenabled()
    (gc.enable if collecting else gc.disable)()
    try:
        assert walk(str(folder))
        assert gc.isenabled() is collecting
        with pytest.raises(FileNotFoundError):
            walk(str(folder / "nothing"))
        assert gc.isenabled() is collecting
    finally:
        (gc.enable if before else gc.disable)()
