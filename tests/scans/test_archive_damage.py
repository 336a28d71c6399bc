"""Whatever is damaged in an archive, every file that went in comes out, or the archive is refused: nothing is lost."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator

import pytest

from medcls.scans import find_scans
from medcls.scans.probe.probe import probe
from tests.factories.archives import made, tarred, zipped

FILES = {
    "a/IM0001": b"one" * 300,
    "a/IM0002": b"",
    "b/x.nii": bytes(range(256)) * 3,
    "n" * 120 + "/long": b"x" * 30,  # takes a header of its own
    "last": b"z" * 600,
}
BLOCK = 512
FORMS = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT, "ustar": tarfile.USTAR_FORMAT}


def cut(data: bytes, step: int) -> Iterator[bytes]:
    return (data[:length] for length in range(0, len(data), step))


def flipped(data: bytes, step: int) -> Iterator[bytes]:
    for at in range(0, len(data), step):
        for value in (0, data[at] ^ 0x10, data[at] ^ 0xFF):
            yield data[:at] + bytes([value]) + data[at + 1 :]


def without_a_block(data: bytes) -> Iterator[bytes]:
    return (data[:at] + bytes(BLOCK) + data[at + BLOCK :] for at in range(0, len(data), BLOCK))


def with_wrong_headers(data: bytes) -> Iterator[bytes]:
    """Sizes and kinds that are wrong, under a right checksum and a wrong one."""
    for at in range(0, len(data), BLOCK):
        header = data[at : at + BLOCK]
        if header[257:262] != b"ustar":
            continue
        for start, value in (
            (124, b"77777777777"),
            (124, b"00000001001"),
            (124, b"\xff" * 12),
            (156, b"Q"),
            (148, b"1"),
        ):
            wrong = header[:start] + value + header[start + len(value) :]
            if start != 148:
                blank = wrong[:148] + b" " * 8 + wrong[156:]
                yield data[:at] + blank[:148] + b"%06o\0 " % sum(blank) + blank[156:] + data[at + BLOCK :]
            yield data[:at] + wrong + data[at + BLOCK :]


def with_wrong_records(data: bytes) -> Iterator[bytes]:
    """A pax header whose records are of another length, or hold a size that is none."""
    for old in (b" path=", b" mtime=", b" size="):
        for new in (old.replace(b"=", b"-"), old.replace(b" ", b"9")):
            yield data.replace(old, new, 1)
    yield data.replace(b"\n", b"\0", 1)


DAMAGES = {
    **{f"{name} cut": lambda form=form: cut(tarred(FILES, "", form), BLOCK // 2) for name, form in FORMS.items()},
    **{f"{name} zeros": lambda form=form: without_a_block(tarred(FILES, "", form)) for name, form in FORMS.items()},
    **{f"{name} header": lambda form=form: with_wrong_headers(tarred(FILES, "", form)) for name, form in FORMS.items()},
    "pax records": lambda: with_wrong_records(tarred(FILES, "", tarfile.PAX_FORMAT)),
    **{f"{packing} cut": lambda packing=packing: cut(tarred(FILES, packing), 3) for packing in ("gz", "bz2", "xz")},
    **{
        f"{packing} flipped": lambda packing=packing: flipped(tarred(FILES, packing), 5)
        for packing in ("gz", "bz2", "xz")
    },
    **{f"{kind} cut": lambda kind=kind: cut(made(kind, FILES), 3) for kind in ("zip", "zip-stored", "zip-bz2")},
    **{f"{kind} flipped": lambda kind=kind: flipped(made(kind, FILES), 1) for kind in ("zip", "zip-stored", "zip-bz2")},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_is_lost_in_silence(tmp_path, damage):
    path = tmp_path / "study"
    for number, data in enumerate(DAMAGES[damage]()):
        path.write_bytes(data)
        found = probe(str(path))
        hidden = sum(name in data for name in (b"/.", b"\0."))  # a name that became that of a hidden folder
        assert found.refused or found.ignored or len(found.members) >= len(FILES) - hidden, f"{damage} {number}"


def test_a_header_of_a_name_without_its_member_is_damage(tmp_path):
    data = tarred({"a": b"1", "n" * 120: b""}, "", tarfile.GNU_FORMAT)
    (tmp_path / "study.tar").write_bytes(data[: 4 * BLOCK] + bytes(20 * BLOCK))
    (item,) = find_scans(tmp_path).refused
    assert (item.name, item.code) == ("study.tar", "damaged")


@pytest.mark.parametrize(
    "data", [zipped({}), zipped({"a/": b""}), tarred({".git/x": b"1"}), zipped({"__MACOSX/._x": b"1"})]
)
def test_an_archive_that_holds_nothing_to_look_at_says_so(tmp_path, data):
    (tmp_path / "study").write_bytes(data)
    (item,) = find_scans(tmp_path).refused
    assert "holds no files" in item.reason
