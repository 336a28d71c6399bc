"""Small files made to cost much: each is refused or read correctly, and memory stays small."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from medcls.scans import find_scans, read_scan
from tests.factories.dicom import instance, save
from tests.fuzzing.bombs import BOMBS, MEGABYTE, behind, deflate_bomb, million_items, nifti
from tests.fuzzing.dicom_seeds import RAMP, marked, packed
from tests.fuzzing.elements import layout
from tests.fuzzing.trials import ReaderProcess

JPEG_LS = "1.2.840.10008.1.2.4.80"


@pytest.fixture(scope="module")
def reader() -> Iterator[ReaderProcess]:
    with ReaderProcess() as process:
        yield process


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_its_own_row_and_little_memory(reader, tmp_path, name):
    data = BOMBS[name].make()
    assert len(data) < 9_100_000
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    (folder / "x").write_bytes(data)
    (folder / "good.png").write_bytes(next_to_it())
    answer = reader.read(folder, whole=False)
    assert answer.failures() == ()
    outcomes = list(answer.outcomes)
    outcomes.remove("read")  # the good one
    assert outcomes
    assert set(outcomes) <= BOMBS[name].outcomes
    assert sorted(path.name for path in tmp_path.rglob("outside*")) == []


def next_to_it() -> bytes:
    return imagecodecs.png_encode(RAMP)


@pytest.mark.parametrize("kind", ["gz", "deflated", "items"])
def test_the_bombs_are_bombs(kind):
    """They unpack, or parse, to what the tests say; else nothing would have been shown."""
    if kind == "gz":
        packer = zlib.decompressobj(zlib.MAX_WBITS | 16)
        data = nifti(500)
        assert len(data) < 600_000
        total = 0
        while data:
            total += len(packer.decompress(data, MEGABYTE))
            data = packer.unconsumed_tail
        assert packer.eof
        assert total > 500_000_000
    elif kind == "deflated":
        data = deflate_bomb("behind")
        assert len(data) < 600_000
        assert len(zlib.decompressobj(-15).decompress(data[layout(data).body :], 2 * MEGABYTE)) == 2 * MEGABYTE
    else:
        assert len(million_items(0x00081140)) > 8_000_000


HOSTILE = {
    "StudyInstanceUID": "../../../etc/passwd",
    "SeriesInstanceUID": "/etc/cron.d/<script>alert(1)</script>",
    "PatientName": "<img src=x onerror=alert(1)>^Qzsecret",
    "PatientID": "../../QZ-ID-<b>",
    "SeriesDescription": "[bold red]</style><script>Qzsecret</script>",
    "StudyDescription": "{{ 7 * 7 }}",
    "BodyPartExamined": "<SCRIPT>",
    "Manufacturer": "\x1b[31m<script>",
}


def hostile(number: int, height: float, **changes: object):
    dataset = marked(number=number, **HOSTILE, ImagePositionPatient=[0, 0, height], **changes)
    for name, value in HOSTILE.items():
        setattr(dataset, name, value)
    return dataset


@pytest.mark.filterwarnings("ignore:Invalid value for VR")  # pydicom writes them all the same
def test_paths_and_markup_in_headers_reach_no_message_and_no_file(tmp_path):
    root = tmp_path / "in" / "scans"
    for number, height in enumerate((0.0, 2.0, 4.0)):
        save(hostile(number, height), root / f"a{number}")
    for number, height in enumerate((0.0, 2.0, 8.0, 10.0)):
        save(hostile(number, height, SeriesNumber=5, EchoTime=3.5, KVP=80), root / f"b{number}")
    for number, height in enumerate((0.0, 2.0, 9.0, 11.0)):
        dataset = hostile(number, height)
        dataset.SeriesInstanceUID = "<b>../"
        save(dataset, root / f"c{number}")
    found = find_scans(root)
    texts = [scan.name for scan in found.scans]
    texts += [f"{one.name} {one.code} {one.reason} {one.remedy}" for one in found.refused]
    texts += [note for scan in found.scans for note in read_scan(scan).notes]
    assert found.refused
    assert found.scans
    for text in texts:
        assert not any(mark in text for mark in ("<", ">", "..", "{{", "[bold", "\x1b", "Qzsecret", "QZ-ID", "/etc"))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("sets", "name"),
    [
        (["", "ISO 2022 IR 87"], b"\x1b$B\xff\xff\x1b(B^\x1b$Z"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], b"\x1b$B\x30"),
        (["GB18030"], b"\xff\xfe\x81"),
        (["ISO_IR 192"], b"\xc3\x28\xf0\x80"),
        (["NO SUCH SET"], b"abc"),
        (["ISO 2022 IR 149", "GB18030", "ISO_IR 192"], b"\x1b$)C\x80"),
    ],
)
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_names_that_do_not_decode_leave_the_pixels_alone(tmp_path, recwarn, sets, name, syntax):
    padded = name + b" " * (len(name) % 2)
    dataset = marked()
    dataset.PatientName = "z" * len(padded)
    dataset.PatientID = "y" * len(padded)
    data = packed(dataset, syntax).replace(b"z" * len(padded), padded).replace(b"y" * len(padded), padded)
    charset = "\\".join(sets).encode()
    charset += b" " * (len(charset) % 2)
    head = struct.pack("<HH", 0x0008, 0x0005)
    head += struct.pack("<I", len(charset)) if syntax.endswith(".2") else b"CS" + struct.pack("<H", len(charset))
    Path(tmp_path / "x").write_bytes(behind(0x00080005, head + charset, data))
    assert np.array_equal(read_scan(tmp_path).array[0].T, RAMP)
    assert not recwarn.list


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_with_gigabytes_of_nothing_behind_its_picture_is_not_held_in_memory(reader, tmp_path, compressed):
    """Sparse files cost their owner nothing, and a reader that believes them everything."""
    far = 3_000_000_000
    folder = tmp_path / "scans"
    if compressed:
        file = save(instance(RAMP), folder / "x", JPEG_LS, [imagecodecs.jpegls_encode(RAMP)])
    else:
        file = save(instance(RAMP), folder / "x")
        data = bytearray(file.read_bytes())
        at = data.rindex(b"\xe0\x7f\x10\x00OW\x00\x00") + 8
        data[at : at + 4] = struct.pack("<I", far - at - 4)
        file.write_bytes(data)
    with file.open("r+b") as handle:
        handle.truncate(far)
    answer = reader.read(folder, whole=False)
    assert answer.failures() == ()
    assert set(answer.outcomes) <= {"read", "damaged", "too-large"}
