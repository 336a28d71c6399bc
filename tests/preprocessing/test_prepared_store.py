"""The prepared store: computed once, never stale, never half-written, and nobody's name in it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from blake3 import blake3

from medcls.config.settings import PreprocessingSettings
from medcls.errors import ScanRefused, StorageError
from medcls.preprocessing import PreparedStore, StoredPrepared, build_recipe, prepare_many
from medcls.preprocessing.recipes.recipe import Recipe
from medcls.preprocessing.store.store import default_store_folder
from medcls.scans import read_scan
from medcls.scans.core.leniency import STRICT, Leniency
from tests.conftest import REPOSITORY
from tests.factories.scans import FileSource, picture

torch.set_num_threads(1)

RECIPE = build_recipe("generic", PreprocessingSettings(size=[24, 20]))


@pytest.fixture
def store(tmp_path: Path) -> PreparedStore:
    return PreparedStore(tmp_path / "store")


@pytest.fixture
def prepared_count(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often a recipe really ran."""
    ran: list[int] = []
    real = Recipe.encode
    monkeypatch.setattr(Recipe, "encode", lambda self, scan: (ran.append(1), real(self, scan))[1])
    return ran


def save(folder: Path, name: str, seed: int = 0) -> FileSource:
    return FileSource.save(folder, name, picture(seed=seed).array)


def test_a_stored_result_is_the_computed_one_bit_for_bit(
    tmp_path: Path, store: PreparedStore, prepared_count: list[int]
) -> None:
    source = save(tmp_path, "a")
    first = store.get_or_prepare(source, RECIPE)
    again = store.get_or_prepare(source, RECIPE)
    assert len(prepared_count) == 1
    assert again == first
    direct = RECIPE.prepare(read_scan(source))
    assert np.array_equal(again.read().images, direct.images)
    assert np.array_equal(again.read().affines, direct.affines)
    assert np.array_equal(again.view(0), direct.images[0])
    assert (again.views, again.shape) == (1, (3, 24, 20))
    assert again.attributes == {"sex": "F", "age": "61"}
    assert again.notes == ("read with on_gap=error",)


def test_equal_scans_are_stored_once_and_changed_ones_are_computed_again(tmp_path: Path, store: PreparedStore) -> None:
    first = store.get_or_prepare(save(tmp_path, "a"), RECIPE)
    copy = store.get_or_prepare(save(tmp_path, "b"), RECIPE)
    assert copy.path == first.path
    before = os.stat(tmp_path / "a.npy")
    changed = save(tmp_path, "a", seed=1)
    os.utime(tmp_path / "a.npy", ns=(before.st_atime_ns, before.st_mtime_ns))  # not even the date tells
    other = store.get_or_prepare(changed, RECIPE)
    assert other.path != first.path
    assert other.pixels != first.pixels
    assert np.array_equal(other.read().images, RECIPE.prepare(read_scan(changed)).images)
    assert store.size().entries == 2


def test_recipe_gap_rule_and_part_of_the_file_each_have_their_own_entry(tmp_path: Path, store: PreparedStore) -> None:
    source = save(tmp_path, "a")
    brighter = build_recipe("generic", PreprocessingSettings(size=[24, 20], steps={"gamma": True}))
    paths = {
        store.get_or_prepare(source, RECIPE).path,
        store.get_or_prepare(source, brighter).path,
        store.get_or_prepare(source, RECIPE, leniency=Leniency(on_gap="warn")).path,
        store.get_or_prepare(replace(source, part="echo 2"), RECIPE).path,
    }
    assert len(paths) == 4


def test_the_order_of_files_counts_and_their_borders_too(tmp_path: Path, store: PreparedStore) -> None:
    from medcls.preprocessing.store.store import content_digest

    names = {"a": b"xy", "b": b"z", "c": b"x", "d": b"yz"}
    for name, data in names.items():
        (tmp_path / name).write_bytes(data)
    digests = {
        content_digest(FileSource("s", tuple(tmp_path / name for name in order))) for order in ("ab", "ba", "cd", "abc")
    }
    assert len(digests) == 4


@pytest.mark.parametrize("damage", ["cut", "header", "empty", "text", "swapped"])
def test_a_damaged_entry_is_computed_again(tmp_path: Path, store: PreparedStore, damage: str) -> None:
    source = save(tmp_path, "a")
    stored = store.get_or_prepare(source, RECIPE)
    good = stored.read().images
    data = bytearray(stored.path.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "header":
        data[300] ^= 0x10
    elif damage == "empty":
        data = bytearray()
    elif damage == "text":
        data = bytearray(b"not a tensor at all")
    else:
        data = bytearray(store.get_or_prepare(save(tmp_path, "b", seed=5), RECIPE).path.read_bytes())
    stored.path.write_bytes(bytes(data))
    assert store.find(source, RECIPE) is None
    assert np.array_equal(store.get_or_prepare(source, RECIPE).read().images, good)
    assert store.find(source, RECIPE) is not None


def test_any_flipped_bit_is_noticed_before_it_is_served(tmp_path: Path, store: PreparedStore) -> None:
    source = save(tmp_path, "a")
    stored = store.get_or_prepare(source, RECIPE)
    good, data = stored.read().images, stored.path.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(data), 150):
        broken = bytearray(data)
        broken[place] ^= 1 << int(place) % 8
        stored.path.write_bytes(bytes(broken))
        opened = store.find(source, RECIPE)
        if opened is not None:
            with pytest.raises(StorageError, match="damaged"):
                opened.view(0)
            assert not stored.path.exists()
        assert np.array_equal(store.get_or_prepare(source, RECIPE).read().images, good)


