"""Archives are folders of scans: members come back as they went in, and no archive can harm or mislead."""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import io
import lzma
import os
import random
import struct
import tarfile
import tempfile
import threading
import tracemalloc
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from medcls.errors import ScanRefused
from medcls.scans import archive
from medcls.scans.archive import entries, opening, unpacked, zips
from medcls.scans.archive.entries import safe_name
from tests.factories.archives import made, tarred, zipped

PACKINGS = ("", "gz", "bz2", "xz")
KINDS = ("zip", "zip-stored", "zip-bz2", "tar", "tar-gz", "tar-bz2", "tar-xz")
FILES = {"a/IM0001": b"one" * 300, "a/IM0002": b"", "b/x.nii": bytes(range(256)) * 9, "top": b"\x00" * 700}
MIB = 2**20


def contents(path: Path) -> dict[str, bytes]:
    """Everything in an archive, read as a search would."""
    return {member.name: archive.read_file(member.path) for member in archive.members(path)}


def refused(action: Callable[[], object]) -> str:
    with pytest.raises(ScanRefused) as caught:
        action()
    assert str(caught.value).isprintable()
    return caught.value.code


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_kept", opening._Kept())


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_read_by_virtual_paths(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "study.bin"
    path.write_bytes(made(kind, FILES))
    assert archive.is_archive(path)
    assert contents(path) == FILES
    assert [member.name for member in archive.members(path)] == sorted(FILES)
    for name, data in FILES.items():
        inside = path / name
        assert archive.file_stat(inside) == (len(data), path.stat().st_mtime_ns)
        assert archive.exists(inside)
        assert archive.read_file(inside, 5) == data[:5]
        assert archive.archive_of(inside) == path
        with archive.open_file(inside) as handle:
            handle.seek(3)
            assert handle.read() == data[3:]


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(st.tuples(NAMES, st.binary(max_size=2000)), min_size=1, max_size=8), kind=st.sampled_from(KINDS))
@example(files=[("a", b"1"), ("a~2", b"2"), ("a", b"3"), ("a/b", b"4"), ("/a", b"5"), ("a\\b", b"6")], kind="tar")
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_whatever_was_put_in_comes_back_under_distinct_names(
    files: list[tuple[str, bytes]], kind: str, tmp_path: Path
) -> None:
    # A name that ends with a slash is a folder's.
    files = [(name.rstrip("/\\") or "x", data) for name, data in files]
    path = tmp_path / "any"
    path.write_bytes(made(kind, files))
    found = contents(path)
    assert sorted(found.values()) == sorted(data for _, data in files)
    for name, data in files:
        if [safe_name(other) for other, _ in files].count(safe_name(name)) == 1 and "~" not in name:
            assert found[safe_name(name)] == data


@given(st.text(max_size=3000) | NAMES.map(lambda name: f"../{name}/.." * 50))
@example("é" * 150 + ".dcm")
@example("C:/Windows")
@example("../C:x")
@example("\ud800/\u202egnp")
def test_names_stay_inside_and_can_be_printed(name: str) -> None:
    safe = safe_name(name)
    parts = safe.split("/")
    assert safe == safe_name(name)
    assert not {"", ".", ".."} & set(parts)
    assert not Path(safe).is_absolute()
    assert not PureWindowsPath(safe).drive
    assert "\\" not in safe
    assert not [letter for letter in safe if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert len(safe.encode()) <= 1200
    assert max(len(part.encode()) for part in parts) <= 255
    assert Path(safe).as_posix() == safe


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a/IM0001", "a/IM0001"),
        ("山田　太郎/é 1.dcm", "山田　太郎/é 1.dcm"),
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("\\\\host\\share\\x", "host/share/x"),
        ("C:\\x", "C_/x"),
        ("C:x", "C_x"),
        ("a//./b", "a/b"),
        ("a\x00\x1b[31m\n", "a__[31m_"),
        ("..", "unnamed"),
        ("", "unnamed"),
    ],
)
def test_safe_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_long_names_stay_distinct_and_files_of_one_folder_together() -> None:
    parts = [safe_name("x" * 300 + f"{number}.nii.gz") for number in (1, 2)]
    assert parts[0] != parts[1]
    assert parts[0].endswith(".gz")
    deep = [safe_name("d/" * 900 + name) for name in ("1", "2")]
    assert deep[0] != deep[1]
    assert Path(deep[0]).parent == Path(deep[1]).parent
    assert Path(deep[0]).parent != Path(safe_name("e/" * 900 + "1")).parent


