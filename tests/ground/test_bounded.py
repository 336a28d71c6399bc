"""What anybody may have written is read within bounds, or refused at once with a reason."""

from __future__ import annotations

import errno
import json
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcls.bounded import open_regular, parse_json, read_bounded, read_json, why_unreadable

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**127), 2**127)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def irregular(folder: Path, kind: str) -> Path:
    path = folder / "it"
    if kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    return path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("kind", ["a named pipe", "a folder", "a device", "a socket"])
def test_only_regular_files_are_opened_and_nothing_is_waited_for(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name may not be long
    path = irregular(Path(), kind)
    with pytest.raises(OSError, match=kind) as caught:
        open_regular(path)
    assert why_unreadable(caught.value).startswith(kind)
    assert caught.value.filename == str(path)


def test_a_link_to_a_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    assert read_bounded(tmp_path / "link", 3) == b"abc"


def test_no_more_is_read_than_the_limit(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"")
    os.truncate(tmp_path / "large", 1 << 40)  # a sparse terabyte
    with pytest.raises(OSError, match="larger than 1 MiB") as caught:
        read_bounded(tmp_path / "large", 1 << 20)
    assert caught.value.errno == errno.EFBIG


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_name_that_no_file_can_have_is_that_of_no_file(name: str) -> None:
    with pytest.raises(FileNotFoundError):
        open_regular(name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"a": 1, "a": 2}', "given twice"),
        ("NaN", "NaN is no JSON"),
        ("-Infinity", "Infinity is no JSON"),
        ("1e999", "too large"),
        ("1" * 41, "too large"),
        ("9" * 100_000, "too large"),
        (r'"\ud800"', "surrogates"),
        (r'{"\uDFFF": 1}', "surrogates"),
        ("{", "Expecting"),
        ("", "Expecting"),
    ],
)
def test_json_that_others_would_take_for_something_else_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_json(text)


def test_bytes_that_are_no_text_are_no_json() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        parse_json(b'"\xff"')


@given(PLAIN, st.booleans())
def test_what_was_written_is_read_back(value: object, ascii_alone: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_alone).encode("utf-8")) == value


def test_a_large_json_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[]" + " " * 100, encoding="ascii")
    assert read_json(tmp_path / "a.json") == []
    with pytest.raises(OSError, match="larger than"):
        read_json(tmp_path / "a.json", 50)