def test_an_entry_that_is_cut_or_gone_after_it_was_opened_is_one_line(tmp_path: Path, store: PreparedStore) -> None:
    stored = store.get_or_prepare(save(tmp_path, "a"), RECIPE)
    data = stored.path.read_bytes()
    stored.path.write_bytes(data[:-4096])
    with pytest.raises(StorageError, match="damaged"):
        stored.view(0)
    with pytest.raises(StorageError, match="Start again"):
        stored.view(0)


def test_a_process_killed_while_writing_leaves_no_entry(tmp_path: Path, store: PreparedStore) -> None:
    source = save(tmp_path, "a")
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(REPOSITORY)!r})
import medcls.files
real = os.replace
os.replace = lambda a, b: os.kill(os.getpid(), signal.SIGKILL) if str(b).endswith(".safetensors") else real(a, b)
from tests.preprocessing.test_prepared_store import RECIPE, FileSource, Path, PreparedStore
PreparedStore({str(store.folder)!r}).get_or_prepare(FileSource("a", (Path({str(source.paths[0])!r}),)), RECIPE)
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert [path for path in store.folder.glob("??/.*") if path.suffix == ".part"]
    assert store.size().entries == 0
    assert store.find(source, RECIPE) is None
    assert store.get_or_prepare(source, RECIPE).views == 1
    assert not list(store.folder.glob("??/.*"))
    store.clear()
    assert not list(store.folder.glob("??/*")) + list(store.folder.glob("??/.*"))


def test_only_the_owner_may_read_and_nobody_is_named(tmp_path: Path, store: PreparedStore) -> None:
    stored = store.get_or_prepare(save(tmp_path, "DOE-1"), RECIPE)
    assert stat.S_IMODE(stored.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(stored.path.parent.stat().st_mode) == 0o700
    assert str(tmp_path) not in repr(stored)
    for path in store.folder.rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert b"DOE" not in path.read_bytes()
            assert tmp_path.name.encode() not in path.read_bytes()


def test_clearing_removes_entries_and_nothing_else(tmp_path: Path, store: PreparedStore) -> None:
    store.get_or_prepare(save(tmp_path, "a"), RECIPE)
    (store.folder / "mine.txt").write_text("keep")
    (store.folder / "deep" / "er").mkdir(parents=True)
    (store.folder / "deep" / "er" / "x.safetensors").write_text("keep")
    held = store.clear()
    assert held.entries == 1
    assert held.bytes > 24 * 20
    assert store.size().entries == 0
    left = {path.name for path in store.folder.rglob("*") if path.is_file() and path.parent.name != "running"}
    assert left == {"mine.txt", "x.safetensors", "store.lock", "known.key"}
    assert PreparedStore(tmp_path / "none").clear().entries == 0


def test_the_store_lies_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEDCLS_CACHE", str(tmp_path / "cache"))
    assert PreparedStore().folder == tmp_path / "cache" / "prepared"
    monkeypatch.delenv("MEDCLS_CACHE")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_store_folder() == tmp_path / "xdg" / "medcls" / "prepared"


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, store: PreparedStore) -> None:
    class Changing(FileSource):
        def read(self, *, leniency: Leniency = STRICT):  # type: ignore[no-untyped-def, override]
            scan = super().read()
            save(tmp_path, "a", seed=9)
            os.utime(self.paths[0], ns=(1, 1))
            return scan

    with pytest.raises(ScanRefused) as caught:
        store.get_or_prepare(Changing("a", save(tmp_path, "a").paths), RECIPE)
    assert caught.value.code == "changed"
    assert store.size().entries == 0


def test_a_full_disk_is_one_line(tmp_path: Path, store: PreparedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    source = save(tmp_path, "a")
    store.find(source, RECIPE)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="no space left"):
        store.get_or_prepare(source, RECIPE)
    assert not [path for path in store.folder.glob("??/*") if path.is_file()]


def mixed(folder: Path) -> list[FileSource]:
    good = [save(folder, f"good{seed}", seed=seed) for seed in range(4)]
    cut = FileSource.save(folder, "cut", np.ones((1, 4, 4), bool))
    four = FileSource.save(folder, "four", np.ones((4, 8, 8), np.uint8))
    gone = FileSource("gone", (folder / "gone.npy",))
    return [good[0], cut, good[1], gone, four, good[2], good[3]]


