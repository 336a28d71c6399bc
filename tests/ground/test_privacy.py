"""Pseudonyms are keyed, stable, and tell hospitals apart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from medcls.errors import ConfigError
from medcls.privacy import load_pseudonyms


def test_the_key_is_made_once_private_and_used_again(tmp_path: Path) -> None:
    file = tmp_path / "key"
    first = load_pseudonyms(key_file=file)
    assert file.stat().st_mode & 0o077 == 0
    assert load_pseudonyms(key_file=file).patient("123") == first.patient("123")
    assert load_pseudonyms(key_file=tmp_path / "other").patient("123") != first.patient("123")


def test_issuer_patient_and_case_do_not_collide(tmp_path: Path) -> None:
    names = load_pseudonyms(key_file=tmp_path / "key")
    found = {names.patient("1"), names.patient("1", "A"), names.patient("1", "B"), names.patient("2"), names.case("1")}
    assert len(found) == 5
    assert not any(name == "1" for name in found)


def test_identifiers_stay_only_when_asked() -> None:
    assert load_pseudonyms(keep=True).patient("123") == "123"
    assert load_pseudonyms().patient("123") != "123"


@pytest.mark.parametrize(("kind", "said"), [("pipe", "a named pipe"), ("device", "a device"), ("folder", "a folder")])
def test_a_key_is_a_regular_file_and_nothing_else_is_waited_for(tmp_path: Path, kind: str, said: str) -> None:
    path = tmp_path / "key"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(ConfigError, match=said):
        load_pseudonyms(key_file=path)


def test_a_damaged_key_is_an_error_and_not_a_new_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("not hexadecimal")
    with pytest.raises(ConfigError, match="not hexadecimal"):
        load_pseudonyms(key_file=tmp_path / "key")
