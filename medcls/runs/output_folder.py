"""Where results go when no folder is named, that none is overwritten unasked, and that one call at a time writes there."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import ParamSpec, TypeVar

from medcls.errors import UsageError
from medcls.files import check_writable, storage_error
from medcls.leftovers import PART, sweep
from medcls.names import within

P = ParamSpec("P")
R = TypeVar("R")
_CALL: ContextVar[contextlib.ExitStack | None] = ContextVar("call", default=None)


def alone(verb: Callable[P, R]) -> Callable[P, R]:
    """Let nobody else write into the :func:`results_folder` of a verb until it ends, however that is."""

    @functools.wraps(verb)
    def call(*args: P.args, **options: P.kwargs) -> R:
        with contextlib.ExitStack() as stack:
            before = _CALL.set(stack)
            stack.callback(_CALL.reset, before)
            return verb(*args, **options)

    return call


def results_folder(out: Path | None, default: Path, files: Sequence[str], *, overwrite: bool = False) -> Path:
    """The folder for results.

    Args:
        out: The folder that was asked for; it may exist, but must hold none of ``files`` unless ``overwrite``.
        default: Taken when none was asked for, with a number when it holds results.
        files: Names of the files that will be written, or patterns of them.
        overwrite: Replace earlier results.

    Raises:
        UsageError: The folder that was asked for holds results, is no folder, or another process writes into it.
        StorageError: The default, or a folder within the one that is taken, is a link that leads elsewhere, or nothing can be
            written there.
    """
    folder = default if out is None else out
    check_writable(folder)
    free = _claimed(folder)
    if free and (overwrite or not _held(folder, files)):
        return _ready(folder if out is not None else within(default.parent, folder), files)
    if out is not None:
        what = (
            f"the folder has results already ({_held(folder, files)[0]})" if free else "another process writes into it"
        )
        remedy = "Choose another --out FOLDER, or " + (
            "replace them with --overwrite" if free else "wait until it has ended"
        )
        raise UsageError(what, where=str(folder), remedy=remedy)
    number = 2
    while not _claimed(numbered := default.with_name(f"{default.name}-{number}")) or _held(numbered, files):
        number += 1
    return _ready(within(default.parent, numbered), files)


def discard_earlier(folder: Path, files: Sequence[str]) -> None:
    """Remove these results of an earlier call, when those that replace them are known and about to be written.

    So a call that is killed between two files leaves none of the earlier beside one of the later.
    """
    discard(lambda: [folder / name for name in files if os.path.lexists(folder / name)])


def discard(find: Callable[[], Sequence[Path]]) -> None:
    """Set aside what is found until the verb ends well; where it fails, it comes back in place of what the verb wrote.

    Args:
        find: Finds the files of the kind that are there.

    Raises:
        StorageError: The folder may not be written to.
    """
    stack, moved = _CALL.get(), dict[Path, Path]()

    def end(kind: type[BaseException] | None, *_: object) -> None:
        failed = kind is not None and issubclass(kind, Exception | KeyboardInterrupt)
        with contextlib.suppress(OSError):
            for file in find() if failed and moved else ():
                file.unlink()
        for file, aside in moved.items():
            with contextlib.suppress(OSError):
                aside.rename(file) if failed else aside.unlink()

    if stack is not None:
        stack.push(end)
    for file in find():
        try:
            aside = file.with_name(f".{file.name}.{secrets.token_hex(4)}{PART}")
            file.rename(aside)
        except OSError as error:
            raise storage_error(error, file) from error
        moved[file] = aside
    if stack is None:
        end(None)


def _ready(folder: Path, files: Sequence[str]) -> Path:
    """A folder without what killed calls left half-written, in which no link leads out of it."""
    for place, name in {((folder / name).parent, Path(name).name) for name in files}:
        within(folder, place)
        sweep(place.glob(f".{name}.????????{PART}"))
    return folder


def _held(folder: Path, files: Sequence[str]) -> list[str]:
    return [file.relative_to(folder).as_posix() for name in files for file in sorted(folder.glob(name))]


def _claimed(folder: Path) -> bool:
    """Whether the verb that asks has the folder for itself; it has where the file system or Windows knows no such locks."""
    stack = _CALL.get()
    if stack is None or sys.platform == "win32":
        return True
    import fcntl

    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            stack.callback(_drop_if_empty, folder)
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, descriptor)
    except OSError as error:
        raise storage_error(error, folder) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _drop_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