def codes(outcomes: tuple[StoredPrepared | ScanRefused, ...]) -> list[str]:
    return [outcome.code if isinstance(outcome, ScanRefused) else "" for outcome in outcomes]


def test_bad_scans_cost_their_own_rows_alone(tmp_path: Path, store: PreparedStore, prepared_count: list[int]) -> None:
    sources = mixed(tmp_path)
    outcomes = prepare_many(sources, RECIPE, store)
    assert codes(outcomes) == ["", "damaged", "", "unreadable", "unfit", "", ""]
    for source, outcome in zip(sources, outcomes, strict=True):
        if isinstance(outcome, StoredPrepared):
            assert np.array_equal(outcome.read().images, RECIPE.prepare(read_scan(source)).images)
        else:
            assert outcome.where == source.name
    ran = len(prepared_count)
    assert codes(prepare_many(sources, RECIPE, store)) == codes(outcomes)
    assert len(prepared_count) - ran == 1  # only the refused one was tried again


def test_processes_give_the_same_and_survive_a_scan_that_kills_them(tmp_path: Path, store: PreparedStore) -> None:
    deadly = FileSource.save(tmp_path, "deadly", np.ones((1, 4, 4), np.int8))
    sources = [save(tmp_path, "x"), deadly, FileSource.save(tmp_path, "cut", np.ones((1, 4, 4), bool))]
    outcomes = prepare_many(sources, RECIPE, store, processes=2)
    assert codes(outcomes) == ["", "damaged", "damaged"]
    assert isinstance(outcomes[1], ScanRefused)
    assert "died" in str(outcomes[1])
    assert isinstance(outcomes[0], StoredPrepared)
    assert np.array_equal(outcomes[0].read().images, RECIPE.prepare(read_scan(sources[0])).images)


def test_nothing_to_prepare_is_no_trouble(store: PreparedStore) -> None:
    assert prepare_many([], RECIPE, store) == ()


def forged(entry: bytes, key: str, content: str, secret: bytes | None, *, views: int = 1) -> bytes:
    """An entry of another scan, which says that it is the one that is looked for, with checksums that fit."""
    length = int.from_bytes(entry[:8], "little")
    header = json.loads(entry[8 : 8 + length])
    about = header["__metadata__"]
    about |= {"key": key, "content": content}
    header["images"]["shape"][0] = views
    said = {name: value for name, value in about.items() if name != "check"}
    text = json.dumps([said, header["images"]["shape"]], sort_keys=True).encode("utf-8")
    digest = blake3(text, key=secret) if secret is not None else blake3(text)
    about["check"] = digest.hexdigest(length=len(about["check"]) // 2)
    head = json.dumps(header, separators=(",", ":")).encode("utf-8")
    return len(head).to_bytes(8, "little") + head + entry[8 + length :]


@pytest.mark.parametrize("secret", ["none", "zeros", "another"])
def test_an_entry_that_was_made_elsewhere_is_not_believed(tmp_path: Path, store: PreparedStore, secret: str) -> None:
    source, other = save(tmp_path, "a"), save(tmp_path, "b", seed=5)
    elsewhere = PreparedStore(tmp_path / "elsewhere")
    foreign = elsewhere.get_or_prepare(other, RECIPE)
    stored = store.get_or_prepare(source, RECIPE)
    good = stored.read().images
    key = {"none": None, "zeros": bytes(32), "another": (elsewhere.folder / "known.key").read_bytes()}[secret]
    stored.path.write_bytes(forged(foreign.path.read_bytes(), stored.path.stem, stored.content, key))
    assert store.find(source, RECIPE) is None
    assert np.array_equal(store.get_or_prepare(source, RECIPE).read().images, good)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "nested", "huge shape"])
def test_what_is_no_entry_is_not_waited_for_and_gives_way(tmp_path: Path, store: PreparedStore, kind: str) -> None:
    source = save(tmp_path, "a")
    stored = store.get_or_prepare(source, RECIPE)
    entry = stored.path.read_bytes()
    stored.path.unlink()
    if kind == "pipe":
        os.mkfifo(stored.path)
    elif kind == "device":
        stored.path.symlink_to("/dev/zero")
    elif kind == "folder":
        stored.path.mkdir()
    elif kind == "nested":
        stored.path.write_bytes((100_000).to_bytes(8, "little") + b"[" * 100_000)
    else:
        secret = (store.folder / "known.key").read_bytes()
        stored.path.write_bytes(forged(entry, stored.path.stem, stored.content, secret, views=1 << 63))
    assert store.find(source, RECIPE) is None
    if kind != "folder":
        assert np.array_equal(
            store.get_or_prepare(source, RECIPE).read().images, RECIPE.prepare(read_scan(source)).images
        )


def test_a_stores_own_key_that_is_no_file_is_one_line(tmp_path: Path, store: PreparedStore) -> None:
    store.folder.mkdir()
    os.mkfifo(store.folder / "known.key")
    with pytest.raises(StorageError, match="a named pipe"):
        store.get_or_prepare(save(tmp_path, "a"), RECIPE)