@pytest.mark.parametrize("kind", ["zip", "tar", "tar-gz"])
def test_traversal_reads_the_member_and_nothing_else(kind: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"outside")
    path = tmp_path / "in" / "x.zip"
    path.parent.mkdir()
    path.write_bytes(made(kind, {"../../secret": b"inside"}))
    assert contents(path) == {"secret": b"inside"}
    assert not archive.exists(path / "../../../secret/nothing")


def test_what_is_an_archive_is_told_by_content(tmp_path: Path) -> None:
    volume = struct.pack("<i", 348) + bytes(340) + b"n+1\0" + bytes(400)
    cases = {
        "empty.zip": (zipped({}), True),
        "scan.nii": (zipped(FILES), True),
        "scan.nii.gz": (gzip.compress(volume), False),
        "text.zip": (b"this is no archive", False),
        "volume.bz2": (bz2.compress(volume), False),
        "volume.xz": (lzma.compress(volume), False),
        "cut.tar.gz": (tarred(FILES, "gz")[:12], False),
        "broken.tar.bz2": (b"BZh9" + bytes(600), False),
        "report.docx": (zipped({"[Content_Types].xml": b"", "word/document.xml": b""}), False),
        "nothing": (b"", False),
        "noise.tar.bz2": (bz2.compress(tarred({"x": random.Random(0).randbytes(3 * MIB)})), True),
    }
    for name, (data, expected) in cases.items():
        (tmp_path / name).write_bytes(data)
        assert archive.is_archive(tmp_path / name) == expected, name
    assert archive.members(tmp_path / "empty.zip") == ()
    assert refused(lambda: archive.members(tmp_path / "text.zip")) == "not-an-image"


def test_paths_that_no_archive_holds_fail_as_they_always_did(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"text")
    (tmp_path / "x.zip").write_bytes(zipped(FILES))
    (tmp_path / "broken").symlink_to(tmp_path / "gone")
    assert archive.read_file(tmp_path / "plain") == b"text"
    assert archive.read_file(tmp_path / "plain", 2) == b"te"
    expected: dict[str, type[OSError]] = {
        "none": FileNotFoundError,
        "none/deeper/still": FileNotFoundError,
        "broken": FileNotFoundError,
        "plain/inside": NotADirectoryError,
        "x.zip/none": NotADirectoryError,
        "x.zip/a": NotADirectoryError,  # a folder inside
        "x.zip/a/IM0001/deeper": NotADirectoryError,
    }
    for name, error in expected.items():
        path = tmp_path / name
        for action in (archive.open_file, archive.read_file, archive.file_stat):
            with pytest.raises(error) as caught:
                action(path)
            assert caught.value.filename == str(path)
        assert not archive.exists(path)
    with pytest.raises(IsADirectoryError):
        archive.open_file(tmp_path)


def test_archives_in_archives_are_told_but_not_descended_into(tmp_path: Path) -> None:
    path = tmp_path / "outer.zip"
    path.write_bytes(zipped({"inner.zip": zipped(FILES), "inner.tgz": tarred(FILES, "gz"), "scan": b"pixels"}))
    assert archive.is_archive(path / "inner.zip")
    assert archive.is_archive(path / "inner.tgz")
    assert not archive.is_archive(path / "scan")
    assert not archive.exists(path / "inner.zip" / "a/IM0001")
    with pytest.raises(NotADirectoryError):
        archive.members(path / "inner.zip")


def test_hidden_folders_are_marked(tmp_path: Path) -> None:
    path = tmp_path / "mac.zip"
    path.write_bytes(zipped({"__MACOSX/a/._IM1": b"", ".git/x": b"", "a/IM1": b"", "a/.hidden": b""}))
    hidden = {member.name: member.in_hidden_folder() for member in archive.members(path)}
    assert hidden == {"__MACOSX/a/._IM1": True, ".git/x": True, "a/IM1": False, "a/.hidden": False}


