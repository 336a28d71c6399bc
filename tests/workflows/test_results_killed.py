"""Results of a call that was killed while it replaced earlier ones: of one call alone, and nothing half-written for long."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import medcls
from medcls.errors import StorageError, UsageError
from medcls.runs.folder import Run
from medcls.runs.output_folder import alone, results_folder
from medcls.workflows.commands.evaluate import evaluate_run
from medcls.workflows.reporting.figure_files import write_figure_files
from tests.factories.runs import Pictures


class Killed(BaseException):
    """What nothing catches."""


def _infer(run: Run, pictures: Pictures, out: Path) -> None:
    medcls.infer(pictures.folder / "image1.png", run.path, out, explain=True, overwrite=True)


def _metrics(run: Run, pictures: Pictures, out: Path) -> None:
    write_figure_files(run.path, kind="svg", out=out, overwrite=True)


def _evaluate(run: Run, pictures: Pictures, out: Path) -> None:
    evaluate_run(run, out=out, overwrite=True)


def inodes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_ino for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(("call", "writes"), [(_infer, (0, 1, 3)), (_metrics, (1, 5)), (_evaluate, (3,))])
def test_a_call_that_is_killed_leaves_no_earlier_file_beside_a_later(
    call: Callable[[Run, Pictures, Path], None],
    writes: tuple[int, ...],
    run: Run,
    pictures: Pictures,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = tmp_path / "whole"
    call(run, pictures, whole)
    real = os.replace
    for last in writes:
        out = tmp_path / f"killed-{last}"
        shutil.copytree(whole, out)
        earlier = inodes(out)
        held = [os.open(out / name, os.O_RDONLY) for name in earlier]  # so that no number is given twice
        left = last

        def replace(source: str, target: Path, out: Path = out) -> None:
            nonlocal left
            if Path(target).is_relative_to(out):
                if left == 0:
                    raise Killed
                left -= 1
            real(source, target)

        monkeypatch.setattr(os, "replace", replace)
        with pytest.raises(Killed):
            call(run, pictures, out)
        monkeypatch.setattr(os, "replace", real)
        assert not [name for name, inode in inodes(out).items() if earlier.get(name) == inode]
        for descriptor in held:
            os.close(descriptor)
        call(run, pictures, out)
        assert inodes(out).keys() == inodes(whole).keys()


@pytest.mark.parametrize("call", [_infer, _metrics, _evaluate])
def test_a_call_that_fails_leaves_the_earlier_results_and_none_of_its_own(
    call: Callable[[Run, Pictures, Path], None],
    run: Run,
    pictures: Pictures,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, real, left = tmp_path / "out", os.replace, 4
    call(run, pictures, out)
    earlier = inodes(out)

    def full(source: str, target: Path) -> None:
        nonlocal left
        left -= Path(target).is_relative_to(out)
        if left < 0:
            raise OSError(errno.ENOSPC, "full")
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match="what was finished before is intact"):
        call(run, pictures, out)
    assert inodes(out) == earlier


def test_maps_of_a_killed_call_that_had_no_table_yet_are_not_among_later_ones(
    run: Run, pictures: Pictures, tmp_path: Path
) -> None:
    medcls.infer(pictures.folder / "image1.png", run.path, tmp_path, explain=True)
    for name in ("explanations.csv", "explanations.json"):
        (tmp_path / "explanations" / name).unlink()
    own = tmp_path / "explanations" / "own.png"
    shutil.copy(pictures.folder / "image0.png", own)
    medcls.infer(pictures.folder / "image2.png", run.path, tmp_path, explain=True, overwrite=True)
    assert sorted(path.name.split("--")[0] for path in own.parent.glob("*.png")) == ["image2.png", "own.png"]


def test_what_a_killed_call_left_half_written_is_removed_and_what_others_write_is_not(tmp_path: Path) -> None:
    (tmp_path / "explanations").mkdir()
    left = [tmp_path / ".figures.csv.abcd1234.part", tmp_path / "explanations" / ".a.png.abcd1234.part"]
    others = [tmp_path / ".film.mkv.abcd1234.part", tmp_path / ".figures.csv"]
    for path in left + others:
        path.touch()
    results_folder(tmp_path, tmp_path / "default", ("figures.csv", "explanations/*.png"))
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(others)


def test_results_are_not_written_through_a_link_that_leads_out_of_their_folder(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    out = tmp_path / "out"
    elsewhere.mkdir()
    out.mkdir()
    (out / "explanations").symlink_to(elsewhere)
    with pytest.raises(StorageError, match="explanations is a link that leads out of out"):
        results_folder(out, out, ("predictions.csv", "explanations/*.png"), overwrite=True)


def test_one_call_at_a_time_writes_into_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def second(out: Path | None, overwrite: bool = False) -> Path:
        return alone(results_folder)(out, Path("answers"), ("a.csv",), overwrite=overwrite)

    @alone
    def first(out: Path | None) -> Path:
        folder = results_folder(out, Path("answers"), ("a.csv",))
        for overwrite in (False, True):
            with pytest.raises(UsageError, match="another process writes into it"):
                second(folder, overwrite)
        assert second(None) == Path("answers-2" if folder.name == "answers" else "answers")
        return folder

    for out in (None, Path("out")):
        folder = first(out)
        assert not folder.exists()  # as nothing was written
        folder.mkdir()
        assert second(folder) == folder
        assert folder.exists()
        folder.rmdir()
