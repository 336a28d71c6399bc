"""Files appear whole or not at all."""

from __future__ import annotations

import csv
import errno
import os
import tempfile
from pathlib import Path
from typing import IO

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from medcls import bounded, files
from medcls.errors import StorageError


def test_a_failure_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "metrics.json"
    files.write_json(target, {"auc": 0.9})

    def interrupted(handle: IO[bytes]) -> None:
        handle.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_with(target, interrupted)
    assert bounded.read_json(target) == {"auc": 0.9}
    assert os.listdir(tmp_path) == ["metrics.json"]


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "metrics.json"
    files.write_json(target, {"auc": 0.9})

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left"):
        files.write_json(target, {"auc": 0.1})
    assert bounded.read_json(target) == {"auc": 0.9}
    assert os.listdir(tmp_path) == ["metrics.json"]


@pytest.mark.parametrize(("number", "remedy"), [(errno.EACCES, "permissions"), (errno.ENOSPC, "Free some space")])
def test_the_remedy_is_of_what_went_wrong(tmp_path: Path, number: int, remedy: str) -> None:
    said = str(files.storage_error(OSError(number, "no"), tmp_path / "a.json"))
    assert remedy in said
    assert ("Free some space" in said) == (number == errno.ENOSPC)


def test_private_files_are_the_owners_alone(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "key", b"secret", private=True)
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0


def test_no_cell_can_start_a_formula(tmp_path: Path) -> None:
    files.write_csv(tmp_path / "t.csv", ["a", "b"], [{"a": "=HYPERLINK(1)", "b": None}, {"a": "x", "b": -1.5}])
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as handle:
        assert list(csv.reader(handle)) == [["a", "b"], ["'=HYPERLINK(1)", ""], ["x", "-1.5"]]


PLAIN = st.characters(exclude_categories=["C", "Z"], include_characters=" \n\u00a0")
CELLS = st.text(PLAIN, max_size=8) | st.text("\n,\"'=-＝ a\\", max_size=6)


@given(st.lists(CELLS, min_size=1, max_size=4, unique=True), st.data())
@example(["a", "b"], None)
@settings(deadline=None)
def test_what_is_written_as_a_table_is_read_back(columns: list[str], data: st.DataObject | None) -> None:
    row = st.tuples(*[CELLS] * len(columns)).map(lambda cells: dict(zip(columns, cells, strict=True)))
    rows = data.draw(st.lists(row, max_size=4)) if data else [{"a": "one\ntwo", "b": "\n"}, {"a": "-12", "b": "'=x"}]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.csv")
        files.write_csv(path, columns, rows)
        assert files.read_csv(path) == rows
        assert path.read_bytes().endswith(b"\n")
        assert not path.read_bytes().endswith(b"\r\n")


@given(st.lists(st.text(), min_size=2, max_size=2, unique=True))
@example(["\x1b]0;x\x07", "\u202ex\u200b"])
@example(["\udcff", "\ud800=1"])
@settings(deadline=None)
def test_no_cell_can_steer_a_terminal_and_two_cells_stay_two(cells: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.csv")
        files.write_csv(path, cells, [dict(zip(cells, cells, strict=True))])
        assert (
            path.read_text(encoding="utf-8").replace("\n", "").replace("\u00a0", "").replace("\u202f", "").isprintable()
        )
        (row,) = files.read_csv(path)
        assert len(row) == 2 or any("\\" in cell for cell in cells)


def test_json_never_holds_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "x.json", {"auc": float("nan")})
    assert not (tmp_path / "x.json").exists()
