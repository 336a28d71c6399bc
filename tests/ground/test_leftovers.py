"""What killed processes left half-written is removed by the next one; what anybody still writes never is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from medcls import files
from medcls.errors import RunError
from medcls.leftovers import sweep, temporary_folder
from medcls.runs.folder import Run, new_run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be killed so there")

FIRST = ("cohort.csv", "audit.json", "training-cases.csv", "folds.csv")


def killed(code: str) -> None:
    """Run a program that is to kill itself."""
    done = subprocess.run([sys.executable, "-c", f"import os, signal\n{code}"], check=False, stderr=subprocess.PIPE)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


DIE = "os.kill(os.getpid(), signal.SIGKILL)"


def half_written(target: Path) -> Path:
    killed(f"from medcls.files import whole_file\nwith whole_file({str(target)!r}) as handle: {DIE}")
    (part,) = target.parent.glob(f".{target.name}.*.part")
    return part


def test_the_half_written_file_of_a_killed_process_goes_and_that_of_a_living_one_stays(tmp_path):
    left = half_written(tmp_path / "a.json")
    (tmp_path / "notes.part").write_text("mine")
    with files.whole_file(tmp_path / "b.json") as handle:
        handle.write(b"{}")
        sweep(tmp_path.glob(".*.part"))
        assert not left.exists()
        assert len(list(tmp_path.glob(".b.json.*.part"))) == 1
    assert sorted(os.listdir(tmp_path)) == ["b.json", "notes.part"]


def test_a_file_is_its_writers_until_it_has_its_name(tmp_path, monkeypatch):
    replace = os.replace

    def swept(source, target):
        sweep(tmp_path.glob(".*.part"))
        replace(source, target)

    monkeypatch.setattr(os, "replace", swept)
    files.write_text(tmp_path / "a.txt", "whole")
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_a_file_that_is_swept_before_it_is_claimed_is_made_again(tmp_path, monkeypatch):
    make, made = tempfile.mkstemp, []

    def swept(**options):
        made.append(make(**options))
        if len(made) == 1:
            sweep(tmp_path.glob(".*.part"))
        return made[-1]

    monkeypatch.setattr(tempfile, "mkstemp", swept)
    files.write_text(tmp_path / "a.txt", "whole")
    assert len(made) == 2
    assert os.listdir(tmp_path) == ["a.txt"]


def test_temporary_folders_of_killed_processes_go_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "medcls-data").mkdir()
    (tmp_path / "medcls-data" / "scan").touch()
    inside = "with temporary_folder() as folder: (folder / 'last.ckpt').write_text('x')"
    killed(f"from medcls.leftovers import temporary_folder\n{inside}; {DIE}")
    (left,) = tmp_path.glob("medcls-*/last.ckpt")
    elsewhere = tmp_path / "elsewhere"
    left.parent.rename(elsewhere)
    (tmp_path / "medcls-link").symlink_to(elsewhere)
    killed(f"from medcls.leftovers import temporary_folder\n{inside}; {DIE}")
    with temporary_folder() as first:
        with temporary_folder() as second:
            assert first.is_dir()
            assert {one.name for one in tmp_path.glob("medcls-*")} == {
                "medcls-data",
                "medcls-link",
                first.name,
                second.name,
            }
        assert not second.exists()
    assert not first.exists()
    assert (elsewhere / "last.ckpt").exists()
    assert (tmp_path / "medcls-data" / "scan").exists()


def begun(folder: Path, *names: str) -> Path:
    """A run folder as a process that was killed leaves it."""
    folder.mkdir(parents=True)
    (folder / ".lock").touch()
    for name in names:
        (folder / name).write_text("old")
    return folder


def test_whoever_goes_on_with_a_run_removes_what_is_half_written_in_it(tmp_path):
    run = Run(tmp_path / "run")
    (run.checkpoints).mkdir(parents=True)
    left = half_written(run.checkpoints / "last.ckpt")
    with run.locked():
        assert not left.exists()


def test_a_run_that_was_killed_before_it_began_gives_its_name_back(tmp_path):
    folder = begun(tmp_path / "lung", *FIRST)
    half_written(folder / "config.yaml")
    run = new_run(tmp_path, "lung", exact=True)
    assert run.path == folder
    assert not [one for one in folder.iterdir() if one.name != ".lock"]
    with run.locked():
        pass


@pytest.mark.parametrize("more", ["config.yaml", "my-notes.txt", "checkpoints/last.ckpt"])
def test_a_run_that_began_or_holds_anything_else_keeps_its_name(tmp_path, more):
    folder = begun(tmp_path / "lung", *FIRST)
    (folder / more).parent.mkdir(exist_ok=True)
    (folder / more).touch()
    assert new_run(tmp_path, "lung", exact=False).path.name == "lung-2"
    with pytest.raises(RunError, match="exists"):
        new_run(tmp_path, "lung", exact=True)
    assert all((folder / name).read_text() == "old" for name in FIRST)


def test_a_run_that_another_process_is_beginning_keeps_its_name(tmp_path):
    folder = begun(tmp_path / "lung", *FIRST)
    with Run(folder).locked():
        assert new_run(tmp_path, "lung", exact=False).path.name == "lung-2"
    assert (folder / "cohort.csv").read_text() == "old"


def test_of_two_processes_that_begin_one_run_the_second_says_so(tmp_path):
    first, second = (new_run(tmp_path, "lung", exact=True) for _ in range(2))
    with first.locked():
        with (
            pytest.raises(RunError, match=r"another process is at work in this run\. Wait until it has ended"),
            second.locked(),
        ):
            pass
        first.config_file.write_text("seed: 1")
    with pytest.raises(RunError, match="another process has begun this run"), second.locked():
        pass
    assert first.config_file.read_text() == "seed: 1"
