"""Messages between a process and its workers: JSON objects, each after its length. And memory that both see."""

from __future__ import annotations

import errno
import json
import os
import struct
from typing import Any, BinaryIO

_LENGTH = struct.Struct("<Q")
MAX_MESSAGE = 1 << 32


def send(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write one message.

    Raises:
        OSError: The other side is gone.
    """
    data = json.dumps(message, separators=(",", ":")).encode("utf-8", "surrogatepass")
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def receive(stream: BinaryIO) -> dict[str, Any]:
    """Read one message.

    Raises:
        EOFError: The other side is gone, or speaks nonsense.
    """
    length = _LENGTH.unpack(exactly(stream, _LENGTH.size))[0]
    if length > MAX_MESSAGE:
        raise EOFError
    try:
        message = json.loads(exactly(stream, length).decode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise EOFError from error
    if not isinstance(message, dict):
        raise EOFError
    return message


def new_memory(name: str, size: int) -> int:
    """A descriptor of ``size`` bytes of memory that another process can be given, and that neither can make smaller or larger.

    Whoever could would end the other: touching mapped memory that is no more is the end of a process (SIGBUS).
    """
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    _sealing().fcntl(descriptor, _sealing().F_ADD_SEALS, _seals())
    return descriptor


def check_memory(descriptor: int, size: int) -> None:
    """Make sure that memory which somebody gave is :func:`new_memory` of ``size`` bytes or more.

    Raises:
        OSError: It is smaller, can become so, or is no memory at all.
    """
    sealed = _sealing().fcntl(descriptor, _sealing().F_GET_SEALS)
    if sealed & _seals() != _seals() or os.fstat(descriptor).st_size < size:
        raise OSError(errno.EPERM, "memory that can be taken away")


def _sealing() -> Any:
    import fcntl  # not on Windows

    return fcntl


def _seals() -> int:
    return int(_sealing().F_SEAL_SHRINK | _sealing().F_SEAL_GROW | _sealing().F_SEAL_SEAL)


def exactly(stream: BinaryIO, count: int) -> bytes:
    """``count`` bytes.

    Raises:
        EOFError: There are fewer.
    """
    parts = []
    while count:
        part = stream.read(min(count, 1 << 24))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
