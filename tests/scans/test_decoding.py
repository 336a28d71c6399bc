"""Compressed series of plain files: decoded by a worker in batches, and the same as when a worker reads everything."""

from __future__ import annotations

import os
import signal

import imagecodecs
import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from medcls.errors import ScanRefused
from medcls.scans import find_scans, read_scan
from medcls.scans.core.leniency import STRICT
from medcls.scans.dicom.pixels import decode_apart
from medcls.scans.dicom.series.read_uncompressed import read_plain
from medcls.scans.dicom.series.stream_slices import pass_plain
from medcls.scans.sandbox import read_apart
from medcls.scans.workers import pool
from tests.factories.dicom import instance, save

RLE, JPEG_LS, HTJ2K = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.201"


def run_lengths(pixels, planes=2):
    """Byte planes, most significant first (PS3.5 annex G); of fewer planes the others are missing."""
    high_to_low = pixels.astype(">u2").view("u1").reshape(-1, 2).T[:planes]
    packed = [imagecodecs.packbits_encode(np.ascontiguousarray(plane).tobytes()) for plane in high_to_low]
    offsets = np.cumsum([64, *map(len, packed)])[:-1]
    return np.array([planes, *offsets, *[0] * (15 - planes)], "<u4").tobytes() + b"".join(packed)


ENCODE = {
    RLE: run_lengths,
    JPEG_LS: imagecodecs.jpegls_encode,
    HTJ2K: lambda pixels: imagecodecs.htj2k_encode(pixels, reversible=True),
}


def write(folder, syntax=JPEG_LS, count=9, signed=False, fragment=lambda number, stream: stream, **changes):
    """A series with noise in its slices, which goes up to the last stored bit."""
    rng = np.random.default_rng(0)
    values = []
    for number in range(count):
        pixels = rng.integers(0, 4096, (24, 31), dtype=np.uint16)
        stream = fragment(number, ENCODE[syntax](pixels))
        header = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": int(signed), **changes}
        place = {"ImagePositionPatient": [0, 0, 2 * number], "SOPInstanceUID": f"1.{number + 1}"}
        save(instance(pixels, **header, **place), folder / f"{number:02}", syntax, [stream])
        values.append(pixels)
    return np.stack(values)


@pytest.mark.parametrize("syntax", ENCODE)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("region", [1, 4000, 1 << 22])
def test_in_batches_or_at_once_here_or_there_the_values_are_the_same(tmp_path, monkeypatch, syntax, signed, region):
    stored = write(tmp_path, syntax, signed=signed, RescaleIntercept=-1024).astype(np.int32)
    expected = np.where(stored >= 2048, stored - 4096, stored) if signed else stored
    monkeypatch.setattr(decode_apart, "_REGION", region)
    source = find_scans(tmp_path).scans[0]
    plain = read_plain(source)
    apart = read_apart(source, STRICT)
    assert plain is not None
    assert np.array_equal(plain.array[0].transpose(2, 1, 0), expected - 1024)
    assert np.array_equal(plain.array, apart.array)
    assert plain.array.dtype == apart.array.dtype
    assert np.array_equal(plain.affine, apart.affine)
    assert (plain.notes, plain.attributes, plain.identity) == (apart.notes, apart.attributes, apart.identity)


def test_slices_whose_headers_differ_keep_their_own(tmp_path):
    stored = write(tmp_path / "low", count=4, RescaleIntercept=-1024)
    for number in range(4):
        place = {"ImagePositionPatient": [0, 0, 8 + 2 * number], "SOPInstanceUID": f"2.{number}"}
        changes = {"BitsStored": 16, "HighBit": 15, "RescaleIntercept": 5 * number}
        stream = imagecodecs.jpegls_encode(stored[number] + 9)
        save(instance(stored[number], **changes, **place), tmp_path / "low" / f"x{number}", JPEG_LS, [stream])
    array = read_scan(tmp_path / "low").array[0].transpose(2, 1, 0).astype(np.int64)
    assert np.array_equal(array[:4], stored.astype(np.int64) - 1024)
    assert np.array_equal(array[4:], stored.astype(np.int64) + 9 + 5 * np.arange(4)[:, None, None])


