"""Files appear whole or not at all."""

from __future__ import annotations

import csv
import errno
import os
from pathlib import Path
from typing import IO

import pytest

from medcls import files
from medcls.errors import StorageError


def test_a_failure_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "metrics.json"
    files.write_json(target, {"auc": 0.9})

    def interrupted(handle: IO[bytes]) -> None:
        handle.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_with(target, interrupted)
    assert files.read_json(target) == {"auc": 0.9}
    assert os.listdir(tmp_path) == ["metrics.json"]


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "metrics.json"
    files.write_json(target, {"auc": 0.9})

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left"):
        files.write_json(target, {"auc": 0.1})
    assert files.read_json(target) == {"auc": 0.9}
    assert os.listdir(tmp_path) == ["metrics.json"]


def test_private_files_are_the_owners_alone(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "key", b"secret", private=True)
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0


def test_no_cell_can_start_a_formula(tmp_path: Path) -> None:
    files.write_csv(tmp_path / "t.csv", ["a", "b"], [{"a": "=HYPERLINK(1)", "b": None}, {"a": "x", "b": -1.5}])
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as handle:
        assert list(csv.reader(handle)) == [["a", "b"], ["'=HYPERLINK(1)", ""], ["x", "-1.5"]]


def test_what_is_written_as_a_table_is_read_back(tmp_path: Path) -> None:
    row = {"a": "-12", "b": "'=x", "c": "plain"}
    files.write_csv(tmp_path / "t.csv", list(row), [row])
    assert files.read_csv(tmp_path / "t.csv") == [row]


def test_json_never_holds_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "x.json", {"auc": float("nan")})
    assert not (tmp_path / "x.json").exists()
