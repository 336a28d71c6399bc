"""Amounts of memory, as people write them."""

from __future__ import annotations

import re

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)


def bytes_of(text: str) -> int:
    """Bytes of an amount: ``50 GB``, ``1.5 TB``, ``800 MiB``, ``1000000``.

    Raises:
        ValueError: It is no amount.
    """
    found = _AMOUNT.fullmatch(text.strip())
    if found is None or found.group(2).lower() not in _UNITS:
        raise ValueError("an amount is a number and a unit, as 50 GB or 800 MB")
    return int(float(found.group(1)) * _UNITS[found.group(2).lower()])


def amount_of(count: int) -> str:
    """Bytes in words: ``1.4 GB``."""
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