def test_a_broken_frame_is_named_and_the_worker_goes_on(tmp_path):
    write(tmp_path / "bad", fragment=lambda number, stream: stream[:-40] if number == 6 else stream)
    write(tmp_path / "good")
    good = read_scan(tmp_path / "good")
    with pool.workers.one() as worker:
        pid = worker._process.pid
    with pytest.raises(ScanRefused) as caught:
        read_scan(tmp_path / "bad")
    assert caught.value.code == "damaged"
    assert caught.value.where == str(tmp_path / "bad" / "06")
    assert np.array_equal(read_scan(tmp_path / "good").array, good.array)
    with pool.workers.one() as worker:
        assert worker._process.pid == pid


def test_a_frame_of_another_size_than_its_header_says_is_refused(tmp_path):
    other = imagecodecs.jpegls_encode(np.zeros((25, 31), dtype=np.uint16))
    write(tmp_path, fragment=lambda number, stream: other if number == 3 else stream)
    with pytest.raises(ScanRefused, match="31x25"):
        read_scan(tmp_path)


@pytest.mark.parametrize(("rows", "planes"), [(24, 1), (12, 2), (25, 2), (48, 2)])
def test_run_lengths_of_another_size_never_show_what_lay_there_before(tmp_path, rows, planes):
    other = run_lengths(np.full((rows, 31), 700, np.uint16), planes)
    write(tmp_path, RLE, fragment=lambda number, stream: other if number == 4 else stream)
    with pytest.raises(ScanRefused) as caught:
        read_scan(tmp_path)
    assert (caught.value.code, caught.value.where) == ("damaged", str(tmp_path / "04"))


@pytest.mark.parametrize("allocated", [8, 16])
def test_narrow_jpeg_in_wide_words_is_widened(tmp_path, allocated):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (5, 24, 32), dtype=np.uint8)
    for number, picture in enumerate(pictures):
        header = {"BitsAllocated": allocated, "BitsStored": 8, "HighBit": 7, "RescaleIntercept": -100}
        place = {"ImagePositionPatient": [0, 0, 2 * number], "SOPInstanceUID": f"1.{number + 1}"}
        stream = imagecodecs.jpeg8_encode(picture, level=90)
        made = instance(picture.astype(f"u{allocated // 8}"), **header, **place)
        save(made, tmp_path / f"{number}", "1.2.840.10008.1.2.4.50", [stream])
    expected = [imagecodecs.jpeg8_decode(imagecodecs.jpeg8_encode(picture, level=90)) for picture in pictures]
    found = read_scan(tmp_path).array[0].transpose(2, 1, 0)
    assert np.array_equal(found, np.stack(expected).astype(int) - 100)


def test_a_worker_that_dies_between_batches_costs_its_scan(tmp_path, monkeypatch):
    write(tmp_path)
    whole = read_scan(tmp_path)
    monkeypatch.setattr(decode_apart, "_REGION", 4000)
    ask, asked = pool.Worker.ask, []

    def killed(self, job, seconds, memory=None, **pieces):
        asked.append(job["job"])
        if asked[-1:] == ["decode"] and asked.count("decode") == 2:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
        return ask(self, job, seconds, memory, **pieces)

    monkeypatch.setattr(pool.Worker, "ask", killed)
    with pytest.raises(ScanRefused) as caught:
        read_scan(tmp_path)
    assert caught.value.code == "too-large"
    monkeypatch.undo()
    assert np.array_equal(read_scan(tmp_path).array, whole.array)


def test_voxels_do_not_change_when_the_next_scan_is_read(tmp_path):
    write(tmp_path / "one")
    write(tmp_path / "two", fragment=lambda number, stream: imagecodecs.jpegls_encode(np.full((24, 31), 7, np.uint16)))
    one = read_scan(tmp_path / "one")
    before = one.array.copy()
    two = read_scan(tmp_path / "two")
    assert np.array_equal(one.array, before)
    assert (two.array == 7).all()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, *ENCODE])
def test_a_slice_whose_file_holds_the_pixels_of_two_is_noted_by_every_reader(tmp_path, syntax):
    for number in range(4):
        pixels = np.full((24, 31), number, np.uint16)
        streams = [] if syntax not in ENCODE else [ENCODE[syntax](pixels)] * (2 if number == 1 else 1)
        made = instance(pixels, ImagePositionPatient=[0, 0, 2 * number], SOPInstanceUID=f"1.{number + 1}")
        if number == 1:
            made.PixelData *= 2
        save(made, tmp_path / f"{number}", syntax, streams)
    (source,) = find_scans(tmp_path).scans
    passed = pass_plain(source, lambda values: None)
    said = "incomplete: frames of pixels that the header does not count were not read: 1"
    for scan in (read_plain(source), read_apart(source, STRICT), passed):
        assert scan is not None
        assert scan.notes == (said,)
