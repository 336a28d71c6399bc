"""Reading what anybody may have written: regular files alone, no more of them than is sensible, and JSON without surprises.

A named pipe never ends to be opened, ``/dev/zero`` never ends to be read, and a few bytes of JSON can nest deeper than any
reader. Everything that medcls parses is opened here; what is no scan (tables, configs, run folders, models) is read here, too.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Callable
from typing import Any, BinaryIO

MEBIBYTE = 1 << 20
JSON_BYTES = 32 * MEBIBYTE
WEIGHTS_BYTES = 16 * 1024 * MEBIBYTE
_INTEGER_DIGITS = 40  # a 128-bit state of a random generator has 39
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# Not known on Windows, which has no named pipes among its files, and needs to be told that a file is not text.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def open_regular(path: str | os.PathLike[str], buffering: int = -1) -> BinaryIO:
    """Open a regular file (or a link to one) for reading bytes; anything else is refused, and never waited for.

    Args:
        path: The file.
        buffering: As :func:`open`.

    Raises:
        OSError: There is no file, it may not be read, or it is a folder, a pipe, a socket or a device; its ``strerror`` is a
            clause for people in each case.
    """
    try:
        return open(path, "rb", buffering, opener=_descriptor)
    except ValueError:  # a NUL or a lone surrogate in the name
        raise FileNotFoundError(errno.ENOENT, "no file can have this name", os.fspath(path)) from None


def _descriptor(path: str, flags: int) -> int:
    try:
        descriptor = os.open(path, flags | _FLAGS)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket cannot even be opened
            raise _irregular(path, "a socket or a device") from None
        raise
    try:
        check_regular(os.fstat(descriptor).st_mode, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def check_regular(mode: int, path: str | os.PathLike[str]) -> None:
    """Refuse what ``stat`` says is no regular file.

    Raises:
        OSError: As :func:`open_regular`.
    """
    if not stat.S_ISREG(mode):
        raise _irregular(path, next((name for test, name in _KINDS if test(mode)), "something else"))


def read_bounded(path: str | os.PathLike[str], limit: int) -> bytes:
    """All bytes of a regular file that has no more of them than ``limit``.

    Raises:
        OSError: As :func:`open_regular`; or the file is larger, of which no more than ``limit`` bytes were read.
    """
    with open_regular(path) as handle:
        data = handle.read(limit + 1) if os.fstat(handle.fileno()).st_size <= limit else b""
        if len(data) > limit or os.fstat(handle.fileno()).st_size > limit:
            raise OSError(errno.EFBIG, f"larger than {limit / MEBIBYTE:g} MiB", os.fspath(path))
    return data


def why_unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Why a file could not be read, as the end of 'it cannot be read: …'."""
    if isinstance(error, UnicodeDecodeError):
        return "it is no UTF-8 text"
    reason = error.strerror or "the reason is not known"
    return reason[:1].lower() + reason[1:]


def parse_json(data: bytes | str) -> Any:
    """The value of a JSON text (RFC 8259), strictly: what other readers would take for something else is refused.

    Raises:
        ValueError: It is no UTF-8 text or no JSON, is nested too deeply, gives a key twice, holds a number that is not
            finite or an integer of more than forty digits, or half of a surrogate pair.
    """
    text = data.decode("utf-8") if isinstance(data, bytes) else data
    try:
        value = json.loads(
            text,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_integer,
            object_pairs_hook=_without_twins,
        )
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def read_json(path: str | os.PathLike[str], limit: int = JSON_BYTES) -> Any:
    """The value of a JSON file.

    Raises:
        OSError: As :func:`read_bounded`.
        ValueError: As :func:`parse_json`.
    """
    return parse_json(read_bounded(path, limit))


def _irregular(path: str | os.PathLike[str], kind: str) -> OSError:
    code = errno.EISDIR if kind == "a folder" else errno.EINVAL
    return OSError(code, f"{kind}, and no regular file", os.fspath(path))


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _integer(digits: str) -> int:
    if len(digits) > _INTEGER_DIGITS:
        raise ValueError("an integer is too large")
    return int(digits)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found