def with_flag(data: bytes, flag: int = 0, method: int | None = None) -> bytes:
    """The zip with flags set, or the method changed, in the last member."""
    changed = bytearray(data)
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.rindex(signature)
        changed[start + at] |= flag
        if method is not None:
            changed[start + at + 2] = method
    return bytes(changed)


def test_what_cannot_be_read_is_refused_one_row_each_and_spoils_nothing(tmp_path: Path) -> None:
    two = {"good": b"good", "bad": b"bad"}
    link = zipfile.ZipInfo("bad")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as writer:
        writer.writestr("good", b"good")
        writer.writestr(link, b"/etc/passwd")
    cases = {
        "encrypted": (with_flag(zipped(two), 1), "unsupported"),
        "deflate64": (with_flag(zipped(two), method=9), "unsupported"),
        "lzma": (zipped(two, zipfile.ZIP_LZMA), "unsupported"),
        "link": (buffer.getvalue(), "unsupported"),
        "folder-with-data": (zipped({"good": b"good", "bad/": b"data"}), "damaged"),
    }
    for kind, code in (
        (tarfile.SYMTYPE, "unsupported"),
        (tarfile.LNKTYPE, "unsupported"),
        (tarfile.GNUTYPE_SPARSE, "unsupported"),
        (tarfile.CHRTYPE, "unreadable"),
        (tarfile.FIFOTYPE, "unreadable"),
        (b"Z", "unsupported"),
    ):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            info = tarfile.TarInfo("bad")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
            info = tarfile.TarInfo("good")
            info.size = 4
            tar.addfile(info, io.BytesIO(b"good"))
        cases[f"tar {'link' if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ''}{kind!r}"] = (buffer.getvalue(), code)
    for name, (data, code) in cases.items():
        path = tmp_path / "x"
        path.write_bytes(data)
        problems = {member.name: member.problem for member in archive.members(path)}
        assert set(problems) == {"good", "bad"}, name
        problem = problems["bad"]
        assert problem is not None, name
        assert problem.code == code, name
        assert ("link" in problem.reason) == ("link" in name), name
        assert refused(lambda: archive.open_file(path / "bad")) == code  # noqa: B023
        if name != "lzma":
            assert archive.read_file(path / "good") == b"good"


