"""Workers: what a file does to them costs its own row, and nothing that comes back is run."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from medcls.errors import ScanRefused
from medcls.scans import STRICT, Scan, find_scans, read_scan
from medcls.scans.core.guard import refusing
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.probe.probe import Probed, probe
from medcls.scans.sandbox import codec, probe_apart, read_apart
from medcls.scans.workers import pool
from tests.factories.dicom import enhanced, instance, save, save_all, slices

JPEG_LS = "1.2.840.10008.1.2.4.80"

SABOTAGED = """
import os, resource, signal, sys
from medcls.scans.probe import probe
from medcls.scans.sandbox import worker

def crash(*_): os.kill(os.getpid(), signal.SIGSEGV)
def hang(*_):
    while True: pass
def devour(*_): return bytearray(2**34)
def chatter(*_):
    os.write(1, b"noise"); print("noise"); os.write(2, b"noise"); raise ValueError("Doe^Jane")

deeds = {"crash": crash, "hang": hang, "devour": devour, "chatter": chatter}
right = probe._probe
def sabotaged(path):
    for name, deed in deeds.items():
        if name in os.path.basename(path):
            return deed(path)
    return right(path)
probe._probe = sabotaged
worker.LOOK_SECONDS = 1.0
worker.main()
"""


@pytest.fixture
def sabotage(tmp_path, monkeypatch):
    """Workers that come to grief over files with telling names."""
    script = tmp_path / "worker.py"
    script.write_text(SABOTAGED)
    popen = subprocess.Popen

    def start(command, **options):
        assert command[:4] == [sys.executable, "-P", "-m", "medcls.scans.sandbox"]
        return popen([sys.executable, "-P", str(script), *command[4:]], **options)

    monkeypatch.setattr(pool.subprocess, "Popen", start)
    pool.workers.end()
    yield tmp_path / "scans"
    pool.workers.end()


@pytest.mark.parametrize(
    ("name", "code", "what"),
    [
        ("crash", "damaged", "makes the decoder crash"),
        ("hang", "damaged", "takes longer"),
        ("devour", "too-large", "not enough memory"),
        ("chatter", "damaged", "its content is not what its decoder expects"),
    ],
)
def test_a_file_that_wrecks_its_reader_costs_its_own_row(sabotage, name, code, what):
    for number in range(4):
        good = save(instance(SOPInstanceUID=f"1.{number}", SeriesInstanceUID=f"2.{number}"), sabotage / f"good{number}")
        good.write_bytes(good.read_bytes()[132:])  # nothing but a worker looks at a file without preamble
    for bad in (f"a_{name}", f"good2_{name}"):
        (sabotage / bad).write_bytes(b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" + bytes(64))
    found = find_scans(sabotage)
    assert [scan.name for scan in found.scans] == ["good0", "good1", "good2", "good3"]
    assert {item.name: item.code for item in found.refused} == {f"a_{name}": code, f"good2_{name}": code}
    assert all(what in item.reason and "Doe" not in item.reason for item in found.refused)


def test_a_worker_that_is_killed_while_it_reads_costs_its_scan(tmp_path, monkeypatch):
    save_all(slices([0, 2, 4], PhotometricInterpretation="MONOCHROME2"), tmp_path)
    source = find_scans(tmp_path).scans[0]
    assert read_apart(source, STRICT).shape == source.shape
    with pool.workers.one() as worker:
        pid = worker._process.pid
    ask = pool.Worker.ask

    def killed(self, job, seconds):
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        return ask(self, job, seconds)

    monkeypatch.setattr(pool.Worker, "ask", killed)
    with pytest.raises(ScanRefused) as caught:
        read_apart(source, STRICT)
    assert caught.value.code == "too-large"
    monkeypatch.undo()
    assert read_apart(source, STRICT).shape == source.shape
    with pool.workers.one() as worker:
        assert worker._process.pid != pid


def test_modules_beside_the_scans_are_never_imported(tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('planted')")
    (tmp_path / "medcls").mkdir()
    (tmp_path / "medcls" / "__init__.py").write_text("raise SystemExit('planted')")
    rng = np.random.default_rng(0)
    import imagecodecs

    pixels = rng.integers(0, 99, (5, 6), dtype=np.uint16)
    save(instance(pixels), tmp_path / "x", JPEG_LS, [imagecodecs.jpegls_encode(pixels)])
    root = str(Path(pool.__file__).parents[3])
    code = f"import sys; sys.path.insert(0, {root!r}); import medcls; print(medcls.read_scan('x').shape)"
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(6, 5)"


def test_both_ways_back_give_the_same_voxels(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 4000, (40, 30), dtype=np.uint16)
    import imagecodecs

    save(instance(pixels), tmp_path / "x", JPEG_LS, [imagecodecs.jpegls_encode(pixels)])
    shared = read_scan(tmp_path / "x")
    pool.workers.end()
    monkeypatch.delattr(pool.os, "memfd_create")  # as on systems that cannot share memory so
    piped = read_scan(tmp_path / "x")
    pool.workers.end()
    assert np.array_equal(shared.array, piped.array)
    assert np.array_equal(shared.array[0].T, pixels)


def test_voxels_are_the_callers_own(tmp_path):
    pixels = np.full((5, 6), 7, dtype=np.uint16)
    import imagecodecs

    save(instance(pixels), tmp_path / "x", JPEG_LS, [imagecodecs.jpegls_encode(pixels)])
    first, second = read_scan(tmp_path / "x"), read_scan(tmp_path / "x")
    first.array[...] = 0
    assert (second.array == 7).all()


def test_a_forked_process_has_workers_of_its_own(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" + bytes(64))
    with pool.workers.one() as worker:
        mine = worker._process.pid
    child = os.fork()
    if not child:
        answer = probe_apart([str(path)])[0].refused
        with pool.workers.one() as worker:
            other = worker._process.pid != mine
        os._exit(0 if answer is not None and other else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert probe_apart([str(path)])[0].refused is not None


def test_frames_come_back_as_they_were(tmp_path):
    changes = [
        {},
        {"EchoTime": "4.6", "EchoNumbers": "2"},
        {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
        {"RescaleSlope": "0.5", "RescaleIntercept": "-3"},
        {"SliceThickness": None, "PixelSpacing": None, "ImagePositionPatient": None},
        {"PixelPaddingValue": 7, "Modality": "MR", "PatientAge": "064Y"},
    ]
    pixels = np.zeros((4, 5), np.uint16)
    paths = []
    for number, change in enumerate([*changes, *changes]):
        made = instance(pixels, **change, SOPInstanceUID=f"1.{number}")
        paths.append(str(save(made, tmp_path / f"{number:02}")))
    paths.append(str(save(enhanced([np.zeros((3, 4, 5), np.uint16)]), tmp_path / "enhanced")))
    here, apart = [probe(path) for path in paths], probe_apart(paths)
    assert [len(one.frames) for one in apart] == [1] * 12 + [3]
    assert apart == here
    assert apart[0].frames[0].header is apart[6].frames[0].header


@pytest.mark.parametrize(
    "change",
    [
        {"orientation": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)},
        {"orientation": None, "spacing": None},
        {"spacing": (3.0, 4.0)},
        {"slope": 2.0},
        {"intercept": -7.0},
        {"thickness": None},
        {"splits": {"echo": "2"}},
        {"position": (1.0, 2.0, 3.5)},
    ],
)
def test_frames_that_differ_in_one_thing_come_back_different(tmp_path, change):
    path = str(save(instance(), tmp_path / "x"))
    (frame,) = probe(path).frames
    probed = [Probed(frames=(frame, replace(frame, **change))), Probed(frames=(frame,))]
    sent = json.loads(json.dumps(codec.probed_to_json(probed)))
    assert codec.probed_from_json(sent, [path, path]) == probed


codes = st.sampled_from(list(RefusalCode))


@given(codes, st.text(), st.text())
@settings(deadline=None)
def test_refusals_come_back_as_they_were(code, what, where):
    error = refusal(code, what, where=where)
    back = codec.probed_from_json(codec.probed_to_json([Probed(refused=error)]), ["x"])[0].refused
    assert back is not None
    assert (back.code, back.what, back.where, back.remedy) == (error.code, what, where, error.remedy)


@given(
    arrays(st.sampled_from(["u1", "i2", "f4"]), array_shapes(min_dims=3, max_dims=4, max_side=4)),
    st.permutations(range(4)),
)
@settings(deadline=None)
def test_scans_come_back_with_the_same_axes_whatever_their_order_in_memory(array, order):
    array = array.transpose([axis for axis in order if axis < array.ndim])
    scan = Scan(array=array, affine=np.diag([1.5, 2, 3, 1]), notes=("a",), paths=(Path("x"),), attributes={"sex": "F"})
    data = codec.scan_to_json(scan)
    dense = np.ascontiguousarray(array.transpose(codec.memory_order(array)))
    back = codec.scan_from_json(data, dense.tobytes())
    assert np.array_equal(back.array, array, equal_nan=True)
    assert back.array.dtype == array.dtype
    assert (back.notes, back.paths, back.attributes) == (scan.notes, scan.paths, scan.attributes)
    assert np.array_equal(back.affine, scan.affine)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not list open files")
def test_refusals_leave_no_memory_behind_in_a_worker(tmp_path):
    volume = np.ones((30, 40, 5), np.int16)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "a.nii.gz")
    source = find_scans(tmp_path / "a.nii.gz").scans[0]
    whole = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(whole[:-9] + b"x" + whole[-8:])
    pool.workers.end()
    open_files = []
    for _ in range(4):
        with pytest.raises(ScanRefused):
            read_scan(source)
        with pool.workers.one() as worker:
            worker.ask({"job": "look", "paths": []}, 60)  # answered when the job before is put away
            open_files.append(len(os.listdir(f"/proc/{worker._process.pid}/fd")))
    assert open_files[1:] == open_files[:1] * 3


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory")])
def test_memory_that_the_system_refuses_is_called_so(error):
    with pytest.raises(ScanRefused, match="not enough memory") as caught, refusing("a.nii"):
        raise error
    assert caught.value.code == RefusalCode.TOO_LARGE


def test_relative_paths_are_those_of_the_present_folder(tmp_path, monkeypatch):
    """A worker that began elsewhere finds them too."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Image.new("L", (24, 24), 90).save(tmp_path / name / f"{name}.png")
        monkeypatch.chdir(tmp_path / name)
        assert [scan.name for scan in find_scans(".").scans] == [f"{name}.png"]
        assert read_scan(f"{name}.png").shape == (24, 24)
