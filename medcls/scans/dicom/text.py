"""Reading single attributes without ever failing: text in any character set, numbers in any spelling."""

from __future__ import annotations

import functools
import math
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag


def value(dataset: Dataset, tag: Any) -> Any:
    """The value of an attribute; ``None`` when it is absent, empty or cannot be parsed."""
    number = _tag(tag)
    if number not in dataset:
        return None
    try:
        found = dataset[number].value
    except Exception:
        # One attribute that breaks the rules of its VR or its character set must not cost the scan.
        return None
    return None if found is None or found == "" else found


@functools.cache
def _tag(tag: str | tuple[int, int]) -> BaseTag:
    return Tag(tag)


def text(dataset: Dataset, tag: Any) -> str:
    """The value as one line of text; several values are joined by a backslash, as they are stored."""
    found = value(dataset, tag)
    if found is None:
        return ""
    parts = found if isinstance(found, (MultiValue, list, tuple)) else [found]
    try:
        joined = "\\".join(part.decode("latin-1") if isinstance(part, bytes) else str(part) for part in parts)
    except Exception:
        return ""
    return " ".join(joined.replace("\0", " ").split())


def words(dataset: Dataset, tag: Any) -> tuple[str, ...]:
    """The values of a multi-valued text, upper case."""
    joined = text(dataset, tag)
    return tuple(part.strip().upper() for part in joined.split("\\")) if joined else ()


def numbers(dataset: Dataset, tag: Any, count: int | None = None) -> tuple[float, ...] | None:
    """The values as finite numbers; ``None`` when there are none, not ``count``, or one is no number."""
    found = value(dataset, tag)
    if found is None or isinstance(found, bytes):
        return None
    try:
        parts = [float(part) for part in (found if isinstance(found, (MultiValue, list, tuple)) else [found])]
    except (TypeError, ValueError):
        return None
    if not all(math.isfinite(part) for part in parts) or (count is not None and len(parts) != count):
        return None
    return tuple(parts)


def number(dataset: Dataset, tag: Any) -> float | None:
    """The first value as a finite number."""
    found = numbers(dataset, tag)
    return found[0] if found else None


def whole(dataset: Dataset, tag: Any, default: int = 0) -> int:
    """The first value as an integer."""
    found = number(dataset, tag)
    return default if found is None else int(found)