def test_folders_are_no_members(tmp_path: Path) -> None:
    for name, data in (("zip", zipped({"a/": b"", "a/x": b"1"})), ("tar", None)):
        path = tmp_path / name
        if data is None:
            with tarfile.open(path, "w") as tar:
                tar.add(tmp_path, "a", recursive=False)
                tar.addfile(tarfile.TarInfo("a/x"))
        else:
            path.write_bytes(data)
        assert [member.name for member in archive.members(path)] == ["a/x"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_cut_short_is_read_rightly_or_refused(kind: str, tmp_path: Path) -> None:
    whole = made(kind, FILES)
    path = tmp_path / "cut"
    complete = 0
    for length in {*range(0, len(whole), 7), *range(0, len(whole), 512), len(whole) - 1}:
        path.write_bytes(whole[:length])
        with contextlib.suppress(ScanRefused):
            assert contents(path) == FILES, f"{length} bytes gave something else"
            complete += 1
    # Only the padding of a plain tar can be missed without loss.
    assert complete == 0 or kind == "tar"


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(KINDS), place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_harmless(kind: str, place: float, value: int, tmp_path: Path) -> None:
    data = bytearray(made(kind, FILES))
    data[int(place * len(data))] = value
    path = tmp_path / "changed"
    path.write_bytes(data)
    try:
        found = archive.members(path)
    except ScanRefused:
        return
    assert len(found) >= len(FILES) - 1
    for member in found:
        try:
            content = archive.read_file(member.path)
        except ScanRefused:
            continue
        # A plain tar has no checksum over its data.
        assert content in FILES.values() or kind == "tar"


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(head=st.sampled_from([b"PK\x03\x04", b"PK\x05\x06", b"BZh9", b"\x1f\x8b\x08", b"\xfd7zXZ\0"]), rest=st.binary())
def test_noise_is_refused(head: bytes, rest: bytes, tmp_path: Path) -> None:
    path = tmp_path / "noise"
    for data in (head + rest, head + rest + b"PK\x05\x06" + rest[:18].ljust(18, b"\0"), tarred(FILES)[:400] + rest * 9):
        path.write_bytes(data)
        with contextlib.suppress(ScanRefused):
            assert archive.members(path) == () or head == b"PK\x05\x06"


def test_a_damaged_header_never_hides_what_follows(tmp_path: Path) -> None:
    whole = tarred(FILES, form=tarfile.USTAR_FORMAT)
    path = tmp_path / "x.tar"
    at = whole.index(b"b/x.nii")
    for header in (b"\xff" * 512, bytes(512), bytes(1024)):
        path.write_bytes(whole[:at] + header + whole[at + len(header) :])
        assert refused(lambda: archive.members(path)) == "damaged"


def test_archives_joined_end_to_end(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(tarred({"a": b"1"}) + tarred({"b": b"2"}))
    assert contents(path) == {"a": b"1", "b": b"2"}
    for packing in ("gz", "bz2", "xz"):
        path.write_bytes(tarred({"a": b"1"}, packing) + tarred({"b": b"2"}, packing))
        assert contents(path) == {"a": b"1", "b": b"2"}, packing
    path.write_bytes(tarred({"a": b"1"}) + bytes(2 * MIB) + tarred({"b": b"2"}))
    assert refused(lambda: archive.members(path)) == "damaged"
    # The directory of the second would hide the members of the first.
    path.write_bytes(zipped({"a": b"1"}) + zipped({"b": b"2"}))
    assert refused(lambda: archive.members(path)) == "damaged"


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_of_every_tar_dialect(form: int, tmp_path: Path) -> None:
    files = {"folder/" * 12 + "é" * 20: b"1", "p" * 90 + "/" + "n" * 60: b"2", "short": b"3"}
    path = tmp_path / "x.tar"
    path.write_bytes(tarred(files, form=form))
    assert contents(path) == files


def test_zip64_and_comments(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as writer:
        with writer.open("big", "w", force_zip64=True) as member:
            member.write(b"data")
        writer.comment = b"PK\x05\x06" + bytes(18) + b"comment"
    path = tmp_path / "x.zip"
    path.write_bytes(buffer.getvalue())
    assert contents(path) == {"big": b"data"}
    path.write_bytes(with_directory_64(zipped({"a": b"1"}), 1))
    assert contents(path) == {"a": b"1"}


def with_directory_64(data: bytes, count: int) -> bytes:
    """The zip with a Zip64 end record that declares ``count`` members."""
    end = data.rindex(b"PK\x05\x06")
    size, start = struct.unpack_from("<2L", data, end + 12)
    wide = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    return (
        data[:end] + wide + locator + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, *[0xFFFF] * 2, *[2**32 - 1] * 2, 0)
    )


def lying(data: bytes, size: int, crc: int | None = None) -> bytes:
    """The one-member zip with another declared size, in both headers."""
    changed = bytearray(data)
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = data.rindex(signature)
        struct.pack_into("<L", changed, start + at, size)
        if crc is not None:
            struct.pack_into("<L", changed, start + at - 8, crc)
    return bytes(changed)


def peak_of(action: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_member_that_holds_less_than_it_declares(method: int, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(lying(zipped({"x": b"small"}, method), 6))
    assert refused(lambda: archive.read_file(path / "x")) == "damaged"
    assert archive.read_file(path / "x", 5) == b"small"


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_member_that_holds_more_than_it_declares(method: int, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    bomb = zipped({"x": bytes(64 * MIB)}, method)
    # Even with a checksum that fits its first bytes.
    path.write_bytes(lying(bomb, 10, zlib.crc32(bytes(10))))
    peak = peak_of(lambda: refused(lambda: archive.read_file(path / "x")))
    assert refused(lambda: archive.read_file(path / "x")) == "damaged"
    assert peak < 8 * MIB
    assert archive.read_file(path / "x", 4) == bytes(4)


def test_declared_sizes_are_checked_before_memory_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.zip"
    for method, size, code in (
        (zipfile.ZIP_DEFLATED, 2**31, "damaged"),
        (zipfile.ZIP_STORED, 2**31, "damaged"),
        (zipfile.ZIP_BZIP2, 2**31, "too-large"),
    ):
        path.write_bytes(lying(zipped({"x": b"small"}, method), size))
        assert peak_of(lambda: refused(lambda: archive.read_file(path / "x"))) < MIB
        assert refused(lambda: archive.read_file(path / "x")) == code
        assert archive.members(path)[0].problem is not None
    monkeypatch.setattr(zips, "MAX_MEMBER_BYTES", 1000)
    path.write_bytes(zipped({"x": bytes(1001), "y": bytes(1000)}))
    assert refused(lambda: archive.read_file(path / "x")) == "too-large"
    assert archive.read_file(path / "y") == bytes(1000)


def test_a_tar_member_larger_than_the_archive(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    for size in (2**20, 2**40, 2**63, 2**80):
        for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            info.size = size
            header = info.tobuf(form)
            for data in (header, header + bytes(2000), gzip.compress(header + bytes(2000))):
                (tmp_path / "x").write_bytes(data)
                assert peak_of(lambda: refused(lambda: archive.members(tmp_path / "x"))) < 4 * MIB
                assert refused(lambda: archive.members(tmp_path / "x")) == "damaged"
    info.type, info.size = tarfile.XHDTYPE, 2**33
    (tmp_path / "x").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    assert refused(lambda: archive.members(tmp_path / "x")) == "damaged"


@pytest.mark.parametrize("packing", ["bz2", "xz"])
def test_a_compressed_bomb_stops_early(packing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(tarred({"x": bytes(128 * MIB)}, packing))
    monkeypatch.setattr(unpacked, "FREE_OF_RATIO", 4 * MIB)
    assert peak_of(lambda: refused(lambda: archive.members(path))) < 48 * MIB
    assert refused(lambda: archive.members(path)) == "too-large"


@pytest.mark.parametrize("packing", ["gz", "bz2", "xz"])
def test_the_total_of_a_compressed_tar_is_bounded(
    packing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(tarred({"x": random.Random(1).randbytes(3 * MIB)}, packing))
    assert len(archive.read_file(path / "x")) == 3 * MIB
    monkeypatch.setattr(opening, "_kept", opening._Kept())
    monkeypatch.setattr(unpacked, "MAX_UNPACKED", 2 * MIB)
    assert refused(lambda: archive.members(path)) == "too-large"


def test_an_xz_dictionary_that_asks_for_too_much_memory(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**28}]
    path = tmp_path / "x"
    path.write_bytes(lzma.compress(tarred({"x": b"1"}), filters=filters))
    assert not archive.is_archive(path)


def test_members_that_share_their_bytes(tmp_path: Path) -> None:
    data = zipped({"a": b"x" * 1000})
    entry_at, end_at = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entry = data[entry_at:end_at]
    end = bytearray(data[end_at:])
    struct.pack_into("<2HL", end, 8, 2, 2, 2 * len(entry))
    path = tmp_path / "x.zip"
    path.write_bytes(data[:entry_at] + entry + entry.replace(b"a", b"b") + bytes(end))
    with zipfile.ZipFile(path) as reader:
        assert len(reader.namelist()) == 2  # it is well formed otherwise
    assert refused(lambda: archive.members(path)) == "damaged"


def test_quoted_headers_that_share_bytes_in_part(tmp_path: Path) -> None:
    """The second member's header is inside the first member's stored data."""
    inner = zipped({"b": b"y" * 500}, zipfile.ZIP_STORED)
    local = inner[: inner.index(b"PK\x01\x02")]
    outer = zipped({"a": local}, zipfile.ZIP_STORED)
    entry_at, end_at = outer.index(b"PK\x01\x02"), outer.index(b"PK\x05\x06")
    second = bytearray(inner[inner.index(b"PK\x01\x02") : inner.index(b"PK\x05\x06")])
    struct.pack_into("<L", second, 42, 31)
    end = bytearray(outer[end_at:])
    struct.pack_into("<2HL", end, 8, 2, 2, end_at - entry_at + len(second))
    path = tmp_path / "x.zip"
    path.write_bytes(outer[:end_at] + bytes(second) + bytes(end))
    with zipfile.ZipFile(path) as reader:
        assert reader.read("b") == b"y" * 500
    assert refused(lambda: archive.members(path)) == "damaged"


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(with_directory_64(zipped({"a": b"1"}), entries.MAX_MEMBERS + 1))
    assert refused(lambda: archive.members(path)) == "too-large"
    path.write_bytes(with_directory_64(zipped({"a": b"1"}), entries.MAX_MEMBERS))
    assert refused(lambda: archive.members(path)) == "damaged"
    for module in (entries, zips):
        monkeypatch.setattr(module, "MAX_MEMBERS", 10)
    for kind in ("zip", "tar", "tar-gz"):
        path.write_bytes(made(kind, {str(number): b"" for number in range(11)}))
        assert refused(lambda: archive.members(path)) == "too-large", kind
        path.write_bytes(made(kind, {str(number): b"" for number in range(10)}))
        assert len(archive.members(path)) == 10
    monkeypatch.setattr(entries, "MAX_NAME_CHARACTERS", 1000)
    path.write_bytes(tarred({str(number) + "x" * 190: b"" for number in range(9)}))
    assert refused(lambda: archive.members(path)) == "too-large"


def test_a_million_empty_members_unpacked_from_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far more headers than may be: the reading stops at the limit, not at the end."""
    monkeypatch.setattr(entries, "MAX_MEMBERS", 500)
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(tarfile.TarInfo("x").tobuf() * 2**17, compresslevel=1))
    assert path.stat().st_size < MIB
    assert peak_of(lambda: refused(lambda: archive.members(path))) < 8 * MIB


def test_the_directory_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    listing = opening._indexed
    monkeypatch.setattr(opening, "_indexed", lambda handle, where: calls.append(where) or listing(handle, where))
    for kind in ("zip", "tar-gz"):
        path = tmp_path / kind
        path.write_bytes(made(kind, {f"f{number}": b"%d" % number for number in range(300)}))
        calls.clear()
        assert len(contents(path)) == 300
        assert len(calls) == 1
        path.write_bytes(made(kind, {"f0": b"another"}))
        assert archive.read_file(path / "f0") == b"another"
        assert len(calls) == 2
    for number in range(9):
        (tmp_path / f"{number}.zip").write_bytes(zipped(FILES))
        archive.members(tmp_path / f"{number}.zip")
    assert len(opening._kept.archives) <= 4


NUMBERED = {f"f{number:03}": random.Random(number).randbytes(3000) for number in range(60)}


def test_threads_share_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "IN_MEMORY", 4096)
    path = tmp_path / "x.tar.gz"
    path.write_bytes(tarred(NUMBERED, "gz"))
    wrong: list[str] = []

    def read(seed: int) -> None:
        names = list(NUMBERED) * 3
        random.Random(seed).shuffle(names)
        wrong.extend(name for name in names if archive.read_file(path / name) != NUMBERED[name])

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_reads_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "IN_MEMORY", 4096)
    path = tmp_path / "x.tar.xz"
    path.write_bytes(tarred(NUMBERED, "xz"))
    assert contents(path) == NUMBERED
    before = opening._kept
    child = os.fork()
    if child == 0:
        own = 1
        try:
            # Its own lock too: a thread of the parent may have held the other.
            own = 0 if contents(path) == NUMBERED and opening._kept.lock is not before.lock else 2
        finally:
            os._exit(own)
    assert contents(path) == NUMBERED
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert opening._kept is before


def test_nothing_is_left_where_another_could_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(unpacked, "IN_MEMORY", 4096)
    path = tmp_path / "x.tar.bz2"
    path.write_bytes(tarred(NUMBERED, "bz2"))
    with archive.open_file(path / "f007") as handle:
        assert list(temporary.iterdir()) == []
        assert handle.read() == NUMBERED["f007"]
    assert sorted(tmp_path.iterdir()) == [temporary, path]


def test_no_room_for_the_unpacked_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    monkeypatch.setattr(unpacked, "IN_MEMORY", 4096)
    path = tmp_path / "x.tar.bz2"
    path.write_bytes(tarred(NUMBERED, "bz2"))
    assert refused(lambda: archive.members(path)) == "unreadable"
