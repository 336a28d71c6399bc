"""Where results go when no folder is named, and that none is overwritten unasked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medcls.errors import UsageError
from medcls.files import check_writable, storage_error
from medcls.leftovers import PART, sweep
from medcls.names import within


def results_folder(out: Path | None, default: Path, files: Sequence[str], *, overwrite: bool = False) -> Path:
    """The folder for results.

    Args:
        out: The folder that was asked for; it may exist, but must hold none of ``files`` unless ``overwrite``.
        default: Taken when none was asked for, with a number when it holds results.
        files: Names of the files that will be written, or patterns of them.
        overwrite: Replace earlier results.

    Raises:
        UsageError: The folder that was asked for holds results, or is no folder.
        StorageError: The default, or a folder within the one that is taken, is a link that leads elsewhere, or nothing can be
            written there.
    """
    folder = default if out is None else out
    check_writable(folder)
    if overwrite or not _held(folder, files):
        return _ready(folder if out is not None else within(default.parent, folder), files)
    if out is not None:
        raise UsageError(
            f"the folder has results already ({_held(folder, files)[0]})",
            where=str(folder),
            remedy="Choose another --out FOLDER, or replace them with --overwrite",
        )
    number = 2
    while _held(numbered := default.with_name(f"{default.name}-{number}"), files):
        number += 1
    return _ready(within(default.parent, numbered), files)


def discard_earlier(folder: Path, files: Sequence[str]) -> None:
    """Remove these results of an earlier call, when those that replace them are known and about to be written.

    So a call that is killed between two files leaves none of the earlier beside one of the later.
    """
    for name in files:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, folder / name) from error


def _ready(folder: Path, files: Sequence[str]) -> Path:
    """A folder without what killed calls left half-written, in which no link leads out of it."""
    for place, name in {((folder / name).parent, Path(name).name) for name in files}:
        within(folder, place)
        sweep(place.glob(f".{name}.????????{PART}"))
    return folder


def _held(folder: Path, files: Sequence[str]) -> list[str]:
    return [file.relative_to(folder).as_posix() for name in files for file in sorted(folder.glob(name))]
