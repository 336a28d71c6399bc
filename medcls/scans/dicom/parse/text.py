"""Reading single attributes without ever failing: text in any character set, numbers in any spelling."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import MutableSequence
from typing import TYPE_CHECKING, Any, TypeAlias

from medcls.scans.dicom.parse.elements import Elements, one_line

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

Attributes: TypeAlias = "Elements | Dataset"
"""What a file says about itself: as the fast parser found it, or as pydicom did."""

_MOST_WORDS = 256


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
def _tag(tag: str | int | tuple[int, int]) -> BaseTag:
    from pydicom.tag import Tag

    return Tag(tag)


def text(attributes: Attributes, tag: Any) -> str:
    """The value as one line of text; several values are joined by a backslash, as they are stored."""
    if isinstance(attributes, Elements):
        return attributes.text(tag)
    found = value(attributes, tag)
    if found is None:
        return ""
    try:
        return one_line(found)
    except Exception:
        return ""


def words(attributes: Attributes, tag: Any) -> tuple[str, ...]:
    """The values of a multi-valued text, upper case; of the millions that a broken header may have, the first ones."""
    joined = text(attributes, tag)
    return tuple(part.strip().upper() for part in joined.split("\\", _MOST_WORDS)[:_MOST_WORDS]) if joined else ()


def numbers(attributes: Attributes, tag: Any, count: int | None = None) -> tuple[float, ...] | None:
    """The values as finite numbers; ``None`` when there are none, not ``count``, or one is no number."""
    if isinstance(attributes, Elements):
        return attributes.numbers(tag, count)
    found = value(attributes, tag)
    if found is None or isinstance(found, bytes):
        return None
    try:
        parts = [_float(part) for part in (found if isinstance(found, (MutableSequence, tuple)) else [found])]
    except (TypeError, ValueError):
        return None
    if not parts or not all(math.isfinite(part) for part in parts) or (count is not None and len(parts) != count):
        return None
    return tuple(parts)


def _float(part: Any) -> float:
    if "_" in str(part):  # Python's own way to group digits, which no standard knows
        raise ValueError
    return float(part)


def is_blank(attributes: Attributes, tag: Any) -> bool:
    """Whether an attribute is absent, or has no value."""
    return not written(attributes, tag).strip(" \0")


def written(attributes: Attributes, tag: Any) -> str:
    """The value as it was written, whether or not it keeps the rules of its kind; empty without one."""
    if isinstance(attributes, Elements):
        return attributes.text(tag)
    number = _tag(tag)
    raw = attributes.get_item(number).value if number in attributes else None
    return raw.decode("latin-1").strip(" \0") if isinstance(raw, bytes) else text(attributes, tag)


AS_NUMBERS = "Correct the header at its source, with a decimal point and no thousands separator"
"""The remedy for :func:`no_number`."""

_shown = re.compile(r"[-+0-9.,eE \\]{1,64}").fullmatch


def no_number(attributes: Attributes, keyword: str, count: int = 1) -> str:
    """What is wrong with an attribute that is written, but not as so many numbers, in words."""
    found, numbers = written(attributes, keyword), "number" if count == 1 else f"{count} numbers"
    return f"{keyword} is '{found}', no {numbers}" if _shown(found) else f"{keyword} is no {numbers}"


def number(attributes: Attributes, tag: Any) -> float | None:
    """The first value as a finite number."""
    found = numbers(attributes, tag)
    return found[0] if found else None


def whole(attributes: Attributes, tag: Any, default: int = 0) -> int:
    """The first value as an integer."""
    found = number(attributes, tag)
    return default if found is None else int(found)


def items(attributes: Attributes, tag: Any) -> list[Dataset]:
    """The items of a sequence; a plain file has none that matter."""
    found = None if isinstance(attributes, Elements) else value(attributes, tag)
    return list(found) if isinstance(found, MutableSequence) else []
