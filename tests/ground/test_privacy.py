"""Pseudonyms are keyed, stable, and tell hospitals apart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from medcls.cli.app import main
from medcls.errors import ConfigError
from medcls.privacy import load_pseudonyms
from medcls.progress import Progress


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


@pytest.mark.parametrize("how", ["variable", "argument"])
def test_a_key_that_is_made_where_one_was_named_is_told(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key, progress = tmp_path / "new" / "key", Progress()
    named = key if how == "argument" else None
    if named is None:
        monkeypatch.setenv("MEDCLS_PSEUDONYM_KEY", str(key))
    load_pseudonyms(key_file=named, progress=progress)
    assert f"there is no {key}: a new pseudonym key is made, so codes differ" in capsys.readouterr().err
    load_pseudonyms(key_file=named, progress=progress)
    assert capsys.readouterr().err == ""


def test_looking_into_a_folder_tells_of_a_new_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDCLS_PSEUDONYM_KEY", str(tmp_path / "key"))
    (tmp_path / "scans").mkdir()
    for argv in (["inspect"], ["infer", "--model", "none"], ["explain", "--model", "none"]):
        monkeypatch.setattr("sys.argv", ["medcls", argv[0], str(tmp_path / "scans"), *argv[1:]])
        main()
        assert "a new pseudonym key is made" in capsys.readouterr().err, argv
        (tmp_path / "key").unlink()
