"""Where results go when no folder is named, and that none is overwritten unasked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medcls.errors import UsageError
from medcls.files import check_writable
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
        StorageError: The default is a link that leads elsewhere, or nothing can be written there.
    """
    folder = default if out is None else out
    check_writable(folder)
    if overwrite or not _held(folder, files):
        return folder if out is not None else within(default.parent, folder)
    if out is not None:
        raise UsageError(
            f"the folder has results already ({_held(folder, files)[0]})",
            where=str(folder),
            remedy="Choose another --out FOLDER, or replace them with --overwrite",
        )
    number = 2
    while _held(numbered := default.with_name(f"{default.name}-{number}"), files):
        number += 1
    return within(default.parent, numbered)


def _held(folder: Path, files: Sequence[str]) -> list[str]:
    return [file.relative_to(folder).as_posix() for name in files for file in sorted(folder.glob(name))]
