"""Messages between a process and its workers: JSON objects, each after its length."""

from __future__ import annotations

import json
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
